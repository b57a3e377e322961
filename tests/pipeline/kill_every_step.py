# SPDX-License-Identifier: Apache-2.0
"""Runs a pipeline in which every step is killed once: `python kill_every_step.py CONFIG STRAIGHT`.

A step is killed when it has done its work and nothing of it is noted yet. Runs are children of this
process, which has imported everything. The second configuration is run without a break.

Prints JSON: the directories of the versions that both runs pushed, and the steps that were killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable

from pipeline.quiet import quiet_libraries

quiet_libraries()

from tfx.dsl.components.common.resolver import Resolver  # noqa: E402
from tfx.orchestration.portable import launcher  # noqa: E402

from pipeline.configs import PipelineConfig, load_pipeline_config  # noqa: E402
from pipeline.dag import create_pipeline  # noqa: E402
from pipeline.local_runner import LocalRunner  # noqa: E402
from pipeline.run_summary import summarize  # noqa: E402


def _in_child(work: Callable[[], None]) -> int:
    """The status of a child that does the work, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _run(config: PipelineConfig, killed: str | None = None) -> None:
    publish = launcher.Launcher._publish_successful_execution

    def publish_or_die(self, *args, **kwargs):
        if self._pipeline_node.node_info.id == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        return publish(self, *args, **kwargs)

    launcher.Launcher._publish_successful_execution = publish_or_die
    os.makedirs(os.path.dirname(config.metadata_path), exist_ok=True)
    runner = LocalRunner(on_component=lambda _: None)
    runner.run(create_pipeline(config))
    for component_run in runner.runs:
        if component_run.error:
            traceback.print_exception(component_run.error)
    summary = summarize(runner.runs)
    assert summary.succeeded, summary.text()


def main(path: str, straight_path: str) -> None:
    """Runs both configurations."""
    config, straight = load_pipeline_config(path), load_pipeline_config(straight_path)
    steps = [c.id for c in create_pipeline(config).components if not isinstance(c, Resolver)]
    for step in steps:
        status = _in_child(lambda step=step: _run(config, killed=step))
        assert status == -signal.SIGKILL, f"{step}: {status}"
    for whole in (config, straight):
        assert _in_child(lambda whole=whole: _run(whole)) == 0
    versions = [
        [os.path.join(c.serving_directory, name) for name in os.listdir(c.serving_directory)]
        for c in (config, straight)
    ]
    print(json.dumps({"killed": steps, "versions": versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
