# SPDX-License-Identifier: Apache-2.0
"""Transcribe recordings with a model directory or a server.

Prints one line a recording. A file that cannot be read is named on standard error, the others are
transcribed, and the exit status is 1.

With --stream the text comes while the audio is still being read, from files, from a pipe (-) of
16-bit samples (little endian, mono, at the model's rate unless --raw-... says otherwise), or from a
microphone (--microphone, until Ctrl-C). It needs a model that hears streams, such as the preset
small-streaming.
"""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 transcribe`."""
    from ds2_tf.commands.corpus_arguments import add_raw_arguments

    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--model", metavar="DIR", help="a model directory")
    where.add_argument(
        "--server", metavar="HOST:PORT", help="gRPC address of TensorFlow Serving or `ds2 serve`"
    )
    parser.add_argument(
        "--model-name", default="ds2", metavar="NAME", help="name on the server (default: ds2)"
    )
    parser.add_argument(
        "--decoder", metavar="FILE", help="a decoder package (default: greedy decoding)"
    )
    parser.add_argument(
        "--hot-word",
        action="append",
        default=[],
        metavar="WORD=WEIGHT",
        help="with --decoder: add this to the score, in natural log, whenever the word is said, "
        "such as 3; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a recording")
    parser.add_argument(
        "--stream",
        action="store_true",
        help="show the text while it is heard; with --json also an object for each change",
    )
    parser.add_argument(
        "--microphone", action="store_true", help="stream from the microphone instead of files"
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="recordings of any format; - with --stream"
    )
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 transcribe`."""
    from ds2_tf.audio.reading import AudioError, read_audio
    from ds2_tf.commands.corpus_arguments import raw_format
    from ds2_tf.errors import UserError

    if args.hot_word and not args.decoder:
        raise UserError("--hot-word needs --decoder.")
    if bool(args.files) == args.microphone:
        raise UserError("Name the recordings to transcribe, or use --microphone.")
    if args.stream or args.microphone:
        from ds2_tf.commands.streamed_transcription import transcribe_streams

        return transcribe_streams(args, _search(args) if args.decoder else None)
    transcribe, sample_rate = _with_server(args) if args.server else _with_model(args)
    recordings, names, failed = [], [], False
    for name in args.files:
        try:
            recordings.append(read_audio(name, sample_rate=sample_rate, raw=raw_format(args)))
            names.append(name)
        except AudioError as error:
            print(f"ds2: error: {error}", file=sys.stderr)
            failed = True
    for name, samples, (text, score) in zip(names, recordings, transcribe(recordings)):
        if args.json:
            seconds = len(samples) / sample_rate
            fields = {"file": name, "text": text, "score": score, "duration": seconds}
            print(json.dumps(fields, ensure_ascii=False))
        else:
            print(text if len(args.files) == 1 else f"{name}\t{text}")
    return int(failed)


def _with_model(args):
    from ds2_tf.recognizer import Recognizer

    recognizer = Recognizer.load(args.model)
    search = _search(args, recognizer.alphabet) if args.decoder else None

    def transcribe(recordings):
        recognitions = recognizer.recognize(recordings)
        if search:
            return _decode(search, [r.log_probs for r in recognitions])
        return [(r.text, r.score) for r in recognitions]

    return transcribe, recognizer.sample_rate


def _with_server(args):
    # The one place where this package knows of one above it: a command line serves them all.
    from serving.client import SAMPLE_RATE, Client

    search = _search(args) if args.decoder else None

    def transcribe(recordings):
        with Client(args.server, args.model_name) as client:
            if search:
                return _decode(search, client.log_probs_batch(recordings))
            return [(t.text, t.score) for t in client.transcribe_batch(recordings)]

    return transcribe, SAMPLE_RATE


def _search(args, alphabet=None):
    from ds2_tf.decoding.package import load_package
    from ds2_tf.errors import UserError

    hot_words = {}
    for item in args.hot_word:
        word, _, weight = item.rpartition("=")
        try:
            hot_words[word] = float(weight)
        except ValueError:
            raise UserError(f"--hot-word must be WORD=WEIGHT, got {item!r}.") from None
    return load_package(args.decoder).search(alphabet=alphabet, hot_words=hot_words)


def _decode(search, log_probs):
    from ds2_tf.decoding.parallel import decode_many

    return [(best.text, best.total) for (best, *_) in decode_many(search, log_probs)]
