# SPDX-License-Identifier: Apache-2.0
"""The `ds2` command."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import pathlib
import sys
from collections.abc import Sequence

from ds2_tf import __version__
from ds2_tf.errors import UserError

# Command words -> the module that has `add_arguments` and `run`, and whose docstring is the help.
# Named and not imported: the help must not wait for TensorFlow, and `ds2_tf` must not depend on the
# packages above it.
COMMANDS = {
    "corpus": {
        "download": "ds2_tf.commands.corpus_download",
        "import": "ds2_tf.commands.corpus_import",
        "check": "ds2_tf.commands.corpus_check",
        "stats": "ds2_tf.commands.corpus_stats",
        "alphabet": "ds2_tf.commands.corpus_alphabet",
        "align": "ds2_tf.commands.corpus_align",
        "splice": "ds2_tf.commands.corpus_splice",
    },
    "model": {
        "describe": "ds2_tf.commands.model_describe",
    },
    "train": "ds2_tf.commands.train",
    "evaluate": "ds2_tf.commands.evaluate",
    "export": "ds2_tf.commands.export",
    "transcribe": "ds2_tf.commands.transcribe",
    "lm": {
        "build": "ds2_tf.commands.lm_build",
        "package": "ds2_tf.commands.lm_package",
        "tune": "ds2_tf.commands.lm_tune",
    },
    "serve": "serving.commands",
    "gateway": "serving.gateway.commands",
    "pipeline": {
        "run": "pipeline.commands.run",
        "ingest": "pipeline.commands.ingest",
        "compile": "pipeline.commands.compile",
        "dry-run": "pipeline.commands.dry_run",
    },
}

_GROUP_HELP = {
    "lm": "language models and decoder packages",
    "corpus": "download, import, check, describe, align and splice corpora",
    "model": "describe networks",
    "pipeline": "the TFX pipeline, and its ingestion alone",
}

_DESCRIPTION = "Deep Speech 2 on TensorFlow, from raw audio to a served recogniser."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: words after `ds2`. Defaults to those of the process.

    Returns:
        The exit status: 0 if all went well, 1 if the work failed, 2 for wrong usage, 130 if it was
        interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(arguments)
    parsed = parser.parse_args(arguments)
    _quieten_libraries()
    try:
        return parsed.run(parsed)
    except UserError as error:
        print(f"ds2: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ds2: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has left (`ds2 ... | head`): nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ds2", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"ds2-tf {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    words = [word for word in arguments if not word.startswith("-")]
    for name, target in COMMANDS.items():
        if isinstance(target, str):
            _add_command(commands, name, target, full=words[:1] == [name])
            continue
        group = commands.add_parser(name, help=_GROUP_HELP[name], description=_GROUP_HELP[name])
        members = group.add_subparsers(metavar="COMMAND", required=True)
        for member, module in target.items():
            _add_command(members, member, module, full=words[:2] == [name, member])
    return parser


def _add_command(commands, name: str, module_name: str, full: bool) -> None:
    """Adds a command; only the one that was asked for is imported, for its arguments."""
    summary, description = _docstring(module_name)
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if full:
        module = importlib.import_module(module_name)
        module.add_arguments(parser)
        parser.set_defaults(run=module.run)


def _docstring(module_name: str) -> tuple[str, str]:
    """First line and whole docstring of a module, read from its source without importing it."""
    specification = importlib.util.find_spec(module_name)
    source = pathlib.Path(specification.origin).read_text("utf-8")
    text = ast.get_docstring(ast.parse(source))
    summary = text.splitlines()[0].rstrip(".")
    return summary[:1].lower() + summary[1:], text


def _quieten_libraries() -> None:
    """Silences what TensorFlow and its relatives say on every start, unless told otherwise."""
    import warnings

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\..*")


if __name__ == "__main__":
    sys.exit(main())
