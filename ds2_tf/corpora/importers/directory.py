# SPDX-License-Identifier: Apache-2.0
"""A corpus of one's own: recordings with a text file each, or with one table for all."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterator, Sequence

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora.importers.holdout import split_by_share
from ds2_tf.corpora.importers.recordings import AUDIO_SUFFIXES, ImportSummary, write_imported
from ds2_tf.corpora.manifest import FIELDS, Utterance
from ds2_tf.errors import UserError
from ds2_tf.text.normalization import normalization

# With fewer speakers, holding whole ones out would leave hardly anyone to learn from.
_FEWEST_SPEAKERS_TO_HOLD_OUT = 3


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of a table's columns; the last three may be absent.

    Attributes:
        audio: path of the recording, relative to the directory. Defaults to "audio".
        transcript: Defaults to "transcript".
        id: without it, the path of the recording without its suffix. Defaults to "id".
        speaker: Defaults to "speaker".
        split: Defaults to "split".
    """

    audio: str = "audio"
    transcript: str = "transcript"
    id: str = "id"
    speaker: str = "speaker"
    split: str = "split"


def import_directory(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    table: str | os.PathLike | None = None,
    columns: Columns = Columns(),
    speaker_from_folder: bool = False,
    language: str = "en",
    dev_share: float = 0.05,
    test_share: float = 0.05,
    seed: int = 1,
    raw: RawFormat | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> ImportSummary:
    """Writes the manifest of a directory of recordings.

    Where no table assigns splits, whole speakers are held out if every utterance has one and there
    are three or more, single utterances otherwise.

    Args:
        source: searched with all its folders for recordings that have a `.txt` of the same name
            beside them, which holds the transcript.
        output: path of the manifest.
        table: a `.csv` or `.tsv` file with column names in its first line, instead of the text
            files. Columns not named in `columns` become further fields of the manifest.
        columns: what the table's columns are called.
        speaker_from_folder: without a table, a recording's folder names its speaker. Defaults to
            false.
        language: of the transcripts, see `ds2_tf.text.normalization.normalization`; "none" keeps
            them as they are. Defaults to "en".
        dev_share: share of speakers or utterances for "dev". Defaults to 0.05.
        test_share: share of speakers or utterances for "test". Defaults to 0.05.
        seed: chooses them. Defaults to 1.
        raw: the format of headerless recordings.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Raises:
        UserError: nothing is found, or the table lacks a column.
    """
    root = pathlib.Path(source)
    if table is None:
        utterances = list(_read_text_files(root, speaker_from_folder))
    else:
        utterances = list(_read_table(root, pathlib.Path(table), columns))
    if not utterances:
        where = (
            f"{table} has no line"
            if table
            else (
                f"{root} holds no recording ({', '.join(AUDIO_SUFFIXES)}) with a .txt file of the "
                "same name beside it"
            )
        )
        raise UserError(f"There is nothing to import: {where}.")
    if language != "none":
        normalize = normalization(language)
        utterances = [
            dataclasses.replace(u, transcript=normalize(u.transcript)) for u in utterances
        ]
    if not any(utterance.split for utterance in utterances):
        utterances = _assign_splits(utterances, dev_share, test_share, seed)
    return write_imported(output, utterances, raw=raw, jobs=jobs, progress=progress)


def _read_text_files(root: pathlib.Path, speaker_from_folder: bool) -> Iterator[Utterance]:
    for path in sorted(root.rglob("*")):
        text_file = path.with_suffix(".txt")
        if path.suffix.lower() in AUDIO_SUFFIXES and text_file.exists():
            yield Utterance(
                id=path.relative_to(root).with_suffix("").as_posix(),
                audio=str(path),
                transcript=_read_text(text_file).strip(),
                speaker=path.parent.name if speaker_from_folder else None,
            )


def _read_table(root: pathlib.Path, table: pathlib.Path, columns: Columns) -> Iterator[Utterance]:
    tabs = table.suffix.lower() == ".tsv"
    reader = csv.DictReader(
        io.StringIO(_read_text(table), newline=""),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
    )
    found = reader.fieldnames or []
    missing = [name for name in (columns.audio, columns.transcript) if name not in found]
    if missing:
        raise UserError(
            f"{table} has no column {', '.join(missing)}; it has {', '.join(found) or 'none'}. "
            "State the names with --audio-column and --transcript-column."
        )
    for row in reader:
        # Cells past the last column name, and missing ones.
        row = {name: cell for name, cell in row.items() if name and cell is not None}
        audio = row.pop(columns.audio, "")
        if not audio:
            raise UserError(f"{table}, line {reader.line_num}: {columns.audio} is empty.")
        yield Utterance(
            audio=str(root / audio),
            transcript=row.pop(columns.transcript, ""),
            id=row.pop(columns.id, "") or os.path.splitext(audio)[0],
            speaker=row.pop(columns.speaker, "") or None,
            split=row.pop(columns.split, "") or None,
            extra={name: cell for name, cell in row.items() if name not in FIELDS},
        )


def _read_text(path: pathlib.Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error}.") from error


def _assign_splits(
    utterances: Sequence[Utterance], dev_share: float, test_share: float, seed: int
) -> list[Utterance]:
    speakers = {utterance.speaker for utterance in utterances}
    if None not in speakers and len(speakers) >= _FEWEST_SPEAKERS_TO_HOLD_OUT:
        splits = split_by_share(speakers, dev_share, test_share, seed)
        return [dataclasses.replace(u, split=splits[u.speaker]) for u in utterances]
    splits = split_by_share((u.id for u in utterances), dev_share, test_share, seed)
    return [dataclasses.replace(u, split=splits[u.id]) for u in utterances]
