# SPDX-License-Identifier: Apache-2.0
"""`ds2 serve`."""

import argparse
import os
import signal
import subprocess
import sys

import pytest

from ds2_tf.errors import UserError
from serving.commands import add_arguments, base_path_of, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = """
import argparse, sys
from serving.commands import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args()))
"""


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(argv)


def test_serves_one_export(base_path, helpers):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, os.path.join(base_path(1, 2), "1")]
        + ["--port=0", "--host=127.0.0.1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline().strip()
        assert line.endswith("; ds2 versions 1")
        address = line.removeprefix("ready: gRPC at ").partition(";")[0]
        assert helpers.Connection(address).version("ds2") == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_base_path_is_served_as_it_is(base_path):
    path = base_path(1, 2)
    with base_path_of(path) as served:
        assert served == path


@pytest.mark.parametrize("name, version", [("7", "7"), ("export", "1")])
def test_export_is_its_number_or_version_1(tmp_path, name, version):
    export = tmp_path / name
    export.mkdir()
    (export / "saved_model.pb").touch()
    with base_path_of(str(export)) as served:
        assert os.listdir(served) == [version]
        assert os.path.samefile(os.path.join(served, version), export)
    assert not os.path.exists(served)


def test_no_directory_is_said(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a directory"):
        run(parse(str(tmp_path / "nowhere")))


@pytest.mark.slow
def test_a_model_directory_is_exported():
    with base_path_of(os.path.join(ROOT, "models", "an4-streaming")) as served:
        assert os.listdir(served) == ["1"]
        assert os.path.exists(os.path.join(served, "1", "saved_model.pb"))
    assert not os.path.exists(served)


def test_a_model_directory_that_cannot_be_exported(tmp_path, capfd):
    for name in ("config.yaml", "model.keras"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"{tmp_path} cannot be exported, see above"):
        run(parse(str(tmp_path)))
    assert "ds2: error: " in capfd.readouterr().err


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port", "--web_port"])
@pytest.mark.parametrize("port", ["65536", "99999", "-1", "http"])
def test_ports_that_are_none(flag, port, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse("base", f"{flag}={port}")
    assert f"{flag}: expected a port from 0 to 65535, got '{port}'" in capsys.readouterr().err


def test_ports_at_the_ends():
    args = parse("base", "--port=0", "--rest_api_port=65535")
    assert (args.port, args.rest_api_port) == (0, 65535)


def test_importing_the_commands_is_light():
    check = (
        "import sys, serving.commands; "
        "sys.exit(bool({'tensorflow', 'grpc', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0
