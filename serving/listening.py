# SPDX-License-Identifier: Apache-2.0
"""Whether an address can be listened on, and why not."""

from __future__ import annotations

import errno
import socket

import grpc

from serving.errors import ServingError


def check_address(
    host: str, port: int, *, purpose: str = "", remedy: str = "Choose another port."
) -> None:
    """Tries an address and leaves it free again.

    Servers call it before they load models, which may take minutes, and listen only when they can
    answer: a connection that nobody answers looks like a server that hangs.

    Args:
        host: name or address, IPv6 with or without brackets.
        port: 0 stands for any free one.
        purpose: what the address is for, such as "for REST". Defaults to nothing.
        remedy: what to do about a port that cannot be had.

    Raises:
        ServingError: the host is unknown or of another machine, or the port is taken or reserved.
    """

    def refusal(reason: str) -> ServingError:
        address = f"{host}:{port} {purpose}".rstrip()
        return ServingError(grpc.StatusCode.UNAVAILABLE, f"Cannot listen on {address}. {reason}")

    name = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(
            name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refusal(f"The host is not known ({reason}): check its name.") from error
    problems = []
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As servers do: connections that ended a moment ago do not hold a port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            return
        except OSError as error:
            # A name may also stand for an address of IPv6 that this machine does not have.
            problems.append(error)
    raise refusal(_reason(problems[-1], remedy)) from problems[-1]


def _reason(error: OSError, remedy: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Is another server using it? {remedy}"
    if error.errno == errno.EADDRNOTAVAIL:
        return "The host is no address of this machine: check it."
    if error.errno == errno.EACCES:
        return f"The system keeps this port for administrators. {remedy}"
    return f"{error.strerror}. {remedy}"
