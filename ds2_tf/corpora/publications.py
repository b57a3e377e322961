# SPDX-License-Identifier: Apache-2.0
"""Where published corpora are to be had."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import tarfile
from collections.abc import Sequence

from ds2_tf.corpora.download import download
from ds2_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Archive:
    """A part of a corpus.

    Attributes:
        url: of a .tar.gz or .tar.bz2.
        folder: what it unpacks into.
        md5: checksum of the publisher, if there is one.
        sha256: likewise.
    """

    url: str
    folder: str
    md5: str | None = None
    sha256: str | None = None


def _librispeech(part: str, md5: str) -> Archive:
    url = f"https://www.openslr.org/resources/12/{part}.tar.gz"
    return Archive(url, f"LibriSpeech/{part}", md5=md5)


CORPORA: dict[str, dict[str, Archive]] = {
    "an4": {"an4": Archive("http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz", "an4")},
    "ljspeech": {
        "ljspeech": Archive(
            "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            "LJSpeech-1.1",
            sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        )
    },
    "librispeech": {
        part: _librispeech(part, md5)
        for part, md5 in {
            "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
            "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
            "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
            "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
            "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
            "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
            "test-other": "fb5a50374b501bb3bac4815ee91d3135",
        }.items()
    },
}


def fetch_corpus(
    corpus: str,
    directory: str | os.PathLike,
    *,
    parts: Sequence[str] = (),
    keep_archives: bool = False,
    progress: bool = True,
) -> list[pathlib.Path]:
    """Downloads and unpacks a corpus; what is there already is left alone.

    Args:
        corpus: a key of `CORPORA`.
        directory: where archives and unpacked folders go.
        parts: of the corpus. Defaults to all.
        keep_archives: do not remove an archive once it is unpacked. Defaults to false.
        progress: show a bar for each download. Defaults to true.

    Returns:
        The unpacked folders.

    Raises:
        UserError: there is no such part, or a download fails, or an archive is damaged.
    """
    archives = CORPORA[corpus]
    unknown = [part for part in parts if part not in archives]
    if unknown:
        raise UserError(f"{corpus} has no part {', '.join(unknown)}; it has {', '.join(archives)}.")
    directory = pathlib.Path(directory)
    folders = []
    for part in parts or archives:
        archive = archives[part]
        folder = directory / archive.folder
        if not folder.exists():
            path = download(
                archive.url,
                directory / archive.url.rsplit("/", 1)[-1],
                md5=archive.md5,
                sha256=archive.sha256,
                progress=progress,
            )
            _unpack(path, directory, archive.folder)
            if not keep_archives:
                path.unlink()
        folders.append(folder)
    return folders


def _unpack(path: pathlib.Path, directory: pathlib.Path, folder: str) -> None:
    """Unpacks an archive; its folder appears only when it is whole."""
    unpacking = path.with_name(f".{path.name}.unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)
    try:
        with tarfile.open(path) as archive:
            # The filter refuses members that would land outside, and devices.
            archive.extractall(unpacking, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(
            f"{path} cannot be unpacked: {error}. Remove it to download it again."
        ) from error
    if not (unpacking / folder).is_dir():
        raise UserError(f"{path} does not hold the folder {folder}: is it the right archive?")
    (directory / folder).parent.mkdir(parents=True, exist_ok=True)
    (unpacking / folder).rename(directory / folder)
    shutil.rmtree(unpacking)
