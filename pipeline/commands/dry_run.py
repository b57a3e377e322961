# SPDX-License-Identifier: Apache-2.0
"""Run a compiled pipeline on this machine as Kubeflow would, command by command.

Every container command of the spec runs in a process of its own, with the parameters and artifacts
that Kubeflow would hand it; a directory stands for the object store. It takes a corpus small enough
for that. Paths in the spec must exist here: in the image, mount what the cluster mounts. Logs are
kept in DIR/containers.
"""

from __future__ import annotations

import argparse
import sys

from ds2_tf.commands.output_files import prepare_output_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 pipeline dry-run`."""
    parser.add_argument("spec", metavar="SPEC", help="of `ds2 pipeline compile`")
    parser.add_argument(
        "--directory", required=True, metavar="DIR", help="stands for the object store"
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value other than the compiled one, may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Runs; prints a line for every step."""
    from ds2_tf.errors import UserError
    from pipeline.quiet import quiet_libraries

    quiet_libraries()
    from pipeline.kubeflow.dry_run import dry_run, load_spec

    parameters = {}
    for text in args.parameter:
        name, separator, value = text.partition("=")
        if not separator:
            raise UserError(f"--parameter takes NAME=VALUE, got {text!r}.")
        parameters[name] = value
    spec = load_spec(args.spec)
    prepare_output_directory(args.directory)
    dry_run(spec, args.directory, parameters=parameters, on_task=_report)
    return 0


def _report(task) -> None:
    values = "".join(f", {name}: {value}" for name, value in sorted(task.parameters.items()))
    print(f"{task.name}: {task.seconds:.1f} s{values}", flush=True, file=sys.stderr)
