# SPDX-License-Identifier: Apache-2.0
"""CMU AN4: spelled names, addresses and numbers; 16 kHz, 50 minutes, some 80 speakers.

Layout as published, the recordings in any audio format:

    etc/an4_train.fileids            an4_clstk/fash/an251-fash-b
    etc/an4_train.transcription      <s> YES </s> (an251-fash-b)
    etc/an4_test.fileids, etc/an4_test.transcription
    wav/an4_clstk/fash/an251-fash-b.sph
    wav/an4test_clstk/...
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Collection, Iterator

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora.importers.holdout import hold_out
from ds2_tf.corpora.importers.recordings import ImportSummary, find_recording, write_imported
from ds2_tf.corpora.manifest import Utterance
from ds2_tf.errors import UserError

DEFAULT_DEV_SPEAKERS = 7

_TRANSCRIPTION = re.compile(r"(?:<s>)?(?P<words>.*?)(?:</s>)?\s*\((?P<id>[^()]+)\)\s*", re.DOTALL)


def import_an4(
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    dev_speakers: int | Collection[str] = DEFAULT_DEV_SPEAKERS,
    seed: int = 1,
    raw: RawFormat = RawFormat(sample_rate=16000),
    jobs: int | None = None,
    progress: bool = True,
) -> ImportSummary:
    """Writes the manifest of AN4.

    Args:
        source: the unpacked archive, with `etc` and `wav` in it; the test part may be absent.
        output: path of the manifest.
        dev_speakers: speakers of the training part held out as "dev": how many, or their names.
            Defaults to 7.
        seed: chooses the dev speakers. Defaults to 1.
        raw: the format of `.raw` files. Defaults to 16 kHz, 16 bit, little endian.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Raises:
        UserError: the directory is not AN4, or has not the speakers asked for.
    """
    root = pathlib.Path(source)
    if not (root / "etc/an4_train.fileids").exists():
        raise UserError(
            f"{root} is not AN4: there is no {root / 'etc/an4_train.fileids'}. Give the folder "
            "that holds etc and wav."
        )
    training = list(_read_part(root, "train"))
    speakers = {utterance.speaker for utterance in training}
    if isinstance(dev_speakers, int):
        if dev_speakers >= len(speakers):
            raise UserError(
                f"{dev_speakers} dev speakers asked for, AN4's training part here has "
                f"{len(speakers)}: none would be left to train on."
            )
        dev_speakers = hold_out(speakers, dev_speakers, seed)
    unknown = sorted(set(dev_speakers) - speakers)
    if unknown:
        raise UserError(
            f"AN4's training part has no speaker {', '.join(unknown)}; "
            f"it has {', '.join(sorted(speakers))}."
        )
    utterances = [
        Utterance(
            id=utterance.id,
            audio=utterance.audio,
            transcript=utterance.transcript,
            speaker=utterance.speaker,
            split="dev" if utterance.speaker in dev_speakers else "train",
        )
        for utterance in training
    ]
    if (root / "etc/an4_test.fileids").exists() and (root / "wav/an4test_clstk").exists():
        utterances += _read_part(root, "test")
    return write_imported(output, utterances, raw=raw, jobs=jobs, progress=progress)


def _read_part(root: pathlib.Path, part: str) -> Iterator[Utterance]:
    transcription_path = root / f"etc/an4_{part}.transcription"
    try:
        lines = transcription_path.read_text("utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{transcription_path} cannot be read: {error.strerror}.") from error
    matches = filter(None, map(_TRANSCRIPTION.fullmatch, lines))
    transcripts = {m["id"]: " ".join(m["words"].lower().split()) for m in matches}
    for file_id in (root / f"etc/an4_{part}.fileids").read_text("utf-8").split():
        without_suffix = root / "wav" / file_id
        recording = find_recording(without_suffix) or f"{without_suffix}.sph"
        yield Utterance(
            id=without_suffix.name,
            audio=str(recording),
            transcript=transcripts.get(without_suffix.name, ""),
            speaker=without_suffix.parent.name,
            split=part,
        )
