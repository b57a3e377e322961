# SPDX-License-Identifier: Apache-2.0
"""Collect the alphabet of a language from transcripts or text, for a recipe's alphabet_file."""

from __future__ import annotations

import argparse

from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus alphabet`."""
    parser.add_argument(
        "text", nargs="+", metavar="TEXT", help="manifests (.jsonl), or UTF-8 text, also .gz"
    )
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="one label a line")
    parser.add_argument("--split", metavar="NAME", help="only this split of manifests")
    parser.add_argument(
        "--language",
        default="none",
        metavar="CODE",
        help="normalize the text first, as `ds2 corpus import directory` does (default: none)",
    )
    parser.add_argument(
        "--min-count", type=int, default=1, metavar="N", help="leave out what is rarer (default: 1)"
    )
    parser.add_argument(
        "--max-characters", type=int, metavar="N", help="keep the most frequent (default: all)"
    )
    parser.add_argument(
        "--bigrams",
        type=int,
        default=0,
        metavar="N",
        help="also the N most frequent pairs of characters, for networks with few output frames a "
        "second (default: 0)",
    )
    parser.add_argument(
        "--include",
        default="",
        metavar="CHARACTERS",
        help="in any case, such as abcdefghijklmnopqrstuvwxyz beside Mandarin's",
    )


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus alphabet`."""
    from ds2_tf.corpora.manifest import require_splits
    from ds2_tf.errors import UserError
    from ds2_tf.lm.text import is_manifest, read_sentences
    from ds2_tf.text.alphabet_building import build_alphabet
    from ds2_tf.text.normalization import normalization

    normalize = normalization(args.language)
    if args.split is not None:
        manifests = list(filter(is_manifest, args.text))
        if not manifests:
            raise UserError("--split chooses from manifests (.jsonl), and none is given.")
        require_splits([args.split], *manifests)
    prepare_output_file(args.output)
    alphabet = build_alphabet(
        (
            normalize(text)
            for path in args.text
            for text in read_sentences(path, args.split if is_manifest(path) else None)
        ),
        min_count=args.min_count,
        max_characters=args.max_characters,
        num_bigrams=args.bigrams,
        include=args.include,
    )
    alphabet.save(args.output)
    characters = len(alphabet.characters)
    print(f"{characters} characters, {alphabet.size - 1 - characters} bigrams in {args.output}")
    return 0
