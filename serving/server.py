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
import socket
import sys
import threading
import time

import grpc
from tensorflow_serving.config import model_server_config_pb2 as config_pb2

from ds2_tf.errors import UserError
from serving import errors, flags
from serving.batch_scheduler import BatchScheduler
from serving.batching_options import BatchingOptions, read_batching_options
from serving.batching_session import BatchingSession
from serving.config_file import ConfigFilePoller, read_model_config
from serving.core import ServerCore, single_model_config
from serving.errors import ServingError
from serving.grpc_server import PORT_REMEDY, GrpcServer
from serving.grpc_services import ModelService, PredictionService
from serving.http_endpoints import http_handler, read_metrics_path
from serving.http_server import Handler, HttpServer
from serving.inference import Inference
from serving.listening import check_address
from serving.loader import SavedModelLoader
from serving.manager import Manager
from serving.memory import MemoryKeeper, prepare_process
from serving.metered_session import MeteredSession
from serving.metrics import ServerMetrics
from serving.predictor import Predictor
from serving.rest_api import RestApi
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
        config_file: where `config` was read, if its changes are to be followed.
        config_file_poll_seconds: seconds between looks at `config_file`; 0 never looks.

    Raises:
        ServingError: the flags contradict each other, or a file they name cannot be read.

    Attributes:
        core: the models.
        metrics: what the server counts.
        address: `host:port` of gRPC, once started.
        rest_address: `host:port` of REST, once started; empty without REST.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        config: config_pb2.ModelServerConfig,
        *,
        config_file: str = "",
        config_file_poll_seconds: float = 0.0,
    ):
        self._args = args
        self._config = config
        self.metrics = ServerMetrics()
        self._metrics_path = (
            read_metrics_path(args.monitoring_config_file) if args.monitoring_config_file else ""
        )
        self._batching = _batching_options(args)
        self._batch_scheduler = (
            BatchScheduler(self._batching.num_batch_threads) if self._batching else None
        )
        self.core = self._make_core()
        self._config_poller = (
            ConfigFilePoller(config_file, config, self.core.reload_config, config_file_poll_seconds)
            if config_file and config_file_poll_seconds > 0
            else None
        )
        self._grpc_server: GrpcServer | None = None
        self._http_server: HttpServer | None = None
        self._stop_lock = threading.Lock()
        self._stopping = False
        self.address = ""
        self.rest_address = ""

    def start(self) -> None:
        """Loads the models, then listens; returns once requests are answered.

        Waits as long as a model has no version at all, as TensorFlow Serving does. What is wrong
        with a port is said before that.

        Raises:
            ServingError: the configuration is wrong, a model did not load, or a port is taken.
        """
        self._check_addresses()
        self.core.reload_config(self._config)
        with self._stop_lock:
            if not self._stopping:
                self._listen()
                if self._config_poller:
                    self._config_poller.start()

    def stop(self, grace: float = 0.0) -> bool:
        """Refuses new calls, lets those in progress finish, and unloads the models.

        Args:
            grace: seconds that calls in progress may take before they are cancelled.

        Returns:
            Whether all runs ended; False if one still holds its model a second after the grace.
        """
        with self._stop_lock:
            self._stopping = True
        deadline = time.monotonic() + grace
        if self._config_poller:
            self._config_poller.stop()
        if self._grpc_server:
            self._grpc_server.stop(grace)
        if self._http_server:
            self._http_server.stop(max(deadline - time.monotonic(), 0.0))
        finished = self.core.stop(max(deadline - time.monotonic(), 0.0) + 1.0)
        if self._batch_scheduler and finished:
            self._batch_scheduler.stop()
        return finished

    def ready_line(self) -> str:
        """What is served where, in one line."""
        rest = f", REST at {self.rest_address}" if self.rest_address else ""
        models = "; ".join(
            f"{name} versions {', '.join(map(str, self.core.manager.available_versions(name)))}"
            for name in self.core.model_names
        )
        return f"ready: gRPC at {self.address}{rest}; {models}"

    def _make_core(self) -> ServerCore:
        args = self._args
        parallelism = args.tensorflow_session_parallelism
        loader = SavedModelLoader(
            tags=tuple(args.saved_model_tags.split(",")),
            intra_op_threads=parallelism or args.tensorflow_intra_op_parallelism,
            inter_op_threads=parallelism or args.tensorflow_inter_op_parallelism,
            gpu_memory_fraction=args.per_process_gpu_memory_fraction,
            enable_warmup=args.enable_model_warmup,
            wrap_session=self._wrap_session,
            metrics=self.metrics,
        )
        monitor = StateMonitor()
        manager = Manager(
            loader,
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
        return ServerCore(
            manager,
            monitor,
            source,
            allow_labels_for_unavailable=args.allow_version_labels_for_unavailable_models,
        )

    def _wrap_session(self, name: str, session: Session) -> Session:
        if self._batching:
            session = BatchingSession(session, self._batch_scheduler, self._batching, self.metrics)
        return MeteredSession(session, name, self.metrics)

    def _check_addresses(self) -> None:
        args = self._args
        # Unless servers are to share a port.
        if "grpc.so_reuseport" not in args.grpc_channel_arguments:
            check_address(args.host, args.port, remedy=PORT_REMEDY)
        if args.rest_api_port:
            _check_rest_address(args.host, args.rest_api_port)

    def _listen(self) -> None:
        args = self._args
        threads_by_cores = 4 * (os.cpu_count() or 1)
        inference = Inference(check_method_name=args.enable_signature_method_name_check)
        predictor = Predictor(self.core, self.metrics, inference)
        as_content = args.enable_serialization_as_tensor_content
        self._grpc_server = GrpcServer(
            args,
            PredictionService(self.core, predictor, as_content=as_content),
            ModelService(self.core),
            num_threads=args.grpc_max_threads or self._threads_for_batches(threads_by_cores),
        )
        if args.rest_api_port:
            rest_api = RestApi(self.core, predictor, timeout=args.rest_api_timeout_in_ms / 1000)
            self._http_server = _http_server(
                args.host,
                args.rest_api_port,
                http_handler(rest_api, self.metrics, self._metrics_path),
                args.rest_api_num_threads or threads_by_cores,
            )
            self._http_server.start()
            self.rest_address = f"{args.host}:{self._http_server.port}"
        self._grpc_server.start()
        self.address = self._grpc_server.address

    def _threads_for_batches(self, least: int) -> int:
        """A thread waits for its batch: two batches' worth keep the next one filling up."""
        if not self._batching:
            return least
        return max(least, min(2 * self._batching.execution_limit, _MOST_THREADS_FOR_BATCHING))


def _http_server(host: str, port: int, handler: Handler, num_threads: int) -> HttpServer:
    try:
        return HttpServer(host, port, handler, num_threads=num_threads)
    except OSError as error:
        _check_rest_address(host, port)
        raise ServingError(
            grpc.StatusCode.UNAVAILABLE, f"Cannot listen on {host}:{port} for REST: {error}."
        ) from error


def _check_rest_address(host: str, port: int) -> None:
    check_address(
        host, port, purpose="for REST", remedy="Choose another port with --rest_api_port."
    )


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
    # A byte down a socket cannot be missed; a signal that arrives just before the main thread
    # blocks on a lock can be, and a lock must not be taken in a handler.
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    failures: list[Exception] = []

    def start() -> None:
        try:
            server.start()
        except Exception as error:
            if not isinstance(error, (ServingError, UserError)):
                _LOG.exception("The server failed to start in a way that it does not know")
            failures.append(error)
            # The main thread would wait for a signal.
            wake.send(b"\0")
        else:
            if server.address:
                print(server.ready_line(), flush=True)

    prepare_process()
    memory_keeper = MemoryKeeper()
    memory_keeper.start()
    # Loading may wait for a first version without limit; signals must end that, too.
    starting = threading.Thread(target=start, name="server-start")
    starting.start()
    woken.recv(1)
    memory_keeper.stop()
    if not failures:
        _LOG.info("Stopping: finishing the calls in progress")
    if not server.stop(grace):
        _LOG.error("Some calls did not finish within %g s and are cut off", grace)
        sys.stderr.flush()
        os._exit(1)  # their threads would keep the process alive
    starting.join()
    signal.set_wakeup_fd(-1)
    woken.close()
    wake.close()
    if failures:
        print(f"Failed to start server. Error: {_message(failures[0])}", file=sys.stderr)
        return 1
    return 0


def _message(error: Exception) -> str:
    if isinstance(error, (ServingError, UserError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def main(argv: list[str] | None = None) -> int:
    """Runs the server as a process of its own."""
    args = parse_flags(sys.argv[1:] if argv is None else argv)
    set_up_logging()
    try:
        server = Server(
            args,
            configured_models(args),
            config_file=args.model_config_file,
            config_file_poll_seconds=args.model_config_file_poll_wait_seconds,
        )
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


if __name__ == "__main__":
    sys.exit(main())
