# SPDX-License-Identifier: Apache-2.0
"""Pushing: once, whole, and always forward."""

import pathlib
import time

import pytest

from pipeline.components.pusher import DECODER_NAME, push_saved_model, pushed_versions


@pytest.fixture
def make_model(tmp_path):
    """A function that writes something with the shape of a SavedModel."""

    def make(name: str, weights: str) -> pathlib.Path:
        model = tmp_path / name
        (model / "variables").mkdir(parents=True)
        (model / "assets.extra").mkdir()
        (model / "saved_model.pb").write_text("graph")
        (model / "variables" / "variables.index").write_text(weights)
        (model / "assets.extra" / "alphabet.txt").write_text("a\n")
        return model

    return make


def test_a_model_is_pushed_whole_under_a_number(make_model, tmp_path):
    model = make_model("model", "1")
    path, present_before = push_saved_model(model, tmp_path / "serving")
    assert not present_before
    assert abs(int(pathlib.Path(path).name) - time.time()) < 60
    assert [p.name for p in (tmp_path / "serving").iterdir()] == [pathlib.Path(path).name]
    copied = {
        p.relative_to(path): p.read_bytes() for p in pathlib.Path(path).rglob("*.*") if p.is_file()
    }
    assert copied == {
        p.relative_to(model): p.read_bytes() for p in model.rglob("*.*") if p.is_file()
    }


def test_the_same_model_is_not_pushed_twice(make_model, tmp_path):
    first, _ = push_saved_model(make_model("model", "1"), tmp_path / "serving")
    second, present_before = push_saved_model(make_model("copy", "1"), tmp_path / "serving")
    assert (second, present_before) == (first, True)
    assert len(list((tmp_path / "serving").iterdir())) == 1


def test_a_push_after_one_that_was_killed_leaves_nothing_half_copied(
    make_model, tmp_path, monkeypatch
):
    model, base = make_model("model", "1"), tmp_path / "serving"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def stop(*_):
            raise KeyboardInterrupt

        patch.setattr(pathlib.Path, "rename", stop)
        push_saved_model(model, base)
    assert len(list(base.iterdir())) == 1 and not pushed_versions(base)
    path, _ = push_saved_model(model, base)
    assert [str(version) for version in base.iterdir()] == [path]


def test_a_new_model_gets_a_higher_version_even_when_clocks_go_back(make_model, tmp_path):
    future = int(time.time()) + 10**6
    make_model(f"serving/{future}", "0")
    path, present_before = push_saved_model(make_model("model", "1"), tmp_path / "serving")
    assert (int(pathlib.Path(path).name), present_before) == (future + 1, False)


def test_going_back_to_an_earlier_model_pushes_it_again(make_model, tmp_path):
    first, second = make_model("first", "1"), make_model("second", "2")
    versions = [
        int(pathlib.Path(push_saved_model(model, tmp_path / "serving")[0]).name)
        for model in (first, second, first)
    ]
    assert versions == sorted(set(versions))


def test_the_decoder_goes_with_the_model(make_model, tmp_path):
    model, decoder = make_model("model", "1"), tmp_path / "package"
    decoder.write_bytes(b"lm")
    path, _ = push_saved_model(model, tmp_path / "serving", decoder)
    assert (pathlib.Path(path) / DECODER_NAME).read_bytes() == b"lm"
    assert (pathlib.Path(path) / "assets.extra" / "alphabet.txt").exists()
    assert push_saved_model(model, tmp_path / "serving", decoder) == (path, True)
    # Another decoder makes another version, and so does none.
    decoder.write_bytes(b"better lm")
    better, present_before = push_saved_model(model, tmp_path / "serving", decoder)
    assert int(pathlib.Path(better).name) > int(pathlib.Path(path).name) and not present_before
    alone, present_before = push_saved_model(model, tmp_path / "serving")
    assert not (pathlib.Path(alone) / DECODER_NAME).exists() and not present_before
