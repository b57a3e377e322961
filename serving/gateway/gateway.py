# SPDX-License-Identifier: Apache-2.0
"""The gateway as a whole: an HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import threading
import time
from collections.abc import Collection

import grpc
from aiohttp import web

from ds2_tf.errors import UserError
from serving.errors import ServingError
from serving.gateway.app import GatewayApp
from serving.gateway.hearing import SpeechServer
from serving.gateway.limits import Limits
from serving.listening import check_address

# When the utterances are done, what is left are downloads of the page.
_DOWNLOADS_SECONDS = 2.0


class Gateway:
    """Serves the page until it is stopped.

    Args:
        server: who hears; closed with the gateway.
        host: address to listen on.
        port: 0 takes a free one.
        limits: see `Limits`.
        allowed_origins: see `origins.is_allowed`.
        ssl_context: for HTTPS, without which browsers give the microphone to pages of this very
            machine alone. Defaults to HTTP.

    Attributes:
        address: `host:port`, once started.
        url: of the page, once started.
    """

    def __init__(
        self,
        server: SpeechServer,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        limits: Limits | None = None,
        allowed_origins: Collection[str] = (),
        ssl_context: ssl.SSLContext | None = None,
    ):
        self._server = server
        self._host = host
        self._port = port
        self._limits = limits or Limits()
        self._allowed_origins = allowed_origins
        self._ssl_context = ssl_context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="gateway")
        self._app: GatewayApp | None = None
        self._runner: web.AppRunner | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self.address = ""
        self.url = ""

    def problem(self) -> str:
        """Why nobody could speak now; empty if somebody could.

        An answer may take two seconds.
        """
        try:
            self._server.describe()
        except UserError as error:
            return str(error)
        return ""

    def start(self) -> None:
        """Listens; returns once the page is served.

        Raises:
            ServingError: the port is taken.
        """
        with self._lock:
            if self._stopped:
                return
            self._thread.start()
            try:
                asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
            except OSError as error:
                asyncio.run_coroutine_threadsafe(self._close(0.0), self._loop).result()
                self._end_loop()
                check_address(self._host, self._port, purpose="for the page")
                raise ServingError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"Cannot listen on {self._host}:{self._port} for the page: {error.strerror}.",
                ) from error

    def stop(self, grace: float = 0.0) -> bool:
        """Takes no more utterances, and ends those in progress with what was said until now.

        Args:
            grace: seconds that they may take.

        Returns:
            True: nothing is left running.
        """
        with self._lock:
            if self._stopped:
                return True
            self._stopped = True
            if self._thread.is_alive():
                asyncio.run_coroutine_threadsafe(self._close(grace), self._loop).result()
                self._end_loop()
        self._loop.close()
        self._server.close()
        return True

    def ready_line(self) -> str:
        """Where the page is, in one line."""
        return f"ready: page at {self.url}; model at {self._server.address}"

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._app = GatewayApp(
            self._server,
            self._limits,
            listening_on=self._host,
            allowed_origins=self._allowed_origins,
        )
        self._runner = web.AppRunner(
            self._app.application, access_log=None, shutdown_timeout=_DOWNLOADS_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._ssl_context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.address = f"{self._host}:{port}"
        scheme = "https" if self._ssl_context else "http"
        self.url = f"{scheme}://{_reachable(self._host)}:{port}/"

    async def _close(self, grace: float) -> None:
        if self._app:
            await self._app.leave(grace)
        if self._runner:
            await self._runner.cleanup()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class ServerWithPage:
    """A model server in this process and its page, started and stopped together.

    Args:
        server: a `serving.server.Server`.
        make_gateway: makes the gateway for the server's gRPC address, which is known only once it
            has started.
    """

    def __init__(self, server, make_gateway):
        self._server = server
        self._make_gateway = make_gateway
        self._gateway: Gateway | None = None
        self._stopping = False

    @property
    def address(self) -> str:
        """`host:port` of gRPC, once both have started."""
        return self._server.address if self._gateway else ""

    def start(self) -> None:
        """Starts both.

        Raises:
            ServingError: one of them cannot start.
        """
        self._server.start()
        if self._server.address and not self._stopping:
            gateway = self._make_gateway(self._server.address)
            gateway.start()
            self._gateway = gateway

    def stop(self, grace: float = 0.0) -> bool:
        """Stops the page first, whose utterances need the server; see `Server.stop`."""
        self._stopping = True
        deadline = time.monotonic() + grace
        if self._gateway:
            self._gateway.stop(grace)
        return self._server.stop(max(deadline - time.monotonic(), 0.0))

    def ready_line(self) -> str:
        """What is served where, in one line."""
        return f"{self._server.ready_line()}; page at {self._gateway.url}"


def _reachable(host: str) -> str:
    """A host under which a browser of this machine reaches what listens on `host`."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            return "localhost"
        if address.version == 6:
            return f"[{host}]"
    return host
