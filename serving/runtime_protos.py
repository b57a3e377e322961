# SPDX-License-Identifier: Apache-2.0
"""Message classes without generated code, for protos that the installed packages lack."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto


def message_classes(
    package: str, messages: Mapping[str, Mapping[str, str]]
) -> dict[str, type[Message]]:
    """Builds proto3 messages in a pool of their own.

    Args:
        package: proto package; another pool may have the same messages without conflict.
        messages: for each message, the type of each field, in the order of the field numbers
            from 1: a scalar ("int64"), "repeated " and a scalar, or a message (".package.Name").

    Returns:
        The classes by message name.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in messages.items():
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
    return {name: _message_class(pool, f"{package}.{name}") for name in messages}


def _message_class(pool: descriptor_pool.DescriptorPool, full_name: str) -> type[Message]:
    descriptor = pool.FindMessageTypeByName(full_name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)  # protobuf 3
