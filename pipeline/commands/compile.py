# SPDX-License-Identifier: Apache-2.0
"""Compile a pipeline for Kubeflow Pipelines or Vertex.

The configuration needs the key kubeflow, with the image of the containers; its further keys, with
their defaults: pipeline/kubeflow/config.py. Paths are those in the containers. A run of what was
compiled takes the parameter `recipe`, a recipe as JSON; without it the compiled one counts.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

from ds2_tf.commands.output_files import prepare_output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 pipeline compile`."""
    parser.add_argument("config", metavar="CONFIG.yaml", help="the configuration")
    parser.add_argument(
        "--engine",
        choices=("kubeflow", "vertex"),
        default="kubeflow",
        help="what is to run it: open-source Kubeflow Pipelines v2, or Google's Vertex "
        "(default: kubeflow)",
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="what to write: .yaml, or .json"
    )


def run(args: argparse.Namespace) -> int:
    """Compiles; prints the steps."""
    from pipeline.quiet import quiet_libraries

    quiet_libraries()
    from pipeline.configs import load_pipeline_config
    from pipeline.kubeflow.compile import compile_pipeline, paths_outside_volumes, write_spec

    config = load_pipeline_config(args.config)
    prepare_output_file(args.output)
    for doubt in config.doubts:
        print(f"ds2: warning: {doubt}", file=sys.stderr)
    documents = compile_pipeline(config, args.engine)
    if args.engine == "kubeflow":
        for key, path in paths_outside_volumes(config).items():
            print(
                f"ds2: warning: {key} is {path}, which is on none of kubeflow.volumes "
                f"({', '.join(config.kubeflow.volumes.values()) or 'there are none'})",
                file=sys.stderr,
            )
    write_spec(documents, pathlib.Path(args.output))
    spec = documents[0].get("pipelineSpec", documents[0])
    print(f"{args.output}: {len(spec['root']['dag']['tasks'])} steps for {args.engine}")
    return 0
