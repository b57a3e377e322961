# SPDX-License-Identifier: Apache-2.0
"""Measure word and character error rate of a model on a manifest."""

from __future__ import annotations

import argparse
import json

from ds2_tf.commands.output_files import prepare_output_file


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
    parser.add_argument(
        "--report",
        metavar="FILE.html",
        help="write a page to read: rates with confidence intervals, by slice, utterances with "
        "their errors, confused words",
    )
    parser.add_argument(
        "--slice",
        action="append",
        metavar="FIELD",
        help="with --report: count errors apart by this field of the manifest, or by duration; may "
        "be repeated (default: speaker, duration and fields with few values)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 evaluate`."""
    from ds2_tf.commands.corpus_arguments import raw_format
    from ds2_tf.errors import UserError
    from ds2_tf.evaluation import evaluate, slice_fields

    if args.slice and not args.report:
        raise UserError("--slice needs --report.")
    # Before the work, of which a misspelled name would leave nothing.
    slices = slice_fields(args.manifest, args.slice) if args.report else []
    for path in filter(None, [args.output, args.report]):
        prepare_output_file(path)
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
    if args.report:
        from ds2_tf.reports.evaluation_report import evaluation_page

        name = f"{args.manifest} ({args.split})" if args.split else args.manifest
        rejected = evaluation.report.rejections
        page = evaluation_page(
            evaluation.utterance_results(slices),
            title=f"{args.model} on {name}",
            notes=evaluation.report.summary().splitlines() if rejected else (),
        )
        with open(args.report, "w", encoding="utf-8") as file:
            file.write(page)
    # At the end: a reader that goes away after the first line does not cost the files.
    if args.json:
        print(json.dumps(evaluation.to_dict()))
    else:
        print(evaluation.summary())
    return 0
