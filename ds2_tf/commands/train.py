# SPDX-License-Identifier: Apache-2.0
"""Train a recipe on records and write a model directory.

The records are made by `ds2 pipeline ingest`. A run that was stopped goes on at its last checkpoint
when the same command is given again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 train`."""
    parser.add_argument("recipe", metavar="RECIPE.yaml", help="network and training")
    parser.add_argument(
        "--records",
        required=True,
        metavar="DIR",
        help="output of `ds2 pipeline ingest`, with the splits train and dev",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the model directory")
    parser.add_argument(
        "--state",
        metavar="DIR",
        help="checkpoints to go on from (default: the output with `-state` at its end)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 train`."""
    from ds2_tf.config import load_recipe
    from ds2_tf.corpora.records import split_files
    from ds2_tf.corpora.statistics import compute_statistics

    recipe = load_recipe(args.recipe)
    train_records = split_files(args.records, "train")
    dev_records = split_files(args.records, "dev")

    from ds2_tf.training.trainer import train

    result = train(
        recipe,
        train_records=train_records,
        dev_records=dev_records,
        statistics=compute_statistics(train_records, recipe.features),
        output_directory=args.output,
        state_directory=args.state or pathlib.Path(args.output + "-state"),
    )
    if args.json:
        print(json.dumps(dataclasses.asdict(result)))
    else:
        print(
            f"dev WER {result.wer:.2%}, CER {result.cer:.2%} at epoch {result.best_epoch} of "
            f"{result.epochs}; the model is in {args.output}"
        )
    return 0
