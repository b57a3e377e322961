# SPDX-License-Identifier: Apache-2.0
"""A language of tones, a model that understands it, and gateways before a server of it.

Each character is a tone of its own, so that what is heard has a meaning, word times are known, and
resampling on the way does no harm.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import aiohttp
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.config import model_server_config_pb2

from ds2_tf.text.alphabet import Alphabet
from serving.gateway.gateway import Gateway
from serving.gateway.hearing import SpeechServer
from serving.gateway.limits import Limits

RATE = 16000  # of what the page sends
TONE_SECONDS, GAP_SECONDS = 0.08, 0.04
CHARACTER_SECONDS = TONE_SECONDS + GAP_SECONDS
_ALPHABET = Alphabet.english()
_BINS = [4 + 2 * label for label in range(1, _ALPHABET.size)]  # of 100 Hz each


def spoken(text: str, *, rate: int = RATE) -> np.ndarray:
    """Float32 samples of a text: a tone of 80 ms and a gap of 40 ms for each character."""
    parts = []
    time = np.arange(round(TONE_SECONDS * rate)) / rate
    for label in _ALPHABET.encode(text):
        parts.append(0.5 * np.sin(2 * np.pi * 100 * _BINS[label - 1] * time))
        parts.append(np.zeros(round(GAP_SECONDS * rate)))
    return np.concatenate(parts).astype(np.float32)


def as_bytes(samples: np.ndarray) -> bytes:
    """Samples as the page sends them."""
    return np.rint(samples * 32767).astype("<i2").tobytes()


class ToneModel(tf.Module):
    """Understands `spoken` texts, with the signatures of an export; one frame is 10 ms.

    The state counts the samples of a stream, and a stream of the wrong state says "z".
    """

    def __init__(self, rate: int):
        super().__init__()
        self.rate = rate
        self.frame = rate // 100
        self.bins = tf.Variable(_BINS)
        self.labels = tf.constant(_ALPHABET.labels)

    def log_probs(self, samples):
        frames = tf.shape(samples)[1] // self.frame
        rows = tf.reshape(samples[:, : frames * self.frame], [-1, frames, self.frame])
        loudness = tf.gather(tf.abs(tf.signal.rfft(rows)), self.bins, axis=-1) * (2 / self.frame)
        blank = tf.fill(tf.concat([tf.shape(loudness)[:2], [1]], 0), 0.1)
        return tf.nn.log_softmax(40.0 * tf.concat([blank, loudness], axis=-1))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="samples"),
            tf.TensorSpec([None], tf.int32, name="num_samples"),
        ]
    )
    def serving_default(self, samples, num_samples):
        return {
            "log_probs": tf.ensure_shape(self.log_probs(samples), [None, None, 29]),
            "num_frames": num_samples // self.frame,
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="samples"),
            tf.TensorSpec([None], tf.int32, name="num_samples"),
            tf.TensorSpec([None, 4], tf.float32, name="state"),
        ]
    )
    def stream_step(self, samples, num_samples, state):
        return {
            "log_probs": tf.ensure_shape(self.log_probs(samples), [None, None, 29]),
            "skip": tf.zeros_like(num_samples),
            "num_frames": num_samples // self.frame,
            "next_state": state + tf.cast(num_samples, tf.float32)[:, None],
        }

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="state")])
    def stream_finish(self, state):
        nothing = tf.one_hot(tf.zeros([tf.shape(state)[0], 1], tf.int32), 29, 0.0, -50.0)
        return {"log_probs": nothing, "skip": tf.ones([tf.shape(state)[0]], tf.int32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="query")])
    def stream_info(self, query):
        return {
            "labels": tf.tile(self.labels[None], [tf.size(query), 1]),
            "sample_rate": 0 * query + self.rate,
            "frame_samples": 0 * query + self.frame,
            "lookahead_frames": 0 * query,
        }


@pytest.fixture(scope="session")
def tone_base_paths(tmp_path_factory):
    """Base paths by name.

    "ds2" hears streams, "whole" does not; "ds2-24k" and "whole-24k" take 24 kHz; "no-recogniser"
    hears nothing at all.
    """
    root = tmp_path_factory.mktemp("tones")
    streaming = ("serving_default", "stream_step", "stream_finish", "stream_info")
    paths = {}
    for suffix, rate, whole in (("", RATE, streaming[:1]), ("-24k", 24000, streaming[::3])):
        model = ToneModel(rate)
        for name, signatures in {"ds2": streaming, "whole": whole}.items():
            paths[name + suffix] = os.fspath(root / (name + suffix))
            tf.saved_model.save(
                model,
                os.path.join(paths[name + suffix], "3"),
                {key: getattr(model, key) for key in signatures},
            )
    paths["no-recogniser"] = os.fspath(root / "no-recogniser")
    info = {"stream_info": model.stream_info}
    tf.saved_model.save(model, os.path.join(paths["no-recogniser"], "3"), info)
    return paths


@pytest.fixture(scope="session")
def tone_server(helpers, tone_base_paths):
    """A server of all of them."""
    config = model_server_config_pb2.ModelServerConfig()
    for name, path in tone_base_paths.items():
        config.model_config_list.config.add(name=name, base_path=path, model_platform="tensorflow")
    server = helpers.make_server(config)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start_gateway(tone_server):
    """Starts gateways and stops them after the test; by default before `tone_server`."""
    gateways = []

    def start(model_name="ds2", *, address=None, limits=None, options=(), **of_server):
        server = SpeechServer(address or tone_server.address, model_name, **of_server)
        gateway = Gateway(server, port=0, limits=limits or Limits(), **dict(options))
        gateways.append(gateway)
        gateway.start()
        return gateway

    yield start
    for gateway in gateways:
        gateway.stop()


class Page:
    """The part of the page that talks to the gateway."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket = socket

    async def send(self, samples: np.ndarray, chunk: int = 1600) -> None:
        for start in range(0, len(samples), chunk):
            await self.socket.send_bytes(as_bytes(samples[start : start + chunk]))

    async def finish(self) -> None:
        await self.socket.send_str('{"type": "finish"}')

    async def next(self, timeout: float = 20.0) -> dict:
        message = await self.socket.receive(timeout)
        assert message.type == aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def rest(self) -> list[dict]:
        """All messages until the gateway closes."""
        messages = []
        while True:
            message = await self.socket.receive(20)
            if message.type != aiohttp.WSMsgType.TEXT:
                return messages
            messages.append(json.loads(message.data))


async def on_page(gateway: Gateway, talk, **headers: str):
    """Opens a WebSocket to the gateway and returns what `talk(page)` does."""
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(
            f"{gateway.url}speech", headers={name.title(): value for name, value in headers.items()}
        ) as socket:
            return await talk(Page(socket))


async def say(page: Page, samples: np.ndarray) -> list[dict]:
    """All messages of the gateway about one utterance."""
    await page.send(samples)
    await page.finish()
    return await page.rest()


def hear(gateway: Gateway, samples: np.ndarray) -> list[dict]:
    """All messages of the gateway about one utterance."""
    return asyncio.run(on_page(gateway, lambda page: say(page, samples)))


@pytest.fixture(scope="session")
def tones():
    """The functions of this file, for tests."""
    return sys.modules[__name__]
