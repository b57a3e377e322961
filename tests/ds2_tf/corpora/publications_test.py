# SPDX-License-Identifier: Apache-2.0
"""Corpora are fetched and unpacked, here from archives of our own."""

import io
import re
import tarfile

import pytest

from ds2_tf.corpora import publications
from ds2_tf.corpora.publications import CORPORA, Archive, fetch_corpus
from ds2_tf.errors import UserError


def write_archive(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Two parts of LibriSpeech, published as local files."""
    archives = {}
    for part in ("dev-clean", "test-clean"):
        path = tmp_path / f"{part}.tar.gz"
        write_archive(path, {f"LibriSpeech/{part}/1/2/1-2.trans.txt": part.encode()})
        archives[part] = Archive(path.as_uri(), f"LibriSpeech/{part}")
    monkeypatch.setitem(publications.CORPORA, "librispeech", archives)
    return archives


def fetch(directory, **options):
    return fetch_corpus("librispeech", directory, progress=False, **options)


def test_parts_lie_beside_each_other(published, tmp_path):
    there = tmp_path / "there"
    (dev,) = fetch(there, parts=["dev-clean"])
    assert (dev / "1/2/1-2.trans.txt").read_text() == "dev-clean"
    dev_again, test = fetch(there)
    assert dev_again == dev and (test / "1/2/1-2.trans.txt").read_text() == "test-clean"
    assert [path.name for path in there.iterdir()] == ["LibriSpeech"]


def test_archives_can_be_kept(published, tmp_path):
    fetch(tmp_path / "there", parts=["dev-clean"], keep_archives=True)
    assert (tmp_path / "there" / "dev-clean.tar.gz").exists()


def test_unknown_part(published, tmp_path):
    with pytest.raises(UserError, match="no part dev; it has dev-clean, test-clean"):
        fetch(tmp_path, parts=["dev"])


def test_damaged_archive(published, tmp_path):
    path = tmp_path / "dev-clean.tar.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="cannot be unpacked"):
        fetch(tmp_path / "there", parts=["dev-clean"])
    assert not (tmp_path / "there" / "LibriSpeech").exists()


def test_members_outside_are_refused(published, tmp_path):
    write_archive(tmp_path / "dev-clean.tar.gz", {"../../outside.txt": b"x"})
    with pytest.raises(UserError, match="cannot be unpacked"):
        fetch(tmp_path / "there" / "deep", parts=["dev-clean"])
    assert not (tmp_path / "outside.txt").exists()


def test_the_wrong_archive(published, tmp_path):
    write_archive(tmp_path / "dev-clean.tar.gz", {"other/file": b"x"})
    with pytest.raises(UserError, match="does not hold the folder LibriSpeech/dev-clean"):
        fetch(tmp_path / "there", parts=["dev-clean"])


def test_what_is_published_is_whole():
    for archives in CORPORA.values():
        for archive in archives.values():
            assert re.fullmatch(r"https?://.+\.tar\.(gz|bz2)", archive.url)
            for checksum, length in ((archive.md5, 32), (archive.sha256, 64)):
                assert checksum is None or re.fullmatch(f"[0-9a-f]{{{length}}}", checksum)
