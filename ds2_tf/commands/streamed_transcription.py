# SPDX-License-Identifier: Apache-2.0
"""What `ds2 transcribe --stream` does: text while the audio still comes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator

import numpy as np

from ds2_tf.audio.live import microphone, pipe
from ds2_tf.audio.reading import AudioError, RawFormat, read_audio
from ds2_tf.commands.corpus_arguments import raw_format
from ds2_tf.commands.server_arguments import connect
from ds2_tf.decoding.beam_search import Partial

_PIPE = "-"
_MICROPHONE = "microphone"
_PIECE_SECONDS = 0.1


def transcribe_streams(args: argparse.Namespace, search) -> int:
    """Transcribes each file, pipe or microphone as a stream; returns the exit status.

    Args:
        args: of `ds2 transcribe`.
        search: a `BeamSearch`, or None to decode greedily.
    """
    failed = False
    names = [_MICROPHONE] if args.microphone else args.files
    with _stream_maker(args, search) as make_stream:
        for name in names:
            try:
                with make_stream(_rate_of(name, args)) as stream:
                    _transcribe(name, stream, args, several=len(names) > 1)
            except AudioError as error:
                print(f"ds2: error: {error}", file=sys.stderr)
                failed = True
    return int(failed)


@contextlib.contextmanager
def _stream_maker(args, search):
    if args.server:
        from serving.stream_session import StreamSession

        with connect(args) as client:
            yield lambda rate: StreamSession(client, decoder=search, sample_rate=rate)
    else:
        from ds2_tf.streaming.recognizer import StreamingRecognizer

        recognizer = StreamingRecognizer.load(args.model)
        yield lambda rate: recognizer.stream(decoder=search, sample_rate=rate)


def _transcribe(name: str, stream, args, several: bool) -> None:
    display = _Display(name, args.json, several)
    for samples in _pieces(name, stream.info.sample_rate, raw_format(args)):
        display.partial(stream.feed(samples), stream.duration)
    display.transcript(stream.finish())


def _pieces(name: str, sample_rate: int, raw: RawFormat | None) -> Iterator[np.ndarray]:
    if name == _MICROPHONE:
        yield from microphone(sample_rate)
    elif name == _PIPE:
        yield from pipe(sys.stdin.buffer, raw or RawFormat(sample_rate))
    else:
        samples = read_audio(name, sample_rate=sample_rate, raw=raw)
        step = int(_PIECE_SECONDS * sample_rate)
        for start in range(0, len(samples), step):
            yield samples[start : start + step]


def _rate_of(name: str, args) -> int | None:
    """Samples per second of what is fed; None for those of the model."""
    return args.raw_sample_rate if name == _PIPE else None


class _Display:
    """Prints what is heard: for programs one JSON object a line, for people the text.

    People see it grow on standard error, if that is a terminal; the whole text goes to standard
    output.
    """

    def __init__(self, name: str, as_json: bool, several: bool):
        self._name = name
        self._json = as_json
        self._several = several
        self._shown = Partial("", "")
        self._live = not as_json and sys.stderr.isatty()

    def partial(self, partial, seconds: float) -> None:
        if partial == self._shown:
            return
        self._shown = partial
        if self._json:
            self._print_json({"seconds": round(seconds, 3), **dataclasses.asdict(partial)})
        elif self._live:
            line = f"{partial.stable} {partial.unstable}".strip()
            print(f"\r\x1b[K{line[-_columns() :]}", end="", file=sys.stderr, flush=True)

    def transcript(self, transcript) -> None:
        if self._json:
            self._print_json(dataclasses.asdict(transcript))
            return
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        text = transcript.text
        print(f"{self._name}\t{text}" if self._several else text, flush=True)

    def _print_json(self, fields: dict) -> None:
        print(json.dumps({"file": self._name, **fields}, ensure_ascii=False), flush=True)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1
