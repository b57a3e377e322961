# SPDX-License-Identifier: Apache-2.0
"""Which pages may talk to the gateway.

A browser lets any page of any site open a WebSocket to any host that it reaches, this one included,
and says in `Origin` which page it was. Programs that are not browsers send none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit


def is_allowed(
    origin: str | None, host: str | None, *, listening_on: str, allowed: Collection[str] = ()
) -> bool:
    """Whether a request may be answered.

    Args:
        origin: its `Origin`, such as "http://localhost:8080"; None if it has none.
        host: its `Host`, such as "localhost:8080".
        listening_on: the address that the gateway listens on. If only this machine can reach it, it
            answers to the names of this machine alone: a foreign name that leads here is an attack.
        allowed: further origins, for gateways behind a proxy.
    """
    if origin is not None and origin.rstrip("/") in allowed:
        return True
    if _is_loopback(listening_on) and not _is_loopback(_hostname(host)) and not allowed:
        return False
    if origin is None:
        return True
    return host is not None and urlsplit(origin).netloc.lower() == host.lower()


def _hostname(host: str | None) -> str:
    return urlsplit(f"//{host or ''}").hostname or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
