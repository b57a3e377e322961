# SPDX-License-Identifier: Apache-2.0
"""Reading the body of an HTTP request from a stranger: nothing is believed, everything bounded."""

from __future__ import annotations

import re
import zlib
from email.message import Message
from typing import BinaryIO

# A JSON document takes about ten times its size in memory. Larger requests are for gRPC.
MAX_BODY_BYTES = 64 * 2**20

_PIECE = 2**20
_MAX_LINE = 1024


class BodyError(Exception):
    """A body that is not read.

    Attributes:
        status: HTTP status to answer.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def read_body(headers: Message, stream: BinaryIO) -> bytes:
    """Reads and decompresses a request's body.

    Args:
        headers: of the request.
        stream: stands at the first byte of the body.

    Raises:
        BodyError: lengths that contradict each other or the body, a body of over 64 MiB before or
            after decompression, or an encoding other than gzip.
        OSError: the connection broke, or nothing came for too long.
    """
    lengths = set(headers.get_all("Content-Length", ()))
    encodings = headers.get_all("Transfer-Encoding", ())
    if encodings:
        if lengths or [encoding.strip().lower() for encoding in encodings] != ["chunked"]:
            raise BodyError(400, "expected a Content-Length or Transfer-Encoding: chunked")
        body = _read_chunks(stream)
    elif lengths:
        (length,) = lengths if len(lengths) == 1 else ("",)
        if not re.fullmatch("[0-9]{1,19}", length.strip()):
            raise BodyError(400, "malformed Content-Length")
        body = _read(stream, int(length))
    else:
        body = b""
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "gzip":
        return _decompress(body)
    if encoding != "identity":
        raise BodyError(415, f"Content-Encoding {encoding!r} is not known here, gzip is")
    return body


def _read(stream: BinaryIO, length: int, already: int = 0) -> bytes:
    """Exactly `length` bytes, taking memory only as they come."""
    if already + length > MAX_BODY_BYTES:
        raise BodyError(413, f"over {MAX_BODY_BYTES} bytes; send large requests over gRPC")
    content = bytearray()
    while len(content) < length:
        piece = stream.read(min(length - len(content), _PIECE))
        if not piece:
            raise BodyError(400, f"it ended after {len(content)} of {length} bytes")
        content += piece
    return bytes(content)


def _read_chunks(stream: BinaryIO) -> bytes:
    content = bytearray()
    while True:
        match = re.fullmatch(rb"([0-9a-fA-F]{1,15})[ \t]*(;.*)?\r?\n", stream.readline(_MAX_LINE))
        if not match:
            raise BodyError(400, "malformed length of a chunk")
        length = int(match[1], 16)
        content += _read(stream, length, already=len(content))
        # The line end after each chunk; after the last one, trailers could stand here.
        if stream.readline(_MAX_LINE) not in (b"\r\n", b"\n"):
            raise BodyError(400, "a chunk is not of the length it says")
        if not length:
            return bytes(content)


def _decompress(body: bytes) -> bytes:
    content, rest = bytearray(), body
    try:
        while rest:  # members, one after another
            member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            content += member.decompress(rest, MAX_BODY_BYTES + 1 - len(content))
            if len(content) > MAX_BODY_BYTES:
                raise BodyError(413, f"over {MAX_BODY_BYTES} bytes when decompressed")
            if not member.eof:
                raise BodyError(400, "the gzip data is incomplete")
            rest = member.unused_data
    except zlib.error as error:
        raise BodyError(400, str(error)) from error
    return bytes(content)
