# SPDX-License-Identifier: Apache-2.0
"""`ds2 export` as it is typed; what it writes is tested with `ds2_tf.export`."""

import json

import pytest

from ds2_tf import cli
from ds2_tf.export import saved_model


@pytest.fixture
def export(tmp_path, tiny_model_directory, capsys, monkeypatch):
    def run(*words):
        base = ["--model", str(tiny_model_directory), "--output", str(tmp_path / "base")]
        status = cli.main(["export", *base, *words])
        return status, capsys.readouterr()

    monkeypatch.setattr(saved_model, "write_saved_model", lambda model, path: path.mkdir())
    monkeypatch.setattr(saved_model, "check_saved_model", lambda path: None)
    return run


def test_versions(export, tmp_path):
    status, output = export()
    assert (status, output.out) == (0, f"version 1 is in {tmp_path}/base/1\n")
    status, output = export("--version", "7", "--json")
    assert (status, json.loads(output.out)) == (0, {"path": f"{tmp_path}/base/7", "version": 7})
    status, output = export("--version", "7")
    assert status == 1
    assert output.err == (
        f"ds2: error: {tmp_path}/base/7 exists: choose another version, or leave --version out.\n"
    )
