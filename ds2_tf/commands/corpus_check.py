# SPDX-License-Identifier: Apache-2.0
"""Read every utterance of a corpus and name those that cannot be used.

Exits with status 1 when there are more of them than the limit allows.
"""

from __future__ import annotations

import argparse
import json

from ds2_tf.commands.corpus_arguments import (
    add_bad_share_argument,
    add_raw_arguments,
    add_working_arguments,
    raw_format,
)
from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus check`."""
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument(
        "--recipe",
        metavar="RECIPE.yaml",
        help="check against its alphabet, features and network (default: English, and one output "
        "for every 10 ms)",
    )
    add_bad_share_argument(parser)
    parser.add_argument("--report", metavar="FILE", help="write all rejections as JSON")
    add_working_arguments(parser)
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus check`."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.corpora.checking import check_corpus
    from ds2_tf.recipes import load_recipe
    from ds2_tf.text.alphabet import Alphabet

    alphabet, features, time_stride = Alphabet.english(), SpectrogramConfig(), 1
    if args.recipe:
        recipe = load_recipe(args.recipe)
        alphabet, features = Alphabet(recipe.alphabet), recipe.features
        time_stride = recipe.model.time_stride
    if args.report:
        prepare_output_file(args.report)
    report = check_corpus(
        args.manifest,
        alphabet,
        sample_rate=features.sample_rate,
        hop_samples=features.hop_samples,
        time_stride=time_stride,
        raw=raw_format(args),
        jobs=args.jobs,
        progress=not args.quiet,
    )
    if args.json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    if args.report:
        report.write(args.report)
    report.enforce(args.max_bad_share, args.report)
    if not args.json:
        print(report.summary())
    return 0
