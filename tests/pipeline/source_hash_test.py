# SPDX-License-Identifier: Apache-2.0
"""Hashes of code: of what a module imports, and of nothing else."""

from __future__ import annotations

import importlib
import sys

import pytest

from pipeline import source_hash as module


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """A function that writes modules of a package `toy` and hashes `toy.start`."""
    monkeypatch.setattr(module, "_PACKAGES", ("toy",))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "toy" / "deep").mkdir(parents=True)

    def write_and_hash(**sources: str) -> str:
        files = {"__init__": "", "deep/__init__": "", "start": "", "deep/used": "", "unused": ""}
        for name, source in {**files, **sources}.items():
            (tmp_path / "toy" / f"{name}.py").write_text(source)
        for cache in (module.source_hash, module._path, module._tree):
            cache.cache_clear()
        sys.modules.pop("toy", None)
        importlib.invalidate_caches()
        return module.source_hash("toy.start")

    yield write_and_hash
    for cache in (module.source_hash, module._path, module._tree):
        cache.cache_clear()


_START = "def f():\n    from toy.deep import used\n    return used.x\n"


def test_what_is_imported_counts_and_what_is_not_does_not(hash_of):
    before = hash_of(start=_START, **{"deep/used": "x = 1\n"})
    assert hash_of(start=_START, **{"deep/used": "x = 1\n"}) == before
    assert hash_of(start=_START, **{"deep/used": "x = 2\n"}) != before
    assert hash_of(start=_START, **{"deep/used": "x = 1\n", "deep/__init__": "y = 1\n"}) != before
    assert hash_of(start=_START, unused="z = 1\n", **{"deep/used": "x = 1\n"}) == before


def test_imports_for_types_alone_do_not_count(hash_of):
    start = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.deep import used\n"
    before = hash_of(start=start, **{"deep/used": "x = 1\n"})
    assert hash_of(start=start, **{"deep/used": "x = 2\n"}) == before


def test_comments_docstrings_and_layout_do_not_count(hash_of):
    before = hash_of(start='"""Old."""\n' + _START)
    assert hash_of(start='"""New."""\n# Why.\n' + _START.replace("    ", "  ")) == before


def test_modules_that_import_each_other(hash_of):
    assert hash_of(
        start="import toy.deep.used\n", **{"deep/used": "from toy import start\n"}
    ) != hash_of(start="import toy.deep.used\n")


def test_training_does_not_depend_on_decoders_or_servers():
    found = module._closure(("pipeline.components.trainer",))
    assert {"ds2_tf.training.trainer", "ds2_tf.layers.recurrent", "ds2_tf.config"} <= found
    assert not found & {"ds2_tf.decoding.beam_search", "serving.server", "pipeline.dag"}
