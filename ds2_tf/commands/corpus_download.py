# SPDX-License-Identifier: Apache-2.0
"""Download and unpack a published corpus: AN4, LJSpeech or LibriSpeech."""

from __future__ import annotations

import argparse

from ds2_tf.commands.output_files import prepare_output_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus download`."""
    from ds2_tf.corpora.publications import CORPORA

    parser.add_argument("corpus", choices=CORPORA, help="which")
    parser.add_argument("directory", metavar="DIR", help="where to")
    parser.add_argument(
        "--part",
        nargs="+",
        default=(),
        metavar="NAME",
        help=f"of LibriSpeech: {', '.join(CORPORA['librispeech'])} (default: all, 60 GB)",
    )
    parser.add_argument(
        "--keep-archives", action="store_true", help="do not remove what was unpacked"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus download`."""
    from ds2_tf.corpora.publications import fetch_corpus

    prepare_output_directory(args.directory)
    for folder in fetch_corpus(
        args.corpus,
        args.directory,
        parts=args.part,
        keep_archives=args.keep_archives,
        progress=not args.quiet,
    ):
        print(folder)
    return 0
