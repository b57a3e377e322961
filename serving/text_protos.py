# SPDX-License-Identifier: Apache-2.0
"""Configuration files of TensorFlow Serving whose messages its Python package lacks.

The descriptors are built here at run time, in a pool of their own, so that the same files
configure both servers.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message

from serving import errors

_Field = descriptor_pb2.FieldDescriptorProto
_INT64_VALUE = ".google.protobuf.Int64Value"
_STRING_VALUE = ".google.protobuf.StringValue"
_BOOL_VALUE = ".google.protobuf.BoolValue"
_PACKAGE = "tensorflow.serving"

# Message: {field: type}; a leading dot is a message type, "repeated " says what it says.
_MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": _INT64_VALUE,
        "batch_timeout_micros": _INT64_VALUE,
        "max_enqueued_batches": _INT64_VALUE,
        "num_batch_threads": _INT64_VALUE,
        "thread_pool_name": _STRING_VALUE,
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
        "enable_large_batch_splitting": _BOOL_VALUE,
        "max_execution_batch_size": _INT64_VALUE,
    },
}


def _build_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="serving/text_protos.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field_name, kind) in enumerate(fields.items(), start=1):
            scalar = kind.removeprefix("repeated ")
            field = message.field.add(name=field_name, number=number)
            field.label = _Field.LABEL_OPTIONAL if scalar == kind else _Field.LABEL_REPEATED
            if scalar.startswith("."):
                field.type, field.type_name = _Field.TYPE_MESSAGE, scalar
            else:
                field.type = getattr(_Field, f"TYPE_{scalar.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _build_pool()


def read_text_proto(path: str, message_name: str) -> Message:
    """Reads a file in text form.

    Args:
        path: the file.
        message_name: a message of TensorFlow Serving that this module knows.

    Raises:
        ServingError: INVALID_ARGUMENT, with the line that does not parse.
    """
    descriptor = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{message_name}")
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), _message_class(descriptor)())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise errors.invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error


def _message_class(descriptor):
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)  # protobuf 3
