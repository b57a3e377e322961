# SPDX-License-Identifier: Apache-2.0
"""Find when each word of a corpus is said, with a trained model, and add it to the manifest.

Every utterance that can be aligned gets a field "words", a list of [word, start, end] in seconds:
of the most probable alignment of its transcript under CTC. Networks trained with CTC say a word in
less time than it takes to speak, so these times lie within the word.
"""

from __future__ import annotations

import argparse

from ds2_tf.commands.corpus_arguments import (
    add_bad_share_argument,
    add_raw_arguments,
    raw_format,
)
from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 corpus align`."""
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument("--output", "-o", required=True, metavar="FILE", help="the new manifest")
    parser.add_argument(
        "--split", metavar="NAME", help="align only this split, and keep the others"
    )
    add_bad_share_argument(parser)
    add_raw_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 corpus align`."""
    import dataclasses

    from ds2_tf.corpora.manifest import (
        WORDS_FIELD,
        moved,
        read_manifest,
        require_splits,
        write_manifest,
    )
    from ds2_tf.corpora.rejection import Rejection, RejectionReport
    from ds2_tf.decoding.forced_alignment import align_words
    from ds2_tf.evaluation import recognize_manifest
    from ds2_tf.recognizer import Recognizer

    if args.split is not None:
        require_splits([args.split], args.manifest)
    prepare_output_file(args.output)
    recognizer = Recognizer.load(args.model)
    seconds = recognizer.frame_seconds
    report, times = RejectionReport(), {}
    for chunk in recognize_manifest(
        recognizer, args.manifest, report, split=args.split, raw=raw_format(args)
    ):
        for utterance, recognition, _ in chunk:
            try:
                words = align_words(
                    recognition.log_probs, utterance.transcript, recognizer.alphabet
                )
            except ValueError as error:
                report.rejections.append(
                    Rejection(utterance.id, "too-short-for-transcript", str(error))
                )
                continue
            times[utterance.id] = [
                [word.text, round(word.start * seconds, 3), round(word.end * seconds, 3)]
                for word in words
            ]
    report.enforce(args.max_bad_share)
    write_manifest(
        args.output,
        (
            dataclasses.replace(
                moved(utterance, args.manifest, args.output),
                extra={**utterance.extra, WORDS_FIELD: times[utterance.id]}
                if utterance.id in times
                else utterance.extra,
            )
            for utterance in read_manifest(args.manifest)
        ),
    )
    print(f"{len(times)} utterances aligned, in {args.output}")
    if report.rejections:
        print(report.summary())
    return 0
