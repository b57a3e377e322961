# SPDX-License-Identifier: Apache-2.0
"""Make more utterances to train on out of phrases that the same speakers said in others.

Recordings are cut at pauses between words, and put together in new orders. It helps where there is
less than an hour or so to train on, from which a network learns whole sentences by heart. The
manifest must have the times of the words: see `ds2 corpus align`.
"""

from __future__ import annotations

import argparse
import json

from ds2_tf.commands.corpus_arguments import (
    add_raw_arguments,
    add_working_arguments,
    raw_format,
)
from ds2_tf.commands.output_files import prepare_output_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus splice`."""
    parser.add_argument("manifest", metavar="MANIFEST", help="with the times of the words")
    parser.add_argument(
        "--output",
        "-o",
        required=True,
        metavar="DIR",
        help="gets manifest.jsonl, of the old utterances and the new, and spliced/",
    )
    parser.add_argument(
        "--split", default="train", metavar="NAME", help="the split to splice (default: train)"
    )
    parser.add_argument(
        "--copies", type=int, default=3, metavar="N", help="new for each old one (default: 3)"
    )
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    add_working_arguments(parser)
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus splice`."""
    from ds2_tf.corpora.splicing import splice_corpus

    prepare_output_directory(args.output)
    made = splice_corpus(
        args.manifest,
        args.output,
        split=args.split,
        copies=args.copies,
        seed=args.seed,
        raw=raw_format(args),
        jobs=args.jobs,
        progress=not args.quiet,
    )
    if args.json:
        print(json.dumps(made))
    else:
        print(
            f"{made['spliced']} utterances, {made['hours']:.2f} h, spliced from {made['phrases']} "
            f"phrases of {made['utterances']}; the manifest of all is {args.output}/manifest.jsonl"
        )
    return 0
