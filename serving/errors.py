# SPDX-License-Identifier: Apache-2.0
"""The error that ends a request: a canonical status code and the text that the caller reads."""

from __future__ import annotations

import grpc
import tensorflow as tf

_CODES = {code.value[0]: code for code in grpc.StatusCode}

MAX_MESSAGE_LENGTH = 1024


class ServingError(Exception):
    """A request, a load or a configuration change that failed.

    Args:
        code: canonical status code; TensorFlow, gRPC and StatusProto share the numbers.
        message: the text as TensorFlow Serving words it, of any length.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def wire_message(self) -> str:
        """The text as it goes over the wire: cut after 1024 bytes of UTF-8.

        Bytes, since a transport that percent-encodes a text of 1024 characters of an Asian script
        exceeds what clients accept as metadata. What UTF-8 cannot hold becomes question marks.
        """
        encoded = self.message.encode("utf-8", "replace")
        if len(encoded) <= MAX_MESSAGE_LENGTH:
            return encoded.decode("utf-8")
        return encoded[:MAX_MESSAGE_LENGTH].decode("utf-8", "ignore") + "...TRUNCATED"

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """An error of code INVALID_ARGUMENT."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """An error of code NOT_FOUND."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message: str) -> ServingError:
    """An error of code FAILED_PRECONDITION."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def from_tensorflow(error: tf.errors.OpError) -> ServingError:
    """The same code and text as the TensorFlow error carries."""
    return ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), error.message)
