# SPDX-License-Identifier: Apache-2.0
"""Publish a model as a version that TensorFlow Serving can load.

Writes the SavedModel, checks it in a clean process as the server will load it, and makes it appear
under its number only then.
"""

from __future__ import annotations

import argparse
import json

from ds2_tf.commands.output_files import prepare_output_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 export`."""
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="the base path that the server is given"
    )
    parser.add_argument(
        "--version",
        type=int,
        metavar="N",
        help="number of the version (default: one more than the highest)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 export`."""
    from ds2_tf.export.saved_model import export_saved_model

    prepare_output_directory(args.output)
    path = export_saved_model(args.model, args.output, version=args.version)
    if args.json:
        print(json.dumps({"path": str(path), "version": int(path.name)}))
    else:
        print(f"version {path.name} is in {path}")
    return 0
