# SPDX-License-Identifier: Apache-2.0
"""`ds2 serve`."""

import argparse
import os
import signal
import subprocess
import sys

import pytest

from ds2_tf.errors import UserError
from serving.commands import serve_add_arguments, serve_run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = """
import argparse, sys
from serving.commands import serve_add_arguments, serve_run
parser = argparse.ArgumentParser()
serve_add_arguments(parser)
sys.exit(serve_run(parser.parse_args()))
"""


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serve_add_arguments(parser)
    return parser.parse_args(argv)


@pytest.mark.parametrize("as_export", [False, True], ids=["base path", "export"])
def test_serves_a_base_path_or_one_export(base_path, as_export, helpers):
    path = base_path(1, 2)
    model, version = (os.path.join(path, "1"), 1) if as_export else (path, 2)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, model, "--port=0", "--host=127.0.0.1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline().strip()
        assert line.endswith(f"; ds2 versions {version}")
        address = line.removeprefix("ready: gRPC at ").partition(";")[0]
        assert helpers.Connection(address).version("ds2") == version
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_no_directory_is_said(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a directory"):
        serve_run(parse(str(tmp_path / "nowhere")))


def test_importing_the_commands_is_light():
    check = (
        "import sys, serving.commands; "
        "sys.exit(bool({'tensorflow', 'grpc', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0
