# SPDX-License-Identifier: Apache-2.0
"""One utterance on its way through a model server, whether the model hears streams or not.

All calls wait for the server: from asyncio they go to threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import grpc
import numpy as np

from ds2_tf.decoding.beam_search import BeamSearch, Partial
from ds2_tf.decoding.decoder import as_decoder
from ds2_tf.errors import UserError
from ds2_tf.streaming.results import TimedWord
from ds2_tf.text.alphabet import Alphabet
from serving.answers import Metadata, TensorInfo
from serving.client import SAMPLE_RATE, Client
from serving.model_info import check_size
from serving.stream_session import STEP, ServedNetwork, StreamSession

# Pages ask whether the server is there, and do not wait long for the answer.
_PROBE_TIMEOUT = 2.0
_WHOLE_TIMEOUT = 120.0


@dataclass(frozen=True)
class ModelInfo:
    """What a page shows of the model.

    Attributes:
        name: name on the server.
        version: the version that would answer now.
        streaming: whether words come while somebody speaks; otherwise at the end.
        separator: stands between words; empty where the alphabet has no space.
        lookahead_seconds: how long after a sound its label comes, at the least.
        decoder: whether a language model is used.
    """

    name: str
    version: int
    streaming: bool
    separator: str
    lookahead_seconds: float
    decoder: bool


@dataclass(frozen=True)
class Heard:
    """An utterance as it was understood.

    Attributes:
        text: the words.
        words: the words with their times in seconds.
        score: see `ds2_tf.streaming.results.Transcript`.
        version: the model's version.
    """

    text: str
    words: tuple[TimedWord, ...]
    score: float
    version: int


class Hearing(Protocol):
    """One utterance; for one thread at a time."""

    info: ModelInfo

    def feed(self, samples: np.ndarray) -> Partial:
        """Hears int16 [samples] at 16 kHz, and tells the text so far.

        Raises:
            UserError: the server is away or refused.
        """

    def finish(self, progress: Callable[[float], object]) -> Heard:
        """Ends the utterance.

        Args:
            progress: called with the seconds of audio that were dealt with since the last call, if
                that was not done before.

        Raises:
            UserError: the server is away or refused.
        """


class SpeechServer:
    """A model on a server, as the gateway uses it; safe to share between threads.

    Args:
        address: of gRPC, `host:port`.
        model_name: name on the server.
        decoder: a search with a language model. Defaults to greedy decoding.
        alphabet: the labels of a model that hears no streams. Defaults to what the model tells; for
            one that tells nothing, to the decoder's, or else English.
        credentials: TLS credentials. Defaults to plain text.
        step_timeout: seconds that a step of a stream may take, while the server is away included.
            Defaults to 10.
    """

    def __init__(
        self,
        address: str,
        model_name: str = "ds2",
        *,
        decoder: BeamSearch | None = None,
        alphabet: Alphabet | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        step_timeout: float = 10.0,
    ):
        self.address = address
        self._decoder = decoder
        self._probe, self._steps, self._whole = (
            Client(
                address,
                model_name,
                timeout=timeout,
                credentials=credentials,
                alphabet=alphabet,
            )
            for timeout in (_PROBE_TIMEOUT, step_timeout, _WHOLE_TIMEOUT)
        )

    def close(self) -> None:
        """Closes the connections."""
        for client in (self._probe, self._steps, self._whole):
            client.close()

    def describe(self) -> ModelInfo:
        """What is served at this moment.

        Raises:
            UserError: the server is away, does not serve the model, or the model, the decoder and
                the alphabet do not belong together.
        """
        return self._describe(self._probe)

    def open(self) -> Hearing:
        """Begins an utterance.

        Raises:
            UserError: as `describe`.
        """
        info = self._describe(self._steps)
        if info.streaming:
            session = StreamSession(self._steps, decoder=self._decoder, sample_rate=SAMPLE_RATE)
            return _StreamedHearing(info, session)
        return _WholeHearing(info, self._whole, self._decoder)

    def _describe(self, client: Client) -> ModelInfo:
        metadata = client.metadata()
        streaming = STEP in metadata.signatures
        lookahead = 0.0
        if streaming:
            info = ServedNetwork(client).info
            alphabet, lookahead = info.alphabet, info.lookahead_seconds
        else:
            alphabet = client.labels_of(metadata.version, self._decoder)
            labels = _log_probs_of(metadata, client.model_name).shape[-1]
            if labels is not None:
                check_size(alphabet, labels, f"model {client.model_name!r}")
        as_decoder(self._decoder, alphabet)  # for it to be checked
        return ModelInfo(
            name=client.model_name,
            version=metadata.version,
            streaming=streaming,
            separator=" " if " " in alphabet.characters else "",
            lookahead_seconds=lookahead,
            decoder=self._decoder is not None,
        )


def _log_probs_of(metadata: Metadata, model_name: str) -> TensorInfo:
    signature = metadata.signatures.get("serving_default")
    if signature is None or "log_probs" not in signature.outputs:
        raise UserError(
            f"Version {metadata.version} of the model {model_name!r} is no recogniser of ds2 "
            "export: it has no signature serving_default with an output log_probs. It offers "
            f"{', '.join(sorted(metadata.signatures)) or 'no signature'}."
        )
    return signature.outputs["log_probs"]


class _StreamedHearing:
    def __init__(self, info: ModelInfo, session: StreamSession):
        self.info = info
        self._session = session

    def feed(self, samples: np.ndarray) -> Partial:
        return self._session.feed(samples)

    def finish(self, progress: Callable[[float], object]) -> Heard:
        transcript = self._session.finish()
        return Heard(transcript.text, transcript.words, transcript.score, self._session.version)


class _WholeHearing:
    """Collects the audio, and hears all of it at the end."""

    def __init__(self, info: ModelInfo, client: Client, decoder: BeamSearch | None):
        self.info = info
        self._client = client
        self._decoder = decoder
        self._parts: list[np.ndarray] = []

    def feed(self, samples: np.ndarray) -> Partial:
        self._parts.append(samples)
        return Partial("", "")

    def finish(self, progress: Callable[[float], object]) -> Heard:
        if not self._parts:
            return Heard("", (), 0.0, self.info.version)
        samples = np.concatenate(self._parts).astype(np.float32) / np.float32(32768.0)
        result = self._client.transcribe(
            samples, words=True, decoder=self._decoder, progress=progress
        )
        return Heard(result.text, result.words, result.score, result.model_version)
