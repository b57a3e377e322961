# SPDX-License-Identifier: Apache-2.0
"""Configuration files of TensorFlow Serving whose messages its Python package lacks."""

from __future__ import annotations

from google.protobuf import text_format
from google.protobuf.message import Message

from serving import errors
from serving.runtime_protos import message_classes

_INT64_VALUE = ".google.protobuf.Int64Value"

_MESSAGES = message_classes(
    "tensorflow.serving",
    {
        "BatchingParameters": {
            "max_batch_size": _INT64_VALUE,
            "batch_timeout_micros": _INT64_VALUE,
            "max_enqueued_batches": _INT64_VALUE,
            "num_batch_threads": _INT64_VALUE,
            "thread_pool_name": ".google.protobuf.StringValue",
            "allowed_batch_sizes": "repeated int64",
            "pad_variable_length_inputs": "bool",
            "enable_large_batch_splitting": ".google.protobuf.BoolValue",
            "max_execution_batch_size": _INT64_VALUE,
        },
        "PrometheusConfig": {"enable": "bool", "path": "string"},
        "MonitoringConfig": {"prometheus_config": ".tensorflow.serving.PrometheusConfig"},
        "SSLConfig": {
            "server_key": "string",
            "server_cert": "string",
            "custom_ca": "string",
            "client_verify": "bool",
        },
    },
)


def read_text_proto(path: str, message_name: str) -> Message:
    """Reads a file in text form.

    Args:
        path: the file.
        message_name: "BatchingParameters", "MonitoringConfig" or "SSLConfig".

    Raises:
        ServingError: INVALID_ARGUMENT, with the line that does not parse.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), _MESSAGES[message_name]())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise errors.invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error
