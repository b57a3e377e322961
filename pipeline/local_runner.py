# SPDX-License-Identifier: Apache-2.0
"""Running a pipeline in this process, with a line for every component."""

from __future__ import annotations

import dataclasses
import datetime
import sys
import time
import traceback
from collections.abc import Callable, Collection

from google.protobuf import message
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.compiler import constants
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.local import local_dag_runner, runner_utils
from tfx.orchestration.portable import (
    beam_executor_operator,
    launcher,
    runtime_parameter_utils,
)
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2
from tfx.utils import name_utils

from ds2_tf.errors import UserError
from pipeline.ingestion.worker_watch import watch_workers

EXECUTED, CACHED, FAILED = "executed", "cached", "failed"
_RESOLVER = name_utils.get_full_name(Resolver)


@dataclasses.dataclass(frozen=True)
class ComponentRun:
    """One component in one run.

    Attributes:
        name: the component's id.
        state: "executed", "cached" or "failed".
        seconds: time it took.
        outputs: artifacts by output.
        error: what a failed component raised.
    """

    name: str
    state: str
    seconds: float
    outputs: dict[str, list[types.Artifact]]
    error: Exception | None = None


class LocalRunner(local_dag_runner.LocalDagRunner):
    """Runs one component after another, and stops at the first that fails.

    It does what TFX's LocalDagRunner does, and says what happened: that one neither tells cached
    components from executed ones, nor notices when a component could not be given its inputs. A
    subclass, so that the `tfx` command finds its `run`.

    Args:
        on_component: called after each component.
        uncached: ids of components that run every time. Defaults to none.
    """

    def __init__(
        self, on_component: Callable[[ComponentRun], None], uncached: Collection[str] = ()
    ):
        self._on_component = on_component
        self._uncached = uncached
        self.runs: list[ComponentRun] = []

    def run_with_ir(
        self,
        pipeline: pipeline_pb2.Pipeline,
        run_options: pipeline_pb2.RunOptions | None = None,
    ) -> None:
        """Runs a compiled pipeline; `runs` then tells what happened.

        Args:
            pipeline: the compiled pipeline.
            run_options: not supported.
        """
        if run_options is not None:
            raise ValueError("LocalRunner runs whole pipelines; the cache skips what is done.")
        watch_workers()
        run_id = datetime.datetime.now().isoformat()
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connections = deployment.metadata_connection_config
        connection = getattr(connections, connections.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            name = node.pipeline_node.node_info.id
            if name in self._uncached:
                node.pipeline_node.execution_options.caching_options.enable_cache = False
            started = time.monotonic()
            state, outputs, error = FAILED, {}, None
            executor_spec = runner_utils.extract_executor_spec(deployment, name)
            operators = _operators_without_args_in_the_spec(executor_spec)
            try:
                execution_info = launcher.Launcher(
                    pipeline_node=node.pipeline_node,
                    mlmd_connection=metadata.Metadata(connection),
                    pipeline_info=pipeline.pipeline_info,
                    pipeline_runtime_spec=pipeline.runtime_spec,
                    executor_spec=executor_spec,
                    custom_executor_operators=operators,
                    custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
                ).launch()
                state, outputs = _read_execution(connection, execution_info.execution_id)
            except Exception as raised:  # whatever a component raises is its failure
                error = raised
            run = ComponentRun(name, state, time.monotonic() - started, outputs, error)
            # A resolver only looks something up; TFX would have it always cached.
            if node.pipeline_node.node_info.type.name != _RESOLVER or state == FAILED:
                self.runs.append(run)
                self._on_component(run)
            if state == FAILED:
                return


def print_component(run: ComponentRun) -> None:
    """Prints a line to standard error, and what a failed component raised."""
    print(f"{run.name}: {run.state}, {run.seconds:.1f} s", file=sys.stderr)
    if isinstance(run.error, UserError):
        print(f"ds2: error: {run.error}", file=sys.stderr)
    elif run.error is not None:
        traceback.print_exception(run.error)


def _operators_without_args_in_the_spec(executor_spec: message.Message | None) -> dict:
    """Takes Beam's options out of a specification, of which TFX makes the cache's key.

    How many processes did the work makes no difference to what came of it.

    Returns:
        What gives the options to the executor instead.
    """
    if not isinstance(executor_spec, executable_spec_pb2.BeamExecutableSpec):
        return {}
    beam_args = list(executor_spec.beam_pipeline_args_placeholders)
    for field in ("beam_pipeline_args", "beam_pipeline_args_placeholders"):
        executor_spec.ClearField(field)

    def make_operator(*args, **kwargs) -> beam_executor_operator.BeamExecutorOperator:
        operator = beam_executor_operator.BeamExecutorOperator(*args, **kwargs)
        operator.beam_pipeline_args = beam_args
        return operator

    return {executable_spec_pb2.BeamExecutableSpec: make_operator}


def _read_execution(
    connection: metadata_store_pb2.ConnectionConfig, execution_id: int | None
) -> tuple[str, dict[str, list[types.Artifact]]]:
    """The state of an execution and what it put out, from the metadata."""
    if execution_id is None:
        return FAILED, {}
    with metadata.Metadata(connection) as handle:
        (execution,) = handle.store.get_executions_by_id([execution_id])
        if not execution_lib.is_execution_successful(execution):
            return FAILED, {}
        cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
        outputs = execution_lib.get_output_artifacts(handle, execution_id)
    return CACHED if cached else EXECUTED, dict(outputs)
