# SPDX-License-Identifier: Apache-2.0
"""Estimate an n-gram language model from text.

Writes a KenLM binary for ds2 lm package. Sentences with characters outside the alphabet are left
out. Reports n-grams, perplexity and unknown words on text held out, and the time.
"""

from __future__ import annotations

import argparse
import json

from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 lm build`."""
    from ds2_tf.commands.alphabet_argument import add_alphabet_arguments

    parser.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="a sentence a line (.gz too), or a manifest (.jsonl), whose transcripts count",
    )
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="binary to write")
    add_alphabet_arguments(parser)
    parser.add_argument("--split", metavar="NAME", help="only this split of the manifests")
    parser.add_argument(
        "--order", type=int, default=5, metavar="N", help="longest n-gram, 2 to 6 (default: 5)"
    )
    parser.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=(),
        metavar="COUNT",
        help="drop n-grams that occur as often or less: a number for each length, the last for all "
        "longer ones, such as 0 0 1 (default: none)",
    )
    parser.add_argument(
        "--vocabulary-limit",
        type=int,
        default=400_000,
        metavar="N",
        help="keep the most frequent words (default: 400000)",
    )
    parser.add_argument(
        "--characters", action="store_true", help="a model of characters (default: of words)"
    )
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="lower-case the text, spell numbers out and drop punctuation as fits en, de, zh, ...; "
        "none folds white space alone (default: en for the English alphabet, else none)",
    )
    parser.add_argument(
        "--held-out", nargs="+", default=(), metavar="TEXT", help="measure the perplexity on these"
    )
    parser.add_argument(
        "--held-out-share",
        type=float,
        default=0.02,
        metavar="SHARE",
        help="without --held-out, measure a model that lacks this share of the text on the share; "
        "0 measures nothing (default: 0.02)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 lm build`."""
    from ds2_tf.commands.alphabet_argument import alphabet_from
    from ds2_tf.lm.building import build_lm

    alphabet = alphabet_from(args)
    prepare_output_file(args.output)
    report = build_lm(
        args.texts,
        args.output,
        alphabet,
        order=args.order,
        prune=args.prune,
        vocabulary_limit=args.vocabulary_limit,
        by_character=args.characters,
        split=args.split,
        language=args.language,
        held_out=args.held_out,
        held_out_share=args.held_out_share,
    )
    print(json.dumps(report.to_dict()) if args.json else report.summary())
    return 0
