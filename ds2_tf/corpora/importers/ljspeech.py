# SPDX-License-Identifier: Apache-2.0
"""LJSpeech: one speaker reading books, 24 hours, 22.05 kHz.

Layout as published, the recordings in any audio format:

    metadata.csv        LJ001-0001|text as printed|text as read
    wavs/LJ001-0001.wav
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

from ds2_tf.corpora.importers.holdout import split_by_share
from ds2_tf.corpora.importers.recordings import ImportSummary, find_recording, write_imported
from ds2_tf.corpora.manifest import Utterance
from ds2_tf.errors import UserError
from ds2_tf.text.normalization import normalize_english


def import_ljspeech(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    dev_share: float = 0.05,
    test_share: float = 0.05,
    seed: int = 1,
    jobs: int | None = None,
    progress: bool = True,
) -> ImportSummary:
    """Writes the manifest of LJSpeech, with the text as read, normalized.

    Args:
        source: the unpacked archive, with `metadata.csv` and `wavs` in it.
        output: path of the manifest.
        dev_share: share of the clips for "dev". Defaults to 0.05.
        test_share: share of the clips for "test". Defaults to 0.05.
        seed: chooses the clips of dev and test. Defaults to 1.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Raises:
        UserError: the directory is not LJSpeech.
    """
    root = pathlib.Path(source)
    texts = dict(_read_metadata(root / "metadata.csv"))
    splits = split_by_share(texts, dev_share, test_share, seed)
    utterances = (
        Utterance(
            id=clip,
            audio=str(find_recording(root / "wavs" / clip) or root / "wavs" / f"{clip}.wav"),
            transcript=normalize_english(text),
            speaker="lj",
            split=splits[clip],
        )
        for clip, text in texts.items()
    )
    return write_imported(output, utterances, raw=None, jobs=jobs, progress=progress)


def _read_metadata(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields ids and texts as read. Quotation marks are part of the text, not of the format."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except OSError as error:
        raise UserError(
            f"{path.parent} is not LJSpeech: {path} cannot be read: {error.strerror}."
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        columns = line.split("|")
        if len(columns) < 2:
            raise UserError(f"{path}, line {number}: expected id|text|text as read, got {line!r}.")
        yield columns[0], columns[-1]
