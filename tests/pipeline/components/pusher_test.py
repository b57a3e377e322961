# SPDX-License-Identifier: Apache-2.0
"""Pushing: once, whole, and always forward."""

import pathlib
import time

import pytest
from google.protobuf import json_format
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts

from pipeline.components.pusher import (
    DECODER_NAME,
    ModelPusherExecutor,
    push_saved_model,
    pushed_versions,
)


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


@pytest.mark.parametrize("blessed", [(1, 1), (1, 0), (0, 1), (1,), (0,)])
def test_all_who_look_at_a_model_must_bless_it(make_model, tmp_path, blessed):
    """SavedModelCheck, and the real server where it is asked for."""
    model, pushed = standard_artifacts.Model(), standard_artifacts.PushedModel()
    model.uri = str(tmp_path / "artifact")
    make_model("artifact/Format-Serving", "1")
    inputs = {"model": [model]}
    for name, value in zip(("infra_blessing", "server_blessing"), blessed):
        inputs[name] = [standard_artifacts.InfraBlessing()]
        inputs[name][0].set_int_custom_property("blessed", value)
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
    )
    ModelPusherExecutor().Do(
        inputs,
        {"pushed_model": [pushed]},
        {"push_destination": json_format.MessageToJson(destination)},
    )
    assert pushed.get_int_custom_property("pushed") == int(all(blessed))
    assert len(pushed_versions(tmp_path / "serving")) == int(all(blessed))
