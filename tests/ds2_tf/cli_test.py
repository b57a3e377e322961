# SPDX-License-Identifier: Apache-2.0
"""The `ds2` command: fast help, exit statuses, errors in one line."""

import json
import os
import subprocess
import sys

import pytest

from ds2_tf import __version__, cli
from ds2_tf.errors import UserError


def ds2(*words, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "ds2_tf.cli", *words], capture_output=True, text=True, **kwargs
    )


COMMANDS = [
    (name,) if isinstance(target, str) else (name, member)
    for name, target in cli.COMMANDS.items()
    for member in ([None] if isinstance(target, str) else target)
]


@pytest.mark.parametrize("words", [(), ("corpus",), *COMMANDS], ids=" ".join)
def test_help_loads_nothing_heavy(words):
    """Importing TensorFlow takes seconds: no time is measured here, only what is loaded."""
    program = (
        "import sys\n"
        "from ds2_tf import cli\n"
        "try:\n"
        f"    cli.main([*{words!r}, '--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "heavy = {'tensorflow', 'keras', 'tfx', 'apache_beam', 'grpc', 'scipy', 'pandas'}\n"
        "assert not heavy & sys.modules.keys(), sorted(heavy & sys.modules.keys())\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(" ".join(["usage: ds2", *words]))


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    output = capsys.readouterr().out
    assert all(f"    {name} " in output for name in cli.COMMANDS)
    with pytest.raises(SystemExit):
        cli.main(["corpus", "--help"])
    assert "    import " in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"ds2-tf {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("sing",),
        ("corpus",),
        ("corpus", "sing"),
        ("train",),
        ("transcribe", "f.wav"),
        ("transcribe", "--model", "m", "--server", "s:1", "f.wav"),
        ("export", "--model", "m", "--output", "o", "--version", "new"),
        ("evaluate", "--model", "m", "--manifest", "f", "--unheard-of"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    output = capsys.readouterr()
    assert "usage: ds2" in output.err and not output.out


def test_an_error_for_people_is_one_line(tmp_path):
    recipe = tmp_path / "none.yaml"
    result = ds2("train", str(recipe), "--records", str(tmp_path), "--output", str(tmp_path))
    assert result.returncode == 1
    assert (
        result.stderr
        == f"ds2: error: The recipe {recipe} cannot be read: No such file or directory.\n"
    )
    assert result.stdout == ""


@pytest.mark.parametrize(
    "raised, status, message",
    [
        (UserError("what is wrong"), 1, "ds2: error: what is wrong\n"),
        (KeyboardInterrupt(), 130, "ds2: interrupted\n"),
    ],
)
def test_exit_statuses(monkeypatch, capsys, raised, status, message):
    from ds2_tf.commands import export

    def run(args):
        raise raised

    monkeypatch.setattr(export, "run", run)
    assert cli.main(["export", "--model", "m", "--output", "o"]) == status
    assert capsys.readouterr().err == message


def test_an_error_of_the_program_is_not_hidden(monkeypatch):
    from ds2_tf.commands import export

    monkeypatch.setattr(export, "run", lambda args: {}["missing"])
    with pytest.raises(KeyError):
        cli.main(["export", "--model", "m", "--output", "o"])


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """As in `ds2 corpus stats ... --json | head -0`."""
    manifest = tmp_path / "manifest.jsonl"
    lines = [{"id": str(n), "audio": "none.wav", "transcript": "a" * 99} for n in range(9)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "ds2_tf.cli"]
            + ["corpus", "stats", str(manifest), "--no-audio", "--json", "-q"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr


def test_the_installed_command_and_the_module_are_one():
    assert ds2("--version").stdout == f"ds2-tf {__version__}\n"
