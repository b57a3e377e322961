# SPDX-License-Identifier: Apache-2.0
"""Train a recipe and write a model directory.

Trains on the recordings of a manifest, which a recipe can change on the fly, or on the records that
`ds2 pipeline ingest` has made of them. A run that was stopped goes on at its last checkpoint when
the same command is given again. All visible GPUs share every batch, and with TF_CONFIG all workers
that it names: start the same command on each, with a state directory that all of them see.
"""

from __future__ import annotations

import argparse
import dataclasses
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 train`."""
    from ds2_tf.audio.graph_reading import DECODERS
    from ds2_tf.commands.corpus_arguments import add_bad_share_argument, add_raw_arguments

    parser.add_argument("recipe", metavar="RECIPE.yaml", help="network and training")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--manifest", metavar="FILE", help="recordings, with the splits train and dev"
    )
    source.add_argument(
        "--records",
        metavar="DIR",
        help="output of `ds2 pipeline ingest`, with the splits train and dev",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the model directory")
    parser.add_argument(
        "--state",
        metavar="DIR",
        help="checkpoints to go on from (default: the output with `-state` at its end)",
    )
    parser.add_argument(
        "--train-split",
        nargs="+",
        metavar="NAME",
        help="with --manifest: the splits to train on, such as `train dev` at the very end "
        "(default: train)",
    )
    add_bad_share_argument(parser, only_with="--manifest")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value in place of the recipe's, such as training.epochs=35; may be given several "
        "times",
    )
    parser.add_argument(
        "--initial-model",
        metavar="DIR",
        help="start from the weights of this model, in all layers of the same name and shape",
    )
    parser.add_argument(
        "--decoder",
        choices=DECODERS,
        default="soundfile",
        help="what decodes recordings: tensorflow-io does it inside the graph, about four times as "
        "slowly (default: soundfile)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 train`."""
    from ds2_tf.commands.corpus_arguments import raw_format
    from ds2_tf.commands.output_files import prepare_output_directory
    from ds2_tf.corpora.records import split_files
    from ds2_tf.corpora.rejection import DEFAULT_LIMIT
    from ds2_tf.errors import UserError
    from ds2_tf.recipes import load_recipe

    recipe = load_recipe(args.recipe, args.set)
    if args.records and args.train_split:
        raise UserError(
            "--train-split chooses among the splits of a manifest; records are ingested for the "
            "splits that they are to be used for."
        )
    if args.records and args.max_bad_share is not None:
        raise UserError(
            "--max-bad-share is about the recordings of a manifest; records hold the usable ones "
            "alone: give it to `ds2 pipeline ingest`."
        )
    if args.records:
        train_files = split_files(args.records, "train")
        dev_files = split_files(args.records, "dev")

    from ds2_tf.training.data import AudioData, RecordData
    from ds2_tf.training.strategy import is_chief, make_strategy
    from ds2_tf.training.trainer import train

    # Before the data, for workers must be joined before TensorFlow computes anything.
    strategy = make_strategy()
    state = args.state or args.output.rstrip("/") + "-state"
    if is_chief(strategy):
        for directory in (args.output, state):
            prepare_output_directory(directory)
    if args.records:
        data = RecordData(recipe, train_files, dev_files)
    else:
        data = AudioData(
            recipe,
            args.manifest,
            train_split=args.train_split or "train",
            raw=raw_format(args),
            max_bad_share=DEFAULT_LIMIT if args.max_bad_share is None else args.max_bad_share,
            decoder=args.decoder,
            jobs=None,
        )
    result = train(
        recipe,
        data,
        output_directory=args.output,
        state_directory=state,
        strategy=strategy,
        initial_model=args.initial_model,
    )
    if not is_chief(strategy):
        return 0
    if args.json:
        print(json.dumps(dataclasses.asdict(result)))
    else:
        print(
            f"dev WER {result.wer:.2%}, CER {result.cer:.2%} at epoch {result.best_epoch} of "
            f"{result.epochs}; the model is in {args.output}"
        )
    return 0
