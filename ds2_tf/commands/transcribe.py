# SPDX-License-Identifier: Apache-2.0
"""Transcribe recordings with a model directory or a server.

Prints one line a recording, or with --n-best and --times one a text or word. A file that cannot be
read is named on standard error, the others are transcribed, and the exit status is 1.

With --stream the text comes while the audio is still being read, from files, from a pipe (-) of
16-bit samples (little endian, mono, at the model's rate unless --raw-... says otherwise), or from a
microphone (--microphone, until Ctrl-C). It needs a model that hears streams, such as the preset
small-streaming.
"""

from __future__ import annotations

import argparse
import dataclasses
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
        "--beam-size",
        type=int,
        metavar="N",
        help="prefixes that the search keeps (default: as in the package); without --decoder, "
        "search without a language model",
    )
    search = parser.add_argument_group("with --decoder or --beam-size")
    search.add_argument(
        "--n-best",
        type=int,
        metavar="N",
        help="print the N best texts, each with rank, total, log p_ctc, log p_lm (natural "
        "logarithms) and number of words",
    )
    search.add_argument("--times", action="store_true", help="print when each word is said")
    search.add_argument(
        "--hot-word",
        action="append",
        default=[],
        metavar="WORD=WEIGHT",
        help="add this to the score, in natural log, whenever the word is said, such as 3; may be "
        "repeated",
    )
    search.add_argument(
        "--rescore-lm", metavar="LM", help="rank the best texts again with this KenLM binary"
    )
    search.add_argument(
        "--rescore-weight",
        type=float,
        default=0.5,
        metavar="X",
        help="of its natural log probability (default: 0.5)",
    )
    search.add_argument(
        "--rescore-n-best",
        type=int,
        default=100,
        metavar="N",
        help="texts that it ranks (default: 100)",
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

    _check(args)
    if args.stream or args.microphone:
        from ds2_tf.commands.streamed_transcription import transcribe_streams

        decoder = _decoder(args)
        return transcribe_streams(args, decoder and decoder.search)
    transcribe, sample_rate = _with_server(args) if args.server else _with_model(args)
    recordings, names, failed = [], [], False
    for name in args.files:
        try:
            recordings.append(read_audio(name, sample_rate=sample_rate, raw=raw_format(args)))
            names.append(name)
        except AudioError as error:
            print(f"ds2: error: {error}", file=sys.stderr)
            failed = True
    for name, samples, result in zip(names, recordings, transcribe(recordings)):
        result.report(args, name, len(samples) / sample_rate)
    return int(failed)


def _check(args) -> None:
    from ds2_tf.errors import UserError

    if bool(args.files) == args.microphone:
        raise UserError("Name the recordings to transcribe, or use --microphone.")
    if args.stream or args.microphone:
        for name in ("n_best", "times", "beam_size", "rescore_lm"):
            if getattr(args, name):
                option = "--" + name.replace("_", "-")
                raise UserError(f"{option} does not go with --stream and --microphone.")
    if args.n_best is not None and args.n_best < 1:
        raise UserError(f"--n-best must be at least 1, got {args.n_best}.")
    if args.decoder:
        return
    if args.server and args.beam_size is not None:
        raise UserError("--beam-size with --server needs --decoder, which knows the alphabet.")
    if args.beam_size is not None:
        return
    for name in ("n_best", "times", "hot_word", "rescore_lm"):
        if getattr(args, name):
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option} needs --decoder, or --beam-size.")


@dataclasses.dataclass(frozen=True)
class _Greedy:
    """What the network alone heard."""

    text: str
    score: float

    def report(self, args, name: str, duration: float) -> None:
        if args.json:
            fields = {"file": name, "text": self.text, "score": self.score, "duration": duration}
            print(json.dumps(fields, ensure_ascii=False))
        else:
            print(self.text if len(args.files) == 1 else f"{name}\t{self.text}")


@dataclasses.dataclass(frozen=True)
class _Searched:
    """What the search found: `ds2_tf.decoding.decoder.RankedText`, best first."""

    ranked: list
    num_frames: int

    def report(self, args, name: str, duration: float) -> None:
        from ds2_tf.decoding.decoder import word_seconds

        best = self.ranked[0]
        words = word_seconds(best.hypothesis.words, duration, self.num_frames)
        if args.json:
            fields = {"file": name, "text": best.text, "score": best.total, "duration": duration}
            fields["words"] = words
            if args.n_best:
                fields["n_best"] = [item.to_dict() for item in self.ranked]
            print(json.dumps(fields, ensure_ascii=False))
            return
        prefix = [] if len(args.files) == 1 else [name]
        if args.n_best:
            for rank, item in enumerate(self.ranked, 1):
                found = item.hypothesis
                scores = [item.total, found.log_p_ctc, found.log_p_lm]
                columns = [rank, *(f"{score:.3f}" for score in scores), found.length, item.text]
                print(*prefix, *columns, sep="\t")
        elif not args.times:
            print(*prefix, best.text, sep="\t")
        if args.times:
            for word in words:
                print(*prefix, f"{word['start']:.2f}", f"{word['end']:.2f}", word["text"], sep="\t")


def _with_model(args):
    from ds2_tf.recognizer import Recognizer

    recognizer = Recognizer.load(args.model)
    decoder = _decoder(args, recognizer.alphabet)

    def transcribe(recordings):
        recognitions = recognizer.recognize(recordings)
        if decoder:
            return _decode(args, decoder, [r.log_probs for r in recognitions])
        return [_Greedy(r.text, r.score) for r in recognitions]

    return transcribe, recognizer.sample_rate


def _with_server(args):
    # The one place where this package knows of one above it: a command line serves them all.
    from serving.client import SAMPLE_RATE, Client

    decoder = _decoder(args)

    def transcribe(recordings):
        with Client(args.server, args.model_name) as client:
            if decoder:
                return _decode(args, decoder, client.log_probs_batch(recordings))
            return [_Greedy(t.text, t.score) for t in client.transcribe_batch(recordings)]

    return transcribe, SAMPLE_RATE


def _decoder(args, alphabet=None):
    """The decoder that the options ask for; None for greedy decoding."""
    if not args.decoder and args.beam_size is None:
        return None
    from ds2_tf.decoding.beam_search import BeamOptions, BeamSearch
    from ds2_tf.decoding.decoder import Decoder, Rescoring
    from ds2_tf.decoding.ngram_model import NgramModel

    hot_words = _hot_words(args)
    rescoring = None
    if args.rescore_lm:
        model = NgramModel(args.rescore_lm)
        rescoring = Rescoring(model, args.rescore_weight, args.rescore_n_best)
    if args.decoder:
        return Decoder.load(
            args.decoder,
            alphabet=alphabet,
            beam_size=args.beam_size,
            hot_words=hot_words,
            rescoring=rescoring,
        )
    options = BeamOptions(beam_size=args.beam_size)
    return Decoder(BeamSearch(alphabet, options, hot_words=hot_words), rescoring)


def _hot_words(args) -> dict[str, float]:
    from ds2_tf.errors import UserError

    hot_words = {}
    for item in args.hot_word:
        word, _, weight = item.rpartition("=")
        try:
            hot_words[word] = float(weight)
        except ValueError:
            raise UserError(f"--hot-word must be WORD=WEIGHT, got {item!r}.") from None
    return hot_words


def _decode(args, decoder, log_probs):
    results = decoder.decode_many(log_probs, args.n_best or 1)
    return [_Searched(ranked, len(frames)) for ranked, frames in zip(results, log_probs)]
