# SPDX-License-Identifier: Apache-2.0
"""The embedded model server: wiring, lifetime, and `python -m serving.server`.

Example:
    python -m serving.server --port 8500 --model_name ds2 --model_base_path /models/ds2

When all models are loaded and the ports are open, one line goes to standard output:

    ready: gRPC at 0.0.0.0:8500; ds2 versions 3
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from concurrent import futures

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2 as config_pb2

from serving import errors, flags
from serving.batch_scheduler import BatchScheduler
from serving.batching_options import BatchingOptions, read_batching_options
from serving.batching_session import BatchingSession
from serving.core import ServerCore, read_model_config, single_model_config
from serving.errors import ServingError
from serving.grpc_services import ModelService, PredictionService
from serving.loader import SavedModelLoader
from serving.manager import Manager
from serving.servable import Session
from serving.source import FileSystemSource
from serving.states import StateMonitor

_LOG = logging.getLogger(__name__)

_MOST_THREADS_FOR_BATCHING = 256


class Server:
    """A model server in this process.

    Args:
        args: the flags of `serving.flags`; `parse_flags` makes them from a list of texts.
        config: the models to serve.

    Raises:
        ServingError: the flags contradict each other, or a file they name cannot be read.
    """

    def __init__(self, args: argparse.Namespace, config: config_pb2.ModelServerConfig):
        self._args = args
        self._config = config
        self._batching = _batching_options(args)
        self._batch_scheduler = (
            BatchScheduler(self._batching.num_batch_threads) if self._batching else None
        )
        monitor = StateMonitor()
        manager = Manager(
            self._loader(),
            monitor,
            max_load_retries=args.max_num_load_retries,
            load_retry_seconds=args.load_retry_interval_micros / 1e6,
            num_load_threads=max(args.num_load_threads, 1),
        )
        source = FileSystemSource(
            manager.set_aspired_versions,
            poll_wait_seconds=args.file_system_poll_wait_seconds,
            fail_if_no_versions=args.fail_if_no_model_versions_found,
        )
        self.core = ServerCore(
            manager,
            monitor,
            source,
            allow_labels_for_unavailable=args.allow_version_labels_for_unavailable_models,
        )
        self._grpc_server: grpc.Server | None = None
        self._stop_lock = threading.Lock()
        self._stopping = False
        self.address = ""

    def start(self) -> None:
        """Loads the models, then listens; returns once requests are answered.

        Waits as long as a model has no version at all, as TensorFlow Serving does.

        Raises:
            ServingError: the configuration is wrong, a model did not load, or the port is taken.
        """
        self.core.reload_config(self._config)
        with self._stop_lock:
            if not self._stopping:
                self._listen()

    def stop(self, grace: float = 0.0) -> None:
        """Refuses new calls, lets those in progress finish, and unloads the models.

        Args:
            grace: seconds that calls in progress may take before they are cancelled.
        """
        with self._stop_lock:
            self._stopping = True
        if self._grpc_server:
            self._grpc_server.stop(grace).wait()
        self.core.stop()
        if self._batch_scheduler:
            self._batch_scheduler.stop()

    def ready_line(self) -> str:
        """What is served where, in one line."""
        models = "; ".join(
            f"{name} versions {', '.join(map(str, self.core.manager.available_versions(name)))}"
            for name in self.core.model_names
        )
        return f"ready: gRPC at {self.address}; {models}"

    def _loader(self) -> SavedModelLoader:
        args = self._args
        parallelism = args.tensorflow_session_parallelism
        return SavedModelLoader(
            tags=tuple(args.saved_model_tags.split(",")),
            intra_op_threads=parallelism or args.tensorflow_intra_op_parallelism,
            inter_op_threads=parallelism or args.tensorflow_inter_op_parallelism,
            gpu_memory_fraction=args.per_process_gpu_memory_fraction,
            enable_warmup=args.enable_model_warmup,
            wrap_session=self._wrap_session,
        )

    def _wrap_session(self, session: Session) -> Session:
        if self._batching is None:
            return session
        return BatchingSession(session, self._batch_scheduler, self._batching)

    def _grpc_threads(self) -> int:
        threads = self._args.grpc_max_threads or 4 * (os.cpu_count() or 1)
        if self._batching and not self._args.grpc_max_threads:
            # A thread waits for its batch: two batches' worth keep the next one filling up.
            batch = min(2 * self._batching.execution_limit, _MOST_THREADS_FOR_BATCHING)
            threads = max(threads, batch)
        return threads

    def _listen(self) -> None:
        args = self._args
        server = grpc.server(
            futures.ThreadPoolExecutor(self._grpc_threads(), thread_name_prefix="grpc"),
            options=list(
                {
                    "grpc.max_receive_message_length": -1,
                    "grpc.max_send_message_length": -1,
                    # Two servers on one port would take turns in answering.
                    "grpc.so_reuseport": 0,
                    **_channel_arguments(args.grpc_channel_arguments),
                }.items()
            ),
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(
                self.core, as_content=args.enable_serialization_as_tensor_content
            ),
            server,
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self.core), server)
        try:
            port = server.add_insecure_port(f"{args.host}:{args.port}")
        except RuntimeError as error:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                f"Cannot listen on {args.host}:{args.port}. Is another server using the port? "
                "Choose another with --port, or --port 0 for any free one.",
            ) from error
        self.address = f"{args.host}:{port}"
        server.start()
        self._grpc_server = server


def parse_flags(argv: list[str]) -> argparse.Namespace:
    """Reads the flags of `python -m serving.server`."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server",
        description="A model server that speaks TensorFlow Serving's API.",
    )
    flags.add_config_flags(parser)
    flags.add_listening_flags(parser)
    flags.add_model_flags(parser)
    flags.add_batching_flags(parser)
    return parser.parse_args(argv)


def configured_models(args: argparse.Namespace) -> config_pb2.ModelServerConfig:
    """The models that the configuration flags name.

    Raises:
        ServingError: no model is named, or the configuration file cannot be read.
    """
    if args.model_config_file:
        return read_model_config(args.model_config_file)
    if not args.model_base_path:
        raise errors.invalid_argument(
            "Name a model with --model_base_path, or several with --model_config_file."
        )
    return single_model_config(args.model_name, args.model_base_path)


def serve_until_signal(server: Server, grace: float) -> int:
    """Starts the server, prints the ready line, and serves until SIGTERM or SIGINT.

    Returns:
        Exit code: 0 after a signal, 1 if the server could not start.
    """
    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    failures: list[ServingError] = []

    def start() -> None:
        try:
            server.start()
        except ServingError as error:
            failures.append(error)
            stop_requested.set()
        else:
            if server.address:
                print(server.ready_line(), flush=True)

    # Loading may wait for a first version without limit; signals must end that, too.
    starting = threading.Thread(target=start, name="server-start")
    starting.start()
    stop_requested.wait()
    if not failures:
        _LOG.info("Stopping: finishing the calls in progress")
    server.stop(grace)
    starting.join()
    if failures:
        print(f"Failed to start server. Error: {failures[0]}", file=sys.stderr)
        return 1
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the server as a process of its own."""
    args = parse_flags(sys.argv[1:] if argv is None else argv)
    set_up_logging()
    try:
        server = Server(args, configured_models(args))
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return 2
    return serve_until_signal(server, args.shutdown_grace_seconds)


def set_up_logging() -> None:
    """Sends the server's own log to standard error, without TensorFlow's chatter."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("tensorflow").setLevel(logging.WARNING)


def _batching_options(args: argparse.Namespace) -> BatchingOptions | None:
    if args.enable_batching:
        if args.batching_parameters_file:
            return read_batching_options(args.batching_parameters_file)
        return BatchingOptions()
    if args.batching_parameters_file:
        raise errors.invalid_argument(
            "server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true."
        )
    return None


def _channel_arguments(text: str) -> dict[str, int | str]:
    arguments: dict[str, int | str] = {}
    for item in filter(None, text.split(",")):
        key, separator, value = item.partition("=")
        if not separator:
            raise errors.invalid_argument(
                f"--grpc_channel_arguments: expected key=value, got {item!r}"
            )
        arguments[key] = int(value) if value.lstrip("-").isdigit() else value
    return arguments


if __name__ == "__main__":
    sys.exit(main())
