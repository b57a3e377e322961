# SPDX-License-Identifier: Apache-2.0
"""Transcribe recordings with a model directory or a server.

Prints one line a recording, or with --n-best and --times one a text or word. A file that cannot be
read, or that the server refuses, is named on standard error, the others are transcribed, and the
exit status is 1. Recordings may be of any length: long ones go through the network in pieces, cut
where nobody speaks.

With --stream the text comes while the audio is still being read, from files, from a pipe (-) of
16-bit samples (little endian, mono, at the model's rate unless --raw-... says otherwise), or from a
microphone (--microphone, until Ctrl-C). It needs a model that hears streams, such as the preset
small-streaming.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

# Files are taken in groups of about so much audio: their lines come out, and their memory is free
# again, before the next are read.
_GROUP_SECONDS = 600.0
_GROUP_FILES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 transcribe`."""
    from ds2_tf.commands.corpus_arguments import add_raw_arguments

    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--model", metavar="DIR", help="a model directory")
    where.add_argument(
        "--server", metavar="HOST:PORT", help="gRPC address of TensorFlow Serving or `ds2 serve`"
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
    _add_search_arguments(parser.add_argument_group("with --decoder or --beam-size"))
    parser.add_argument("--times", action="store_true", help="print when each word is said")
    parser.add_argument(
        "--piece-seconds",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="cut longer recordings into pieces of at most this, at pauses; 0 cuts nothing "
        "(default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a recording")
    parser.add_argument("--quiet", "-q", action="store_true", help="show no progress")
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
    _add_server_arguments(parser.add_argument_group("with --server"))
    add_raw_arguments(parser)


def _add_search_arguments(search) -> None:
    search.add_argument(
        "--n-best",
        type=int,
        metavar="N",
        help="print the N best texts, each with rank, total, log p_ctc, log p_lm (natural "
        "logarithms) and number of words",
    )
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


def _add_server_arguments(server) -> None:
    from ds2_tf.commands.server_arguments import add_tls_arguments

    server.add_argument(
        "--model-name", default="ds2", metavar="NAME", help="name on the server (default: ds2)"
    )
    server.add_argument(
        "--alphabet",
        metavar="FILE",
        help="the labels of the model's alphabet, one a line, for --times and --decoder (default: "
        "what the model tells; an export that tells nothing has the decoder's, or else English)",
    )
    server.add_argument(
        "--batch-size",
        type=int,
        default=16,
        metavar="N",
        help="most recordings or pieces in a request (default: 16)",
    )
    server.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long a request may take, attempts included (default: 60)",
    )
    add_tls_arguments(server)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 transcribe`."""
    from ds2_tf.errors import UserError

    _check(args)
    if args.stream or args.microphone:
        from ds2_tf.commands.streamed_transcription import transcribe_streams

        decoder = _decoder(args)
        return transcribe_streams(args, decoder and decoder.search)
    failed = False
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(_progress(args))
        transcribe, sample_rate = (_with_server if args.server else _with_model)(args, stack)
        for names, recordings in _groups(args, sample_rate):
            readable = [item for item in recordings if not isinstance(item, UserError)]
            results = iter(transcribe(readable, bar.update))
            for name, recording in zip(names, recordings):
                result = recording if isinstance(recording, UserError) else next(results)
                if isinstance(result, UserError):
                    # Those of the server do not know the file.
                    about = "" if result is recording else f"{name}: "
                    bar.write(f"ds2: error: {about}{result}", file=sys.stderr)
                    failed = True
                else:
                    for line in _lines(args, name, len(recording) / sample_rate, result):
                        bar.write(line)
                    sys.stdout.flush()
    return int(failed)


def _check(args) -> None:
    from ds2_tf.audio.segmentation import check_limit
    from ds2_tf.errors import UserError

    def refuse(names, why):
        for name in names:
            if getattr(args, name):
                raise UserError(f"--{name.replace('_', '-')} {why}.")

    if bool(args.files) == args.microphone:
        raise UserError("Name the recordings to transcribe, or use --microphone.")
    if args.n_best is not None and args.n_best < 1:
        raise UserError(f"--n-best must be at least 1, got {args.n_best}.")
    if args.batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, got {args.batch_size}.")
    if args.piece_seconds:
        check_limit(args.piece_seconds)
    if args.stream or args.microphone:
        unfit = ("n_best", "times", "beam_size", "rescore_lm")
        refuse(unfit, "does not go with --stream and --microphone")
    if not args.decoder:
        if args.server:
            refuse(["beam_size"], "with --server needs --decoder, which knows the alphabet")
        if args.beam_size is None:
            refuse(("n_best", "hot_word", "rescore_lm"), "needs --decoder, or --beam-size")


def _groups(args, sample_rate):
    """Yields names of files and, for each, its samples or why it cannot be read."""
    from ds2_tf.audio.reading import AudioError, read_audio
    from ds2_tf.commands.corpus_arguments import raw_format

    names, recordings, seconds = [], [], 0.0
    for name in args.files:
        try:
            recording = read_audio(name, sample_rate=sample_rate, raw=raw_format(args))
            seconds += len(recording) / sample_rate
        except AudioError as error:
            recording = error
        names.append(name)
        recordings.append(recording)
        if len(names) == _GROUP_FILES or seconds >= _GROUP_SECONDS:
            yield names, recordings
            names, recordings, seconds = [], [], 0.0
    if names:
        yield names, recordings


def _lines(args, name: str, seconds: float, result):
    """What is printed of a recording."""
    if args.json:
        fields = {"file": name, "text": result.text, "score": result.score, "duration": seconds}
        # A server gives text alone where nothing else was asked for.
        if result.words is not None:
            fields["words"] = [
                {"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
                for word in result.words
            ]
        if args.n_best:
            fields["n_best"] = [item.to_dict() for item in result.alternatives]
        yield json.dumps(fields, ensure_ascii=False)
        return
    prefix = [] if len(args.files) == 1 else [name]
    for rank, item in enumerate(result.alternatives, 1):
        found = item.hypothesis
        scores = [f"{score:.3f}" for score in (item.total, found.log_p_ctc, found.log_p_lm)]
        yield "\t".join([*prefix, str(rank), *scores, str(found.length), item.text])
    if args.times:
        for word in result.words:
            yield "\t".join([*prefix, f"{word.start:.2f}", f"{word.end:.2f}", word.text])
    elif not args.n_best:
        yield "\t".join([*prefix, result.text])


def _progress(args):
    """A bar of the seconds of audio that are done, where somebody looks."""
    from tqdm import tqdm

    from ds2_tf.audio.reading import AudioError, audio_duration
    from ds2_tf.commands.corpus_arguments import raw_format

    shown = not args.quiet and sys.stderr.isatty()
    total = 0.0
    for name in args.files if shown else ():
        # What is wrong with the file is said when it is read.
        with contextlib.suppress(AudioError):
            total += audio_duration(name, raw=raw_format(args))
    return tqdm(
        total=round(total, 1),
        desc="Transcribing",
        disable=not shown,
        leave=False,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio, {remaining}",
    )


def _with_model(args, stack):
    from ds2_tf.recognizer import Recognizer

    recognizer = Recognizer.load(args.model)
    decoder = _decoder(args, recognizer.alphabet)

    def transcribe(recordings, progress):
        return recognizer.transcribe(
            recordings,
            limit_seconds=args.piece_seconds or None,
            decoder=decoder,
            num_best=args.n_best or 0,
            progress=progress,
        )

    return transcribe, recognizer.sample_rate


def _with_server(args, stack):
    from ds2_tf.commands.server_arguments import connect
    from ds2_tf.text.alphabet import Alphabet
    from serving.client import SAMPLE_RATE

    decoder = _decoder(args)
    alphabet = Alphabet.load(args.alphabet) if args.alphabet else None
    client = stack.enter_context(connect(args, alphabet=alphabet))

    def transcribe(recordings, progress):
        return client.transcribe_batch(
            recordings,
            batch_size=args.batch_size,
            limit_seconds=args.piece_seconds or None,
            words=args.times,
            decoder=decoder,
            num_best=args.n_best or 0,
            return_errors=True,
            progress=progress,
        )

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
