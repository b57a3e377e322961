# SPDX-License-Identifier: Apache-2.0
"""Measure word and character error rate of a model on a manifest."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 evaluate`."""
    from ds2_tf.commands.corpus_arguments import add_bad_share_argument, add_raw_arguments

    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument("--manifest", required=True, metavar="FILE", help="what to measure on")
    parser.add_argument("--split", metavar="NAME", help="only the utterances of this split")
    parser.add_argument(
        "--decoder", metavar="FILE", help="a decoder package (default: greedy decoding)"
    )
    add_bad_share_argument(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="write every reference and hypothesis as JSON lines"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 evaluate`."""
    from ds2_tf.commands.corpus_arguments import raw_format
    from ds2_tf.evaluation import evaluate

    evaluation = evaluate(
        args.model,
        args.manifest,
        split=args.split,
        max_bad_share=args.max_bad_share,
        raw=raw_format(args),
        decoder=args.decoder,
    )
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            for result in evaluation.results:
                file.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")
    if args.json:
        print(json.dumps(evaluation.to_dict()))
    else:
        print(evaluation.summary())
    return 0
