# SPDX-License-Identifier: Apache-2.0
"""Run a pipeline: ingest, validate, train, evaluate, check and push.

What an earlier run has done, and nothing has changed since, is taken from the cache; what a killed
run has begun is gone on with. Ends with 0 when a model is blessed, and with 1 when a step failed or
the model does not reach the thresholds.

A configuration needs no more than this (paths count from its own directory):

    name: digits
    root: run                        # gets all that the pipeline makes
    recipe: recipe.yaml
    manifest: corpus/manifest.jsonl  # or manifests: {train: PATH, dev: PATH}
    evaluation: {max_wer: 0.2}       # a model over this word error rate is not pushed

Further keys, with their defaults: pipeline/configs.py.
"""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ds2 pipeline run`."""
    parser.add_argument("config", metavar="CONFIG.yaml", help="the configuration")
    parser.add_argument(
        "--json", action="store_true", help="print the summary as JSON to standard output"
    )


def run(args: argparse.Namespace) -> int:
    """Runs; prints a line for every component to standard error, and the summary at the end."""
    from pipeline.quiet import quiet_libraries

    quiet_libraries()
    from pipeline.configs import load_pipeline_config, make_directories

    config = load_pipeline_config(args.config)
    make_directories(config)
    for doubt in config.doubts:
        print(f"ds2: warning: {doubt}", file=sys.stderr)
    print(f"pipeline {config.name}: starting", file=sys.stderr)

    from pipeline.dag import LOOKING_STEPS, create_pipeline
    from pipeline.local_runner import LocalRunner, print_component
    from pipeline.run_summary import summarize

    pipeline = create_pipeline(config)
    # TFX sets log levels of its own while it is imported.
    quiet_libraries()
    runner = LocalRunner(on_component=print_component, uncached=LOOKING_STEPS)
    runner.run(pipeline)
    summary = summarize(runner.runs)
    print(json.dumps(summary.to_dict(), indent=1) if args.json else summary.text())
    return 0 if summary.succeeded else 1
