# SPDX-License-Identifier: Apache-2.0
"""Hashes of contents that are remembered, and never when they should not be."""

from __future__ import annotations

import hashlib
import os
import shutil
import time

import pytest

from pipeline.ingestion import content_hash
from pipeline.ingestion.content_hash import ContentHashes


@pytest.fixture
def settle(monkeypatch):
    """A function after which files count as settled."""
    monkeypatch.setattr(content_hash, "_SETTLED_NS", 5 * 10**7)
    return lambda: time.sleep(0.1)


def _ask(memory, *paths) -> tuple[list[str], int]:
    hashes = ContentHashes(memory, threads=2)
    found = hashes.of(map(str, paths))
    hashes.save()
    return found, hashes.bytes_read


def test_it_is_the_sha256_of_the_contents(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    expected = hashlib.sha256(b"x" * 3_000_000).hexdigest()
    none, impossible = tmp_path / "none", "a\0b"
    found = [expected, "missing", "missing"]
    assert _ask(tmp_path / "memory", path, none, impossible) == (found, 3_000_000)


def test_what_did_not_change_is_not_read_again(tmp_path, settle):
    path = tmp_path / "with\ttab and \udce9"
    path.write_bytes(b"abc")
    settle()
    first, _ = _ask(tmp_path / "memory", path)
    assert _ask(tmp_path / "memory", path) == (first, 0)


def test_same_size_and_time_with_other_contents_is_another_file(tmp_path, settle):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    status = path.stat()
    settle()
    first, _ = _ask(tmp_path / "memory", path)
    path.write_bytes(b"abd")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _ask(tmp_path / "memory", path)[0] != first


def test_a_copy_with_another_time_is_read_and_the_same(tmp_path, settle):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    settle()
    first, _ = _ask(tmp_path / "memory", path)
    shutil.copy(path, tmp_path / "b")
    (tmp_path / "b").rename(path)
    assert _ask(tmp_path / "memory", path) == (first, 3)


def test_a_file_of_this_moment_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    first, _ = _ask(tmp_path / "memory", path)
    assert _ask(tmp_path / "memory", path) == (first, 3)


def test_a_damaged_memory_is_none(tmp_path, settle):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    settle()
    first, _ = _ask(tmp_path / "memory", path)
    (tmp_path / "memory").write_text("12\tnonsense\n")
    assert _ask(tmp_path / "memory", path) == (first, 3)
