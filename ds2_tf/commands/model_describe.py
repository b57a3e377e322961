# SPDX-License-Identifier: Apache-2.0
"""Describe a network: layers, shapes, parameters, look-ahead, cost and memory.

The network is that of a preset, of a recipe or of a trained model. Nothing is built: the largest
takes no longer.
"""

from __future__ import annotations

import argparse
import json
import pathlib


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 model describe`."""
    from ds2_tf.models.presets import PRESETS

    width = max(map(len, PRESETS))
    presets = "\n".join(f"  {name:{width}}  {p.summary}" for name, p in PRESETS.items())
    parser.epilog = f"presets:\n{presets}"
    parser.add_argument(
        "network",
        metavar="PRESET|RECIPE.yaml|DIR",
        help="a preset, a recipe or a model directory",
    )
    parser.add_argument(
        "--seconds",
        type=_positive(float),
        default=10.0,
        metavar="S",
        help="audio an utterance (default: 10)",
    )
    parser.add_argument(
        "--batch-size", type=_positive(int), default=1, metavar="N", help="utterances (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the description as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 model describe`."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.errors import UserError
    from ds2_tf.models.cost import network_cost
    from ds2_tf.models.model_directory import load_description
    from ds2_tf.models.presets import PRESETS
    from ds2_tf.recipes import load_recipe

    path = pathlib.Path(args.network)
    if args.network in PRESETS:
        chosen = PRESETS[args.network]
        model, num_labels, features = chosen.model, chosen.num_labels, SpectrogramConfig()
    elif path.is_dir() or path.suffix in (".yaml", ".yml"):
        described = load_description(path) if path.is_dir() else load_recipe(path)
        model, num_labels = described.model, len(described.alphabet) + 1
        features = described.features
    else:
        raise UserError(
            f"There is no preset and no model directory {args.network!r}; choose one of "
            f"{', '.join(PRESETS)}, or name a recipe (.yaml) or a model directory."
        )
    cost = network_cost(
        model, num_labels, features, batch_size=args.batch_size, seconds=args.seconds
    )
    print(json.dumps(cost.to_dict()) if args.json else cost.text())
    return 0


def _positive(kind: type):
    """An argument type: a number of a kind, over 0."""

    def parse(text: str):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse
