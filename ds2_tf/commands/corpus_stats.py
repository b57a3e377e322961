# SPDX-License-Identifier: Apache-2.0
"""Count and measure a corpus: hours, speakers, lengths, speech rate, and common faults.

With --html, also writes a page with plots, the utterances behind each fault, and extremes of length
and rate.
"""

from __future__ import annotations

import argparse
import json

from ds2_tf.commands.corpus_arguments import add_raw_arguments, add_working_arguments, raw_format
from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus stats`."""
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument(
        "--recipe", metavar="RECIPE.yaml", help="use its alphabet (default: English)"
    )
    parser.add_argument(
        "--no-audio",
        action="store_true",
        help="do not read the recordings; lengths are the manifest's",
    )
    parser.add_argument("--html", metavar="FILE.html", help="write a page with plots")
    add_working_arguments(parser)
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus stats`."""
    from ds2_tf.corpora.manifest import EmptyManifest
    from ds2_tf.corpora.measuring import measure_corpus
    from ds2_tf.corpora.summary import summarize_measurements
    from ds2_tf.recipes import load_recipe
    from ds2_tf.text.alphabet import Alphabet

    alphabet = Alphabet(load_recipe(args.recipe).alphabet) if args.recipe else Alphabet.english()
    if args.html:
        prepare_output_file(args.html)
    measurements = measure_corpus(
        args.manifest,
        read_recordings=not args.no_audio,
        raw=raw_format(args),
        jobs=args.jobs,
        progress=not args.quiet,
    )
    if not measurements.utterances:
        raise EmptyManifest(args.manifest)
    summary = summarize_measurements(measurements, alphabet)
    if args.json:
        print(json.dumps(summary.to_dict(), ensure_ascii=False))
    else:
        print(summary.text())
    if args.html:
        from ds2_tf.reports.corpus_report import corpus_page

        with open(args.html, "w", encoding="utf-8") as file:
            file.write(corpus_page(measurements, summary, title=args.manifest))
    return 0
