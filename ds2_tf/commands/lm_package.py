# SPDX-License-Identifier: Apache-2.0
"""Make a decoder package: language model, vocabulary and options of the search in one file.

ds2 lm tune puts the best weights into it; ds2 transcribe and ds2 evaluate take it as --decoder.
"""

from __future__ import annotations

import argparse

from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 lm package`."""
    from ds2_tf.commands.alphabet_argument import add_alphabet_arguments

    parser.add_argument("lm", metavar="LM", help="a KenLM binary of type probing (ds2 lm build)")
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="package to write")
    add_alphabet_arguments(parser)
    parser.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="the known words, one a line (default: those of a word model)",
    )
    parser.add_argument(
        "--open-vocabulary",
        action="store_true",
        help="let any word come out, at a penalty (default: only those of the vocabulary)",
    )
    for name, default, text in [
        ("alpha", 1.0, "weight of the language model's natural log probability"),
        ("beta", 0.0, "added for each word, or character with a character model"),
        ("unknown-score", -10.0, "added for each word outside the vocabulary"),
        ("beam-threshold", 25.0, "drop prefixes this much worse than the best, in natural log"),
        ("cumulative", 1.0, "share of a frame's probability whose labels are followed"),
    ]:
        parser.add_argument(
            f"--{name}",
            type=float,
            default=default,
            metavar="X",
            help=f"{text} (default: {default:g})",
        )
    for name, default, text in [
        ("beam-size", 500, "prefixes that are kept"),
        ("max-labels", 40, "most labels that are followed in a frame"),
    ]:
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default})"
        )


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 lm package`."""
    import dataclasses

    from ds2_tf.commands.alphabet_argument import alphabet_from
    from ds2_tf.decoding.beam_search import BeamOptions
    from ds2_tf.decoding.ngram_model import NgramModel
    from ds2_tf.decoding.package import write_package
    from ds2_tf.lm.text import read_sentences

    options = BeamOptions(
        **{f.name: getattr(args, f.name) for f in dataclasses.fields(BeamOptions)}
    )
    vocabulary = None
    if args.vocabulary:
        vocabulary = [line.strip() for line in read_sentences(args.vocabulary) if line.strip()]
    model, alphabet = NgramModel(args.lm), alphabet_from(args)
    prepare_output_file(args.output)
    write_package(args.output, alphabet, options, model, vocabulary)
    kind = "characters" if model.is_of_characters else "words"
    print(f"{args.output}: {model.order}-gram model of {len(model.words):,} {kind}")
    return 0
