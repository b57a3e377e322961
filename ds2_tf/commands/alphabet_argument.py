# SPDX-License-Identifier: Apache-2.0
"""The options by which commands without a network learn its alphabet."""

from __future__ import annotations

import argparse


def add_alphabet_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --model and --alphabet, of which one at most may be given."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--model", metavar="DIR", help="a model directory, whose alphabet counts (default: English)"
    )
    source.add_argument("--alphabet", metavar="FILE", help="the labels of the alphabet, one a line")


def alphabet_from(args: argparse.Namespace):
    """The alphabet that the options ask for.

    Raises:
        UserError: it cannot be read.
    """
    from ds2_tf.text.alphabet import Alphabet

    if args.alphabet:
        return Alphabet.load(args.alphabet)
    if args.model:
        from ds2_tf.models.model_directory import alphabet_of, load_description

        return alphabet_of(load_description(args.model))
    return Alphabet.english()
