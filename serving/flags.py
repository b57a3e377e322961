# SPDX-License-Identifier: Apache-2.0
"""The server's flags, named as in TensorFlow Serving; importing this module is cheap.

Flags that TensorFlow Serving does not have say so in their help text.
"""

from __future__ import annotations

import argparse


def boolean(text: str) -> bool:
    """Reads `true` or `false`, as in `--enable_batching=true`."""
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return values[text.lower()]


def port(text: str) -> int:
    """Reads a TCP port; 0 stands for any free one."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def add_listening_flags(parser: argparse.ArgumentParser) -> None:
    """Where and how the server listens."""
    group = parser.add_argument_group("listening")
    group.add_argument(
        "--port", type=port, default=8500, help="gRPC port; 0 picks a free one (default: 8500)"
    )
    group.add_argument(
        "--host",
        default="0.0.0.0",
        help="address to listen on; not a TensorFlow Serving flag (default: 0.0.0.0, all)",
    )
    group.add_argument(
        "--grpc_max_threads",
        type=int,
        default=0,
        help="threads that handle gRPC calls (default: 4 per core; with batching at least twice "
        "the largest batch, up to 256)",
    )
    group.add_argument(
        "--grpc_channel_arguments",
        default="",
        help="comma-separated key=value arguments of the gRPC server",
    )
    group.add_argument(
        "--grpc_socket_path", default="", help="also listen for gRPC on this UNIX socket"
    )
    group.add_argument(
        "--ssl_config_file",
        default="",
        help="SSLConfig in text form: gRPC over TLS, with client certificates if it says so",
    )
    group.add_argument(
        "--enable_grpc_healthcheck_service", **_switch("serve the standard gRPC health check")
    )
    group.add_argument(
        "--rest_api_port", type=port, default=0, help="REST port (default: 0, no REST)"
    )
    group.add_argument(
        "--rest_api_num_threads",
        type=int,
        default=0,
        help="REST requests that are handled at the same time (default: 4 per core)",
    )
    group.add_argument(
        "--rest_api_timeout_in_ms",
        type=int,
        default=30_000,
        help="milliseconds that the run of a REST request may take (default: 30000)",
    )
    group.add_argument(
        "--monitoring_config_file",
        default="",
        help="MonitoringConfig in text form: a Prometheus page on the REST port",
    )
    group.add_argument(
        "--shutdown_grace_seconds",
        type=float,
        default=30.0,
        help="how long requests in progress may take to finish after SIGTERM or SIGINT; not a "
        "TensorFlow Serving flag (default: 30)",
    )


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """How models are loaded and run."""
    group = parser.add_argument_group("models")
    group.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="seconds between looks for new versions; 0 looks once at start and at each new "
        "configuration, a negative number never (default: 1)",
    )
    group.add_argument(
        "--fail_if_no_model_versions_found",
        **_switch("stop with an error if a model has no version, instead of waiting for one"),
    )
    group.add_argument(
        "--max_num_load_retries",
        type=int,
        default=5,
        help="further attempts to load a version after a failure (default: 5)",
    )
    group.add_argument(
        "--load_retry_interval_micros",
        type=int,
        default=60_000_000,
        help="microseconds between load attempts (default: 60000000, a minute)",
    )
    group.add_argument(
        "--num_load_threads",
        type=int,
        default=1,
        help="versions that may load at the same time (default: 1)",
    )
    group.add_argument(
        "--allow_version_labels_for_unavailable_models",
        **_switch("accept a new label for a version that is not available yet"),
    )
    group.add_argument(
        "--saved_model_tags",
        default="serve",
        help="comma-separated tags of the graph to load (default: serve)",
    )
    group.add_argument(
        "--enable_model_warmup",
        **_switch("run the warm-up requests that an export carries", default=True),
    )
    group.add_argument(
        "--enable_signature_method_name_check",
        **_switch(
            "refuse Classify and Regress on signatures that are not marked as made for them, as "
            "all that TensorFlow 2 saves"
        ),
    )
    group.add_argument(
        "--tensorflow_session_parallelism",
        type=int,
        default=0,
        help="threads within and across operations of a run (default: 0, TensorFlow chooses)",
    )
    group.add_argument(
        "--tensorflow_intra_op_parallelism",
        type=int,
        default=0,
        help="threads within one operation; only without --tensorflow_session_parallelism",
    )
    group.add_argument(
        "--tensorflow_inter_op_parallelism",
        type=int,
        default=0,
        help="operations that run at a time; only without --tensorflow_session_parallelism",
    )
    group.add_argument(
        "--per_process_gpu_memory_fraction",
        type=float,
        default=0.0,
        help="share of each GPU's memory to take (default: 0, TensorFlow chooses)",
    )
    group.add_argument(
        "--enable_serialization_as_tensor_content",
        **_switch("write replies as tensor_content (raw bytes) instead of field lists"),
    )


def add_batching_flags(parser: argparse.ArgumentParser) -> None:
    """Whether and how requests are batched."""
    group = parser.add_argument_group("batching")
    group.add_argument("--enable_batching", **_switch("run concurrent requests together"))
    group.add_argument(
        "--batching_parameters_file",
        default="",
        help="BatchingParameters in text form; only with --enable_batching",
    )


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Which models are served."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--model_name", default="default", help="name of the one model (default: default)"
    )
    group.add_argument(
        "--model_base_path", default="", help="directory with one numbered directory a version"
    )
    group.add_argument(
        "--model_config_file",
        default="",
        help="ModelServerConfig in text form, for several models, version policies and labels; "
        "then --model_name and --model_base_path are not used",
    )
    group.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=float,
        default=0.0,
        help="seconds between looks for a changed --model_config_file (default: 0, never)",
    )


def _switch(help_text: str, default: bool = False) -> dict[str, object]:
    """Keywords of a flag that reads `--flag`, `--flag=true` and `--flag=false`."""
    return {
        "type": boolean,
        "nargs": "?",
        "const": True,
        "default": default,
        "metavar": "true|false",
        "help": f"{help_text} (default: {str(default).lower()})",
    }
