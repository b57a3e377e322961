# SPDX-License-Identifier: Apache-2.0
"""Runs a pipeline in which every step is killed once: `python kill_every_step.py CONFIG STRAIGHT`.

A step is killed when all its work is done and nothing of it is noted yet: what it left, outside its
own output directory, too, then meets the step again. The pusher is also killed in mid-copy. Runs
are children of this process, which has imported everything. The second configuration is run without
a break.

Prints JSON: what was killed, and the directories of the versions that both runs pushed.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable

from pipeline.quiet import quiet_libraries

quiet_libraries()

from tfx.dsl.components.common.resolver import Resolver  # noqa: E402
from tfx.orchestration.portable import launcher  # noqa: E402

from pipeline.components import pusher, trainer  # noqa: E402
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


def _die(*_, **__) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_before_noting(step: str) -> None:
    """Has this process die when the step's work is done, and nothing noted."""
    publish = launcher.Launcher._publish_successful_execution

    def publish_or_die(self, *args, **kwargs):
        if self._pipeline_node.node_info.id == step:
            _die()
        return publish(self, *args, **kwargs)

    launcher.Launcher._publish_successful_execution = publish_or_die


def _die_in_copying() -> None:
    """Has this process die when the pusher has copied some of the model."""
    pusher.shutil.copytree = lambda _, target: (os.mkdir(target), _die())


def _run(config: PipelineConfig, prepare: Callable[[], None] = lambda: None) -> None:
    prepare()
    # It starts a process that imports TensorFlow, as SavedModelCheck does after it.
    trainer.check_saved_model = lambda _: None
    os.makedirs(os.path.dirname(config.metadata_path), exist_ok=True)
    runner = LocalRunner(on_component=lambda run: print(f"{run.name} {run.state}", flush=True))
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
    kills = [(step, lambda step=step: _die_before_noting(step)) for step in steps]
    kills.insert(-1, ("copying", _die_in_copying))
    for name, prepare in kills:
        status = _in_child(lambda prepare=prepare: _run(config, prepare))
        assert status == -signal.SIGKILL, f"{name}: {status}"
    for whole in (config, straight):
        assert _in_child(lambda whole=whole: _run(whole)) == 0
    versions = [
        [str(path) for path in pathlib.Path(c.serving_directory).iterdir()]
        for c in (config, straight)
    ]
    print(json.dumps({"killed": [name for name, _ in kills], "versions": versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
