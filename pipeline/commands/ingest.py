# SPDX-License-Identifier: Apache-2.0
"""Compute the features of a corpus once, as sharded records to train from.

Reads manifests, computes log-spectrograms with Apache Beam and writes
DIR/Split-<name>/data_tfrecord-*.gz, utterances from short to long. Utterances that cannot be used
are named, with the reason, in DIR/rejections.json. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys

from ds2_tf.commands.output_files import prepare_output_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 pipeline ingest`."""
    from ds2_tf.commands.corpus_arguments import add_bad_share_argument, add_raw_arguments

    parser.add_argument(
        "--manifest",
        action="append",
        required=True,
        metavar="PATH",
        help="a manifest or a file pattern of manifests, may be repeated; with "
        "--split-by manifest SPLIT=PATH",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="where the records go")
    parser.add_argument(
        "--recipe", required=True, metavar="YAML", help="defines the features and the alphabet"
    )
    parser.add_argument(
        "--split-by",
        choices=("column", "manifest", "speaker"),
        default="column",
        help="what decides the split: the manifest's split column, the manifest, or a hash of the "
        "speaker (default: column)",
    )
    parser.add_argument(
        "--split-share",
        action="append",
        metavar="SPLIT=SHARE",
        help="for --split-by speaker, may be repeated (default: train=0.9 dev=0.1)",
    )
    parser.add_argument(
        "--shards", type=int, default=8, metavar="N", help="files of each split (default: 8)"
    )
    add_bad_share_argument(parser)
    add_raw_arguments(parser)
    parser.add_argument(
        "beam_args",
        nargs=argparse.REMAINDER,
        metavar="-- BEAM_OPTIONS",
        help="options of the Beam runner, such as "
        "-- --direct_num_workers=2 --direct_running_mode=multi_processing "
        "(default: one process)",
    )


def run(args: argparse.Namespace) -> int:
    """Ingests; prints what each split holds."""
    from ds2_tf.commands.corpus_arguments import raw_format
    from ds2_tf.recipes import load_recipe
    from pipeline.ingestion.config import IngestionConfig
    from pipeline.ingestion.ingest import REPORT_NAME, ingest
    from pipeline.quiet import quiet_libraries

    beam_args = _beam_args(args.beam_args)
    options = {"split_by": args.split_by, "shards": args.shards, "raw": raw_format(args)}
    if args.split_share:
        options["split_shares"] = _split_shares(args.split_share)
    config = IngestionConfig.from_recipe(load_recipe(args.recipe), **options)
    manifests = [_manifest_source(text, args.split_by) for text in args.manifest]
    quiet_libraries()
    prepare_output_directory(args.output)
    result = ingest(
        manifests,
        config,
        args.output,
        max_bad_share=args.max_bad_share,
        beam_args=beam_args,
        show_progress=True,
    )
    for name, split in sorted(result.splits.items()):
        reused = f", {split.reused} of them reused" if split.reused else ""
        print(
            f"{name}: {split.utterances} utterances, {split.audio_seconds / 3600:.2f} h, "
            f"{split.shards} shards{reused}"
        )
    if result.report.rejections:
        print(
            f"{result.report.summary()}\nThe whole report: {args.output}/{REPORT_NAME}",
            file=sys.stderr,
        )
    return 0


def _beam_args(words: list[str]) -> list[str]:
    """What follows ` -- `. Without it, argparse has taken a stray word and all that follows."""
    from ds2_tf.errors import UserError

    if words and words[0] != "--":
        raise UserError(
            f"{words[0]!r} belongs to no option, so that it and what follows would go to Beam. "
            "Several manifests are given by repeating --manifest, or as one pattern in quotes "
            "(--manifest 'DIR/*.jsonl'); options for Beam follow after ` -- `."
        )
    return words[1:]


def _manifest_source(text: str, split_by: str):
    from ds2_tf.errors import UserError
    from pipeline.ingestion.sources import ManifestSource

    if split_by != "manifest":
        return ManifestSource(text)
    split, separator, path = text.partition("=")
    if not (split and separator and path):
        raise UserError(f"With --split-by manifest, --manifest takes SPLIT=PATH, got {text!r}.")
    return ManifestSource(path, split)


def _split_shares(texts: list[str]) -> dict[str, float]:
    from ds2_tf.errors import UserError

    try:
        return {split: float(share) for split, share in (text.split("=") for text in texts)}
    except ValueError:
        raise UserError(
            f"--split-share takes SPLIT=SHARE, such as train=0.9, got {texts}."
        ) from None
