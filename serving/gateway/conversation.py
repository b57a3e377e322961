# SPDX-License-Identifier: Apache-2.0
"""One utterance over a WebSocket: audio in, text out while it comes.

From the page: binary messages of 16-bit little-endian samples, mono, 16 kHz, of any size; then the
text message `{"type": "finish"}`.

To the page, one JSON object a message:

    {"type": "begin", "streaming": ..., "version": ..., ...}        see `hearing.ModelInfo`
    {"type": "partial", "stable": ..., "unstable": ..., "heard": seconds, "busy": seconds}
    {"type": "progress", "done": seconds}                           after the end, of whole models
    {"type": "notice", "code": ..., "message": ...}                 the utterance ends here
    {"type": "final", "text": ..., "words": [{"text", "start", "end"}], "heard": ..., "busy": ...}
    {"type": "error", "code": ..., "message": ...}                  nothing more comes

`heard` is the audio that the model has heard, `busy` how long it took over it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import grpc
import numpy as np
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from ds2_tf.errors import UserError
from serving.client import SAMPLE_RATE, ClientError
from serving.gateway.hearing import Hearing, SpeechServer
from serving.gateway.limits import Limits

_LOG = logging.getLogger(__name__)

# Audio that is heard at once where it comes faster than it is spoken: the text comes between.
_SECONDS_AT_ONCE = 1.0
_BYTES_PER_SECOND = 2 * SAMPLE_RATE


class Refusal(Exception):
    """Why an utterance ends without a result.

    Args:
        code: a word for programs.
        message: for the person at the page.
        close: WebSocket code.
    """

    def __init__(self, code: str, message: str, close: WSCloseCode):
        super().__init__(message)
        self.code = code
        self.message = message
        self.close = close


class Conversation:
    """One utterance.

    Args:
        socket: open.
        server: who hears.
        limits: see `Limits`.
        threads: for the calls that wait.
        leaving: set when the gateway is about to stop: the utterance then ends with what was said.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        server: SpeechServer,
        limits: Limits,
        threads: Executor,
        leaving: asyncio.Event,
    ):
        self._socket = socket
        self._server = server
        self._limits = limits
        self._threads = threads
        self._leaving = leaving
        self._pending = bytearray()
        self._received = 0
        self._ended = False
        self._changed = asyncio.Condition()
        self._heard = 0.0
        self._busy = 0.0

    async def run(self) -> None:
        """Talks until the utterance is done, or its page has gone."""
        tasks = {
            asyncio.ensure_future(coroutine)
            for coroutine in (self._hear(), self._listen(), self._watch_for_leaving())
        }
        close, reason = WSCloseCode.OK, ""
        try:
            # The ends of `_hear` and `_listen` are ends of the conversation, well or badly.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Refusal as refusal:
            close, reason = refusal.close, refusal.code
            await self._say_at_last(refusal.code, refusal.message)
        except ConnectionError:
            pass  # the page has gone
        except Exception:
            _LOG.exception("An utterance failed")
            close, reason = WSCloseCode.INTERNAL_ERROR, "internal"
            await self._say_at_last("internal", "The gateway made a mistake; its log says which.")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._socket.close(code=close, message=reason.encode())
            _LOG.info(
                "Utterance of %.1f s, heard in %.1f s: %s",
                self._heard,
                self._busy,
                reason or "done",
            )

    async def _listen(self) -> None:
        """Takes what the page sends; returns when it has gone."""
        most = self._limits.pending_seconds * _BYTES_PER_SECOND
        while True:
            async with self._changed:
                # Not reading is what holds the page back: its data stay in the network's buffers.
                await self._changed.wait_for(lambda: len(self._pending) < most or self._ended)
            message = await self._receive()
            if message.type == WSMsgType.BINARY:
                await self._take(message.data)
            elif message.type == WSMsgType.TEXT:
                self._check_is_finish(message.data)
                await self._end()
            else:
                raise ConnectionResetError  # closed, or cut off in the midst of something

    async def _receive(self) -> WSMessage:
        if self._ended:
            return await self._socket.receive()
        try:
            return await self._socket.receive(self._limits.idle_seconds)
        except asyncio.TimeoutError:
            raise Refusal(
                "idle",
                f"No audio came for {self._limits.idle_seconds:g} s, so the utterance was ended.",
                WSCloseCode.POLICY_VIOLATION,
            ) from None

    async def _take(self, data: bytes) -> None:
        if self._ended:
            return  # it was on its way when the limit was reached
        if len(data) % 2:
            raise Refusal(
                "protocol",
                f"Audio comes as 16-bit samples, not in messages of {len(data)} bytes.",
                WSCloseCode.UNSUPPORTED_DATA,
            )
        most = int(self._limits.max_seconds * SAMPLE_RATE) * 2
        self._received += len(data)
        async with self._changed:
            self._pending += data[: max(len(data) - max(self._received - most, 0), 0)]
            self._changed.notify_all()
        if self._received > most:
            await self._end(
                "too-long",
                f"An utterance may last {self._limits.max_seconds:g} s: what was said until then "
                "is transcribed.",
            )

    def _check_is_finish(self, text: str) -> None:
        try:
            if json.loads(text)["type"] == "finish":
                return
        except (ValueError, KeyError, TypeError):
            pass
        raise Refusal(
            "protocol",
            f'Expected audio or {{"type": "finish"}}, got {text[:100]!r}.',
            WSCloseCode.UNSUPPORTED_DATA,
        )

    async def _watch_for_leaving(self) -> None:
        await self._leaving.wait()
        await self._end(
            "leaving", "The gateway is being stopped: what was said until now is transcribed."
        )
        await asyncio.Event().wait()

    async def _end(self, code: str = "", message: str = "") -> None:
        """No more audio is taken; says why, if it is not the page's own wish."""
        async with self._changed:
            if self._ended:
                return
            self._ended = True
            self._changed.notify_all()
        if code:
            await self._say("notice", code=code, message=message)

    async def _hear(self) -> None:
        """Feeds the model with what has come, and tells the page; returns after the final text."""
        hearing: Hearing = await self._wait_for(self._server.open)
        self._busy = 0.0  # opening is not hearing
        await self._say("begin", **dataclasses.asdict(hearing.info))
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._pending or self._ended)
                samples = np.frombuffer(
                    bytes(self._pending[: int(_SECONDS_AT_ONCE * SAMPLE_RATE) * 2]), "<i2"
                ).astype(np.int16, copy=False)
                del self._pending[: 2 * len(samples)]
                self._changed.notify_all()
            if not len(samples):
                break
            partial = await self._wait_for(hearing.feed, samples)
            self._heard += len(samples) / SAMPLE_RATE
            await self._say(
                "partial",
                stable=partial.stable,
                unstable=partial.unstable,
                heard=round(self._heard, 4),
                busy=round(self._busy, 4),
            )
        heard = await self._wait_for(hearing.finish, self._make_progress())
        await self._say(
            "final",
            text=heard.text,
            words=[dataclasses.asdict(word) for word in heard.words],
            score=heard.score,
            version=heard.version,
            heard=round(self._heard, 4),
            busy=round(self._busy, 4),
        )

    def _make_progress(self) -> Callable[[float], object]:
        loop = asyncio.get_running_loop()
        total = 0.0

        def progress(seconds: float) -> None:
            nonlocal total
            total += seconds
            asyncio.run_coroutine_threadsafe(self._say("progress", done=round(total, 2)), loop)

        return progress

    async def _wait_for(self, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        except UserError as error:
            raise refusal_for(error) from error
        finally:
            self._busy += time.monotonic() - start

    async def _say(self, kind: str, **fields: Any) -> None:
        if self._socket.closed:
            return
        text = json.dumps({"type": kind, **fields}, ensure_ascii=False, allow_nan=False)
        # Not wait_for: before Python 3.12 it may swallow that it is cancelled itself.
        sending = asyncio.ensure_future(self._socket.send_str(text))
        done, _ = await asyncio.wait({sending}, timeout=self._limits.idle_seconds)
        if not done:
            sending.cancel()
            raise ConnectionResetError  # who does not read what it asked for is as good as gone
        sending.result()

    async def _say_at_last(self, code: str, message: str) -> None:
        with contextlib.suppress(ConnectionError):
            await self._say("error", code=code, message=message)


def refusal_for(error: UserError) -> Refusal:
    """The refusal that tells a page of an error of the model server."""
    away = isinstance(error, ClientError) and error.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    if away:
        message = f"The model server does not answer at the moment. {error}"
        return Refusal("server-away", message, WSCloseCode.TRY_AGAIN_LATER)
    return Refusal("refused", str(error), WSCloseCode.INTERNAL_ERROR)
