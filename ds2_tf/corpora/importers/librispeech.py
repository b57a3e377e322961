# SPDX-License-Identifier: Apache-2.0
"""LibriSpeech: 1,000 hours of read English, 2,484 speakers, 16 kHz.

Layout as published, any of its parts:

    train-clean-100/103/1240/103-1240-0000.flac
    train-clean-100/103/1240/103-1240.trans.txt      103-1240-0000 CHAPTER ONE MISSUS RACHEL ...
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

from ds2_tf.corpora.importers.recordings import ImportSummary, find_recording, write_imported
from ds2_tf.corpora.manifest import Utterance
from ds2_tf.errors import UserError

_SPLITS = ("train", "dev", "test")


def import_librispeech(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> ImportSummary:
    """Writes the manifest of LibriSpeech, its splits as published.

    The part, such as "test-other", is a further field of each utterance, `part`.

    Args:
        source: the folder LibriSpeech, with one part or more in it.
        output: path of the manifest.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Raises:
        UserError: the directory is not LibriSpeech.
    """
    root = pathlib.Path(source)
    parts = [
        path
        for path in sorted(root.glob("*-*"))
        if path.is_dir() and path.name.split("-")[0] in _SPLITS
    ]
    if not parts:
        raise UserError(
            f"{root} is not LibriSpeech: it has no folder such as train-clean-100 or dev-other."
        )
    utterances = (utterance for part in parts for utterance in _read_part(part))
    return write_imported(output, utterances, raw=None, jobs=jobs, progress=progress)


def _read_part(part: pathlib.Path) -> Iterator[Utterance]:
    for path in sorted(part.glob("*/*/*.trans.txt")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            name, _, text = line.partition(" ")
            if not text.strip():
                raise UserError(f"{path}, line {number}: expected an id and a text, got {line!r}.")
            recording = find_recording(path.parent / name) or path.parent / f"{name}.flac"
            yield Utterance(
                id=name,
                audio=str(recording),
                transcript=text.strip().lower(),
                speaker=name.split("-")[0],
                split=part.name.split("-")[0],
                extra={"part": part.name},
            )
