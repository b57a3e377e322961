# SPDX-License-Identifier: Apache-2.0
"""A client's stream: audio goes to the server in chunks while text comes back.

Example:
    >>> with StreamSession("localhost:8500") as session:
    ...     for samples in microphone:
    ...         print(session.feed(samples).stable)
    ...     print(session.finish().text)
"""

from __future__ import annotations

import grpc
import numpy as np

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.decoder import Decoder
from ds2_tf.errors import UserError
from ds2_tf.streaming.recognition_stream import RecognitionStream
from ds2_tf.streaming.results import StreamInfo
from serving.client import Client, ClientError
from serving.model_info import info_query, told_info

STEP, FINISH, INFO = "stream_step", "stream_finish", "stream_info"


class StreamSession(RecognitionStream):
    """One stream that a server hears; for one thread at a time.

    `feed(samples)` gives the `Partial` text so far (`stable`, `unstable`), `finish()` the
    `Transcript` (`text`, `words` with times in seconds, `score`, `duration`); see
    `RecognitionStream`. Calls wait for the server: from asyncio, call them in a thread. Many
    sessions, each in a thread of its own, may share a client, and so a connection.

    The server keeps nothing of a stream between its chunks: what it needs travels with them. A call
    is therefore repeated while the server is unavailable, and another server with the same version
    can go on with the stream. The version is that of the first reply, to the end.

    Args:
        client: whom to ask, or the address of a server of the model "ds2".
        decoder: such as `Decoder.load(path)`; it runs in this process, and its rescoring, where it
            has one, ranks the texts at the end. Defaults to greedy decoding.
        chunk_seconds: audio per request. Servers batch requests of one size alone, so that all
            streams of a server should have the same. Defaults to 0.1.
        sample_rate: samples per second of what is fed; resampled where it is not the model's.
            Defaults to the model's.
        timeout: seconds that a request may take, retries included. Defaults to the client's.

    Raises:
        ClientError: the server could not be reached, or does not serve the model.
        UserError: the model is not a streaming model, or the decoder is none, or not for it.

    Attributes:
        version: the version that hears the stream.
    """

    def __init__(
        self,
        client: Client | str,
        *,
        decoder: Decoder | BeamSearch | None = None,
        chunk_seconds: float = 0.1,
        sample_rate: int | None = None,
        timeout: float | None = None,
    ):
        self._own_client = Client(client) if isinstance(client, str) else None
        try:
            network = ServedNetwork(self._own_client or client, timeout)
            super().__init__(
                network,
                decoder=decoder,
                chunk_seconds=chunk_seconds,
                sample_rate=sample_rate,
            )
        except BaseException:
            self.close()
            raise
        self.version = network.version

    def close(self) -> None:
        """Closes the connection, if it is the session's own."""
        if self._own_client:
            self._own_client.close()


class ServedNetwork:
    """A streaming network on a server; see `StreamingNetwork`.

    Args:
        client: whom to ask.
        timeout: seconds that a call may take, retries included. Defaults to the client's.
    """

    def __init__(self, client: Client, timeout: float | None = None):
        self._client = client
        self._timeout = timeout
        metadata = client.metadata(timeout=timeout)
        self.version = metadata.version
        if STEP not in metadata.signatures:
            raise UserError(
                f"Version {self.version} of the model {client.model_name!r} at {client.address} "
                "cannot hear streams: only a network that runs forward alone can (bidirectional: "
                f"false, causal: true). It offers {', '.join(sorted(metadata.signatures))}."
            )
        told = self._predict(INFO, info_query())
        info = told_info(told)
        self.info = StreamInfo(
            info.alphabet,
            sample_rate=info.sample_rate,
            frame_samples=int(told["frame_samples"][0]),
            lookahead_frames=int(told["lookahead_frames"][0]),
            state_size=metadata.signatures[STEP].inputs["state"].shape[-1],
        )

    def step(
        self, samples: np.ndarray, num_samples: int, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `StreamingNetwork.step`."""
        outputs = self._predict(
            STEP,
            {
                "samples": samples[np.newaxis],
                "num_samples": np.array([num_samples], np.int32),
                "state": state[np.newaxis],
            },
        )
        known = slice(outputs["skip"][0], outputs["num_frames"][0])
        return outputs["log_probs"][0, known], outputs["next_state"][0]

    def finish(self, state: np.ndarray) -> np.ndarray:
        """See `StreamingNetwork.finish`."""
        outputs = self._predict(FINISH, {"state": state[np.newaxis]})
        return outputs["log_probs"][0, outputs["skip"][0] :]

    def _predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return self._client.predict(
                signature, inputs, version=self.version, timeout=self._timeout
            ).outputs
        except ClientError as error:
            if error.code != grpc.StatusCode.NOT_FOUND:
                raise
            raise ClientError(
                f"Version {self.version}, with which the stream began, is no longer served: let "
                "the server keep the version before the newest, too (model_version_policy: latest "
                f"{{ num_versions: 2 }}). {error}",
                error.code,
                error.detail,
            ) from error
