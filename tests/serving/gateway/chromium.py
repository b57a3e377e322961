# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str | None:
    """The program that `CHROMIUM` names, or the first on the PATH."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """An open page.

    Attributes:
        console: what the page wrote to its console, and its uncaught errors.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self._socket = socket
        self._answers: dict[int, asyncio.Future] = {}
        self.console: list[str] = []
        self._reader = asyncio.ensure_future(self._read())

    async def call(self, method: str, **parameters):
        """Calls a method of the DevTools protocol and returns its result."""
        number = len(self._answers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await self._answers[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def run(self, expression: str):
        """The value of an expression in the page; promises are waited for."""
        result = await self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    async def wait_for(self, condition: str, seconds: float = 30.0):
        """Waits until an expression is true, and returns its value."""
        deadline = time.monotonic() + seconds
        while not (value := await self.run(condition)):
            if time.monotonic() > deadline:
                shown = await self.run("document.body.innerText")
                raise AssertionError(
                    f"{condition} did not come true. Page:\n{shown}\n{self.console}"
                )
            await asyncio.sleep(0.05)
        return value

    async def choose_files(self, selector: str, *paths: str) -> None:
        """Chooses files in an input."""
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        node = await self.call("DOM.querySelector", nodeId=root, selector=selector)
        await self.call("DOM.setFileInputFiles", nodeId=node["nodeId"], files=list(paths))

    async def drop_files(self, *paths: str, x: int = 200, y: int = 300) -> None:
        """Drags files over the page and lets them go."""
        data = {"items": [], "files": list(paths), "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            await self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    async def screenshot(self, path: str | os.PathLike) -> None:
        """Saves what is seen as a PNG."""
        result = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        pathlib.Path(path).write_bytes(base64.b64decode(result["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                self._answers[event["id"]].set_result(event)
            elif event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                self.console.append(details.get("exception", {}).get("description", "error"))
            elif event["method"] == "Runtime.consoleAPICalled":
                self.console.append(
                    " ".join(str(a.get("value", a)) for a in event["params"]["args"])
                )
            elif event["method"] == "Log.entryAdded":
                self.console.append(event["params"]["entry"]["text"])


@contextlib.asynccontextmanager
async def open_tab(
    program: str, url: str, profile: pathlib.Path, *, microphone: pathlib.Path | None = None
) -> AsyncIterator[Tab]:
    """Opens a page in a browser of its own.

    Args:
        program: the browser.
        url: of the page.
        profile: an empty directory.
        microphone: a WAV file that the microphone plays once; without it there is none that the
            page may use.
    """
    flags = [
        "--headless=new",
        # Containers let no user namespaces be made; the pages are our own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-features=Translate,OptimizationHints,MediaRouter",
        "--window-size=1100,1300",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]
    if microphone:
        flags += [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        ]
    process = subprocess.Popen(
        [program, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port = await _debugging_port(process, profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                pages = [page for page in await response.json() if page["type"] == "page"]
            async with session.ws_connect(
                pages[0]["webSocketDebuggerUrl"], max_msg_size=0
            ) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "DOM"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Page.navigate", url=url)
                await tab.wait_for(
                    f"location.href === {url!r} && document.readyState === 'complete'"
                )
                yield tab
    finally:
        process.kill()
        process.wait()


async def _debugging_port(process: subprocess.Popen, file: pathlib.Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text("utf-8").count("\n")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The browser did not start (status {process.poll()}).")
        await asyncio.sleep(0.05)
    return int(file.read_text("utf-8").splitlines()[0])
