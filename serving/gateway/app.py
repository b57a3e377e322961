# SPDX-License-Identifier: Apache-2.0
"""What the gateway answers over HTTP.

GET  /         the page, with its scripts and styles under /static
GET  /model    what is served, and the limits: JSON; 503 while the model server is away
POST /samples  an audio file of any format; the answer is its samples, as the page sends them on
GET  /speech   the WebSocket of one utterance, see `conversation`
"""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from aiohttp import WSCloseCode, web

from ds2_tf.audio.reading import AudioError, audio_duration, read_audio
from ds2_tf.errors import UserError
from serving.client import SAMPLE_RATE
from serving.gateway.conversation import Conversation, refusal_for
from serving.gateway.hearing import SpeechServer
from serving.gateway.limits import Limits
from serving.gateway.origins import is_allowed

_STATIC = pathlib.Path(__file__).parent / "static"
_MAX_MESSAGE_BYTES = 2**20
# Answers of the model server are passed on for so long, however many pages ask.
_MODEL_SECONDS = 1.0
_DECODED_AT_ONCE = 2
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # A page of one release does not talk to a gateway of another.
    "Cache-Control": "no-cache",
}


class GatewayApp:
    """The handlers, and what they share.

    Args:
        server: who hears.
        limits: see `Limits`.
        listening_on, allowed_origins: see `origins.is_allowed`.

    Attributes:
        application: for aiohttp.
    """

    def __init__(
        self,
        server: SpeechServer,
        limits: Limits,
        *,
        listening_on: str,
        allowed_origins: Collection[str] = (),
    ):
        self._server = server
        self._limits = limits
        self._listening_on = listening_on
        self._allowed_origins = frozenset(origin.rstrip("/") for origin in allowed_origins)
        self._threads = ThreadPoolExecutor(limits.max_sessions + 4, thread_name_prefix="gateway")
        self._sessions: set[asyncio.Task] = set()
        self._leaving = asyncio.Event()
        self._decoding = asyncio.Semaphore(_DECODED_AT_ONCE)
        self._model: asyncio.Task | None = None
        self.application = web.Application(
            middlewares=[self._guard], client_max_size=limits.max_upload_bytes
        )
        self.application.add_routes(
            [
                web.get("/", self._page),
                web.get("/model", self._describe_model),
                web.post("/samples", self._decode_file),
                web.get("/speech", self._speech),
                web.static("/static", _STATIC),
            ]
        )

    async def leave(self, grace: float) -> None:
        """Ends the utterances with what was said until now.

        Args:
            grace: seconds until those that are not done are cut off.
        """
        self._leaving.set()
        if self._sessions:
            _, late = await asyncio.wait(self._sessions, timeout=grace)
            for session in late:
                session.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @web.middleware
    async def _guard(self, request: web.Request, handler) -> web.StreamResponse:
        """Refuses pages of other sites, and names the errors for programs and people."""
        allowed = is_allowed(
            request.headers.get("Origin"),
            request.headers.get("Host"),
            listening_on=self._listening_on,
            allowed=self._allowed_origins,
        )
        if not allowed:
            return _error(
                403,
                "origin",
                "Requests from this address are not answered; --allow-origin names the addresses "
                "that pages may come from.",
            )
        try:
            response = await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "too-large", self._too_large())
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(_STATIC / "index.html")

    async def _describe_model(self, request: web.Request) -> web.StreamResponse:
        if self._model is None:
            self._model = asyncio.ensure_future(self._in_thread(self._server.describe))
            asyncio.get_running_loop().call_later(_MODEL_SECONDS, self._forget_model)
        try:
            info = await asyncio.shield(self._model)
        except UserError as error:
            refusal = refusal_for(error)
            return _error(503, refusal.code, refusal.message)
        return web.json_response(
            {**dataclasses.asdict(info), "limits": dataclasses.asdict(self._limits)}
        )

    def _forget_model(self) -> None:
        self._model = None

    async def _decode_file(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        try:
            async with self._decoding:
                samples = await self._in_thread(self._read, data)
        except AudioError as error:
            return _error(415, error.reason, str(error))
        except UserError as error:
            return _error(413, "too-long", str(error))
        return web.Response(body=samples, content_type="application/octet-stream")

    def _read(self, data: bytes) -> bytes:
        seconds = audio_duration(data)
        if seconds > self._limits.max_seconds:
            raise UserError(
                f"The recording lasts {seconds:.0f} s, and the page takes "
                f"{self._limits.max_seconds:g} s at most: ds2 transcribe takes any length."
            )
        samples = read_audio(data, sample_rate=SAMPLE_RATE)
        return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()

    def _too_large(self) -> str:
        return f"The file is larger than {self._limits.max_upload_bytes / 2**20:.0f} MiB."

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE_BYTES, compress=False)
        await socket.prepare(request)
        if self._leaving.is_set() or len(self._sessions) >= self._limits.max_sessions:
            message = (
                "The gateway is being stopped."
                if self._leaving.is_set()
                else f"{self._limits.max_sessions} utterances are being heard, and that is as many "
                "as the gateway takes. Try again in a moment."
            )
            await socket.send_json({"type": "error", "code": "busy", "message": message})
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"busy")
            return socket
        session = asyncio.current_task()
        self._sessions.add(session)
        try:
            conversation = Conversation(
                socket, self._server, self._limits, self._threads, self._leaving
            )
            await conversation.run()
        finally:
            self._sessions.discard(session)
        return socket

    async def _in_thread(self, call, *arguments):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, call, *arguments)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response(
        {"error": {"code": code, "message": message}}, status=status, headers=_HEADERS
    )
