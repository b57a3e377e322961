# SPDX-License-Identifier: Apache-2.0
"""Find the best weights of a decoder package on development data, and write them into it.

Runs the network once, then searches with many alphas and betas: a coarse grid first, then smaller
steps around the best. The outcome is also measured on utterances that the choice has not seen. If
even the best is worse than greedy decoding, the package stays as it is.
"""

from __future__ import annotations

import argparse
import json
import sys

from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 lm tune`."""
    from ds2_tf.commands.corpus_arguments import add_raw_arguments

    parser.add_argument("decoder", metavar="PACKAGE", help="a decoder package, which is changed")
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument("--manifest", required=True, metavar="FILE", help="the corpus")
    parser.add_argument(
        "--split", default="dev", metavar="NAME", help="what to tune on (default: dev)"
    )
    parser.add_argument(
        "--check-split",
        metavar="NAME",
        help="another split, on which the outcome is measured (default: every third utterance of "
        "--split, which is then not tuned on)",
    )
    for name in ("alphas", "betas"):
        parser.add_argument(
            f"--{name}",
            type=float,
            nargs="+",
            metavar="X",
            help=f"{name} of the coarse grid",
        )
    parser.add_argument(
        "--unknown-scores",
        type=float,
        nargs="+",
        metavar="X",
        help="with an open vocabulary: penalties of unknown words to try, beside the package's",
    )
    parser.add_argument(
        "--refinements",
        type=int,
        default=2,
        metavar="N",
        help="rounds of smaller steps around the best (default: 2)",
    )
    parser.add_argument(
        "--beam-sizes",
        type=int,
        nargs="+",
        default=(),
        metavar="N",
        help="choose the smallest of these that makes no more errors than the largest (default: "
        "that of the package)",
    )
    parser.add_argument("--plot", metavar="FILE", help="write the surface of the WER as PNG")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 lm tune`."""
    from ds2_tf.commands.corpus_arguments import raw_format
    from ds2_tf.corpora.manifest import require_splits
    from ds2_tf.corpora.rejection import RejectionReport
    from ds2_tf.decoding.package import load_package, write_package
    from ds2_tf.decoding.surface_plot import check_installed, plot_surface
    from ds2_tf.decoding.tuning import (
        DEFAULT_ALPHAS,
        DEFAULT_BETAS,
        DEFAULT_UNKNOWN_SCORES,
        DevelopmentSet,
        tune,
    )
    from ds2_tf.evaluation import recognize_manifest
    from ds2_tf.recognizer import Recognizer

    if args.plot:
        check_installed()
    require_splits(filter(None, [args.split, args.check_split]), args.manifest)
    package = load_package(args.decoder)
    # The package, too, which is there and may be read-only.
    for path in filter(None, [args.decoder, args.plot]):
        prepare_output_file(path)
    recognizer = Recognizer.load(args.model)
    package.search(alphabet=recognizer.alphabet)

    def utterances(split):
        report = RejectionReport()
        items = [
            (recognition.log_probs, " ".join(utterance.transcript.split()))
            for chunk in recognize_manifest(
                recognizer, args.manifest, report, split=split, raw=raw_format(args)
            )
            for utterance, recognition, _ in chunk
        ]
        if report.rejections:
            print(report.summary(), file=sys.stderr)
        return DevelopmentSet([x for x, _ in items], [text for _, text in items])

    development = utterances(args.split)
    if args.check_split:
        check = utterances(args.check_split)
    else:
        development, check = development.parts()
    tuning = tune(
        package,
        development,
        check,
        alphas=args.alphas or DEFAULT_ALPHAS,
        betas=args.betas or DEFAULT_BETAS,
        unknown_scores=args.unknown_scores or DEFAULT_UNKNOWN_SCORES,
        refinements=args.refinements,
        beam_sizes=args.beam_sizes,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    write_package(args.decoder, package.alphabet, tuning.options, package.model, package.vocabulary)
    if args.plot:
        plot_surface(tuning, args.plot)
    print(json.dumps(tuning.to_dict()) if args.json else tuning.summary())
    return 0
