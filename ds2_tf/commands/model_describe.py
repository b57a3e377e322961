# SPDX-License-Identifier: Apache-2.0
"""Describe a network: layers, shapes, parameters, look-ahead, cost and memory.

The network is that of a preset or of a recipe. Nothing is built: the largest takes no longer.
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
    parser.add_argument("network", metavar="PRESET|RECIPE.yaml")
    parser.add_argument(
        "--seconds", type=_positive(float), default=10.0, metavar="S", help="audio an utterance"
    )
    parser.add_argument(
        "--batch-size", type=_positive(int), default=1, metavar="N", help="utterances (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the description as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 model describe`."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.models.cost import network_cost
    from ds2_tf.models.presets import preset
    from ds2_tf.recipes import load_recipe

    if pathlib.Path(args.network).suffix in (".yaml", ".yml"):
        recipe = load_recipe(args.network)
        model, num_labels, features = recipe.model, len(recipe.alphabet) + 1, recipe.features
    else:
        chosen = preset(args.network)
        model, num_labels, features = chosen.model, chosen.num_labels, SpectrogramConfig()
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
