# SPDX-License-Identifier: Apache-2.0
"""Write the manifest of a corpus: a published one, a directory of one's own, or a synthetic one.

The manifest points at the recordings where they lie; nothing is copied.
"""

from __future__ import annotations

import argparse
import dataclasses
import json

from ds2_tf.commands.corpus_arguments import add_raw_arguments, add_working_arguments, raw_format
from ds2_tf.commands.output_files import prepare_output_directory, prepare_output_file
from ds2_tf.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus import`."""
    corpora = parser.add_subparsers(dest="corpus", required=True, metavar="CORPUS")

    an4 = corpora.add_parser("an4", help="CMU AN4 (Census), as published")
    _add_source_and_output(an4)
    an4.add_argument(
        "--dev-speakers",
        default="7",
        metavar="N|NAMES",
        help="training speakers held out as dev: how many, or names with commas (default: 7)",
    )
    _add_common(an4)
    add_raw_arguments(an4)
    an4.set_defaults(importer=_import_an4)

    ljspeech = corpora.add_parser("ljspeech", help="LJSpeech, as published")
    _add_source_and_output(ljspeech)
    _add_shares(ljspeech)
    _add_common(ljspeech)
    ljspeech.set_defaults(importer=_import_ljspeech)

    librispeech = corpora.add_parser("librispeech", help="LibriSpeech, as published, any part")
    _add_source_and_output(librispeech)
    _add_common(librispeech)
    librispeech.set_defaults(importer=_import_librispeech)

    directory = corpora.add_parser(
        "directory", help="recordings with a .txt file each, or with one table for all"
    )
    _add_source_and_output(directory)
    directory.add_argument(
        "--table", help="a .csv or .tsv with column names, instead of the .txt files"
    )
    for column in ("audio", "transcript", "id", "speaker", "split"):
        directory.add_argument(
            f"--{column}-column", default=column, metavar="NAME", help=f"default: {column}"
        )
    directory.add_argument(
        "--speaker-from-folder",
        action="store_true",
        help="without a table: the folder of a recording names its speaker",
    )
    directory.add_argument(
        "--language",
        default="en",
        metavar="CODE",
        help="lower-case the transcripts, spell numbers out and drop punctuation as fits en, de, "
        "zh, ...; none keeps them (default: en)",
    )
    _add_shares(directory)
    _add_common(directory)
    add_raw_arguments(directory)
    directory.set_defaults(importer=_import_directory)

    synthetic = corpora.add_parser(
        "synthetic", help="commands, times and spelled names spoken by eSpeak NG"
    )
    synthetic.add_argument("--output", "-o", required=True, metavar="DIR", help="its folder")
    for split, size in (("train", 2400), ("dev", 120), ("test", 120)):
        synthetic.add_argument(
            f"--{split}-utterances", type=int, default=size, metavar="N", help=f"default: {size}"
        )
    _add_common(synthetic)
    synthetic.set_defaults(importer=_import_synthetic)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus import`."""
    # A synthetic corpus is a folder, of the others the recordings are there.
    if args.corpus == "synthetic" and args.output.endswith(".jsonl"):
        raise UserError(
            f"A synthetic corpus is a folder, and {args.output} is named like a manifest: give the "
            "folder, which gets recordings and manifest.jsonl."
        )
    (prepare_output_directory if args.corpus == "synthetic" else prepare_output_file)(args.output)
    summary = args.importer(args)
    print(json.dumps(dataclasses.asdict(summary)) if args.json else summary.text())
    return 0


def _add_source_and_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="DIR", help="the unpacked corpus")
    parser.add_argument("--output", "-o", required=True, metavar="MANIFEST", help="a .jsonl file")


def _add_shares(parser: argparse.ArgumentParser) -> None:
    for split in ("dev", "test"):
        parser.add_argument(
            f"--{split}-share",
            type=_share,
            default=0.05,
            metavar="SHARE",
            help=f"held out as {split} (default: 0.05)",
        )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    add_working_arguments(parser)


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to under 0.5")
    return value


def _import_an4(args: argparse.Namespace):
    from ds2_tf.corpora.importers.an4 import import_an4

    dev_speakers = args.dev_speakers
    if args.raw_sample_rate is None:
        args.raw_sample_rate = 16000
    return import_an4(
        args.source,
        args.output,
        dev_speakers=int(dev_speakers) if dev_speakers.isdigit() else dev_speakers.split(","),
        seed=args.seed,
        raw=raw_format(args),
        jobs=args.jobs,
        progress=not args.quiet,
    )


def _import_ljspeech(args: argparse.Namespace):
    from ds2_tf.corpora.importers.ljspeech import import_ljspeech

    return import_ljspeech(
        args.source,
        args.output,
        dev_share=args.dev_share,
        test_share=args.test_share,
        seed=args.seed,
        jobs=args.jobs,
        progress=not args.quiet,
    )


def _import_librispeech(args: argparse.Namespace):
    from ds2_tf.corpora.importers.librispeech import import_librispeech

    return import_librispeech(args.source, args.output, jobs=args.jobs, progress=not args.quiet)


def _import_directory(args: argparse.Namespace):
    from ds2_tf.corpora.importers.directory import Columns, import_directory

    return import_directory(
        args.source,
        args.output,
        table=args.table,
        columns=Columns(
            audio=args.audio_column,
            transcript=args.transcript_column,
            id=args.id_column,
            speaker=args.speaker_column,
            split=args.split_column,
        ),
        speaker_from_folder=args.speaker_from_folder,
        language=args.language,
        dev_share=args.dev_share,
        test_share=args.test_share,
        seed=args.seed,
        raw=raw_format(args),
        jobs=args.jobs,
        progress=not args.quiet,
    )


def _import_synthetic(args: argparse.Namespace):
    from ds2_tf.corpora.importers.recordings import ImportSummary
    from ds2_tf.corpora.synthetic import make_synthetic_corpus

    manifest = make_synthetic_corpus(
        args.output,
        train_utterances=args.train_utterances,
        dev_utterances=args.dev_utterances,
        test_utterances=args.test_utterances,
        seed=args.seed,
        jobs=args.jobs,
        progress=not args.quiet,
    )
    return ImportSummary.of(manifest)
