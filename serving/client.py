# SPDX-License-Identifier: Apache-2.0
"""A client for a served model; works with `tensorflow_model_server` and the embedded server.

Example:
    >>> with Client("localhost:8500") as client:
    ...     print(client.transcribe("question.flac").text)
    ...     decoder = Decoder.load("my.decoder")
    ...     print(client.transcribe("question.flac", decoder=decoder).text)
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from ds2_tf.audio.reading import read_audio
from ds2_tf.audio.wav import wav_bytes
from ds2_tf.decoding.decoder import Decoder, RankedText
from ds2_tf.errors import UserError
from serving.tensors import tensor_from_proto, tensor_to_proto

SAMPLE_RATE = 16000

Audio = str | os.PathLike | bytes | np.ndarray

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0


class ClientError(UserError):
    """A call that did not succeed.

    Attributes:
        code: gRPC status code of the last attempt.
        detail: the server's own text.
    """

    def __init__(self, message: str, code: grpc.StatusCode, detail: str):
        super().__init__(message)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Transcription:
    """What was heard in one recording.

    Attributes:
        text: the transcript.
        score: the model's score of `text`, as its `transcribe` signature gives it; with a decoder
            its total.
        num_frames: output frames of the network for this recording.
        duration_seconds: length of the recording.
        model_version: the version that answered.
        latency_seconds: from sending the request until its reply; recordings of one batch share it.
        alternatives: with a decoder the best texts, best first, with their scores and the times of
            their words in output frames; `ds2_tf.decoding.decoder.word_seconds` makes seconds of
            them.
    """

    text: str
    score: float
    num_frames: int
    duration_seconds: float
    model_version: int
    latency_seconds: float
    alternatives: tuple[RankedText, ...] = ()


@dataclass(frozen=True)
class VersionStatus:
    """State of one version of the model.

    Attributes:
        version: version number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: why the version ended; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        dtype: TensorFlow's name of the type, such as "float32" or "string".
        shape: length of each axis, None where it is free; None as a whole if the rank is.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a signature, by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


class Client:
    """Talks to one model of one server; safe to share between threads.

    Args:
        address: `host:port`, or `unix:///path/to/socket`.
        model_name: name the model is served under. Defaults to "ds2".
        version: version that must answer. Defaults to None, the latest.
        label: version label instead of a number, such as "stable".
        timeout: seconds a call may take, retries included. Defaults to 60.
        credentials: TLS credentials. Defaults to None, plain text.
    """

    def __init__(
        self,
        address: str,
        model_name: str = "ds2",
        version: int | None = None,
        *,
        label: str | None = None,
        timeout: float = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
    ):
        if version is not None and label is not None:
            raise ValueError(f"Give a version or a label, not both: {version}, {label!r}")
        self.address = address
        self.model_name = model_name
        self.version = version
        self.label = label
        self.timeout = timeout
        options = [
            # A minute of log-probabilities is larger than the default limit of 4 MB.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", int(_FIRST_PAUSE_SECONDS * 1000)),
            ("grpc.max_reconnect_backoff_ms", int(_LONGEST_PAUSE_SECONDS * 1000)),
        ]
        if credentials:
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def transcribe(
        self, audio: Audio, *, decoder: Decoder | None = None, num_best: int = 1
    ) -> Transcription:
        """Transcribes one recording.

        Args:
            audio: path of an audio file, the bytes of one, or float samples [samples] in [-1, 1]
                at 16 kHz.
            decoder: decodes here, in the client, what the network on the server says. Defaults to
                greedy decoding on the server.
            num_best: with a decoder, most texts in `alternatives`. Defaults to 1.

        Raises:
            AudioError: the recording cannot be read.
            ClientError: the server could not be reached or refused the request.
            UserError: the decoder is for a network with another alphabet.
        """
        return self.transcribe_batch([audio], decoder=decoder, num_best=num_best)[0]

    def transcribe_batch(
        self,
        audios: Sequence[Audio],
        *,
        batch_size: int = 16,
        decoder: Decoder | None = None,
        num_best: int = 1,
    ) -> list[Transcription]:
        """Transcribes recordings, several to a request.

        Args:
            audios: each as in `transcribe`. All are read before the first request.
            batch_size: recordings per request. Recordings of similar length go together, as the
                server pads a batch to its longest.
            decoder: as in `transcribe`; uses all processors that this process may use.
            num_best: as in `transcribe`.

        Returns:
            One transcription per recording, in the order given.

        Raises:
            AudioError: a recording cannot be read.
            ClientError: the server could not be reached or refused a request or a recording.
            UserError: the decoder is for a network with another alphabet.
        """
        if decoder is not None:
            return self._transcribe_with(decoder, num_best, audios, batch_size)
        recordings = [load_samples(audio) for audio in audios]
        results: dict[int, Transcription] = {}
        for batch in _batches_by_length(recordings, batch_size):
            wavs = [wav_bytes(recordings[index], SAMPLE_RATE) for index in batch]
            outputs, version, latency = self._predict(
                "transcribe", {"wav": np.array(wavs, dtype=object)}
            )
            for row, index in enumerate(batch):
                if not outputs["sample_rate"][row]:
                    raise ClientError(
                        f"The server could not decode recording {index} of the batch "
                        f"({len(recordings[index]) / SAMPLE_RATE:.1f} s).",
                        grpc.StatusCode.INVALID_ARGUMENT,
                        "",
                    )
                results[index] = Transcription(
                    text=outputs["text"][row].decode("utf-8"),
                    score=float(outputs["score"][row]),
                    num_frames=int(outputs["num_frames"][row]),
                    duration_seconds=len(recordings[index]) / SAMPLE_RATE,
                    model_version=version,
                    latency_seconds=latency,
                )
        return [results[index] for index in range(len(recordings))]

    def log_probs(self, audio: Audio) -> np.ndarray:
        """Log-probabilities of the labels for one recording.

        Args:
            audio: as in `transcribe`.

        Returns:
            float32 [frames, labels].

        Raises:
            AudioError: the recording cannot be read.
            ClientError: the server could not be reached or refused the request.
        """
        return self.log_probs_batch([audio])[0]

    def log_probs_batch(self, audios: Sequence[Audio], *, batch_size: int = 16) -> list[np.ndarray]:
        """Log-probabilities of the labels for recordings, several to a request.

        Args:
            audios: each as in `transcribe`.
            batch_size: recordings per request.

        Returns:
            One float32 array [frames, labels] per recording, in the order given, without the
            frames of the padding.

        Raises:
            AudioError: a recording cannot be read.
            ClientError: the server could not be reached or refused a request.
        """
        recordings = [load_samples(audio) for audio in audios]
        results: dict[int, np.ndarray] = {}
        for batch in _batches_by_length(recordings, batch_size):
            rows, _, _ = self._log_probs([recordings[index] for index in batch])
            results.update(zip(batch, rows))
        return [results[index] for index in range(len(recordings))]

    def _log_probs(self, recordings: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int, float]:
        """Log-probabilities of one request, the version that answered, and the seconds it took."""
        lengths = np.array([len(samples) for samples in recordings], np.int32)
        samples = np.zeros([len(recordings), lengths.max()], np.float32)
        for row, recording in enumerate(recordings):
            samples[row, : lengths[row]] = recording
        inputs = {"samples": samples, "num_samples": lengths}
        outputs, version, latency = self._predict("serving_default", inputs)
        trimmed = zip(outputs["log_probs"], outputs["num_frames"])
        return [log_probs[:num_frames] for log_probs, num_frames in trimmed], version, latency

    def _transcribe_with(
        self, decoder: Decoder, num_best: int, audios: Sequence[Audio], batch_size: int
    ) -> list[Transcription]:
        recordings = [load_samples(audio) for audio in audios]
        results: dict[int, Transcription] = {}
        for batch in _batches_by_length(recordings, batch_size):
            rows, version, latency = self._log_probs([recordings[index] for index in batch])
            for index, log_probs, ranked in zip(batch, rows, decoder.decode_many(rows, num_best)):
                results[index] = Transcription(
                    text=ranked[0].text,
                    score=ranked[0].total,
                    num_frames=len(log_probs),
                    duration_seconds=len(recordings[index]) / SAMPLE_RATE,
                    model_version=version,
                    latency_seconds=latency,
                    alternatives=tuple(ranked),
                )
        return [results[index] for index in range(len(recordings))]

    def status(self) -> list[VersionStatus]:
        """The versions of the model that the server knows, the highest first.

        Raises:
            ClientError: the server could not be reached or does not know the model or version.
        """
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._model_spec())
        response = self._call(self._model.GetModelStatus, request)
        state_name = get_model_status_pb2.ModelVersionStatus.State.Name
        return [
            VersionStatus(entry.version, state_name(entry.state), entry.status.error_message)
            for entry in response.model_version_status
        ]

    def metadata(self) -> dict[str, Signature]:
        """The signatures of the version that answers, by name.

        Raises:
            ClientError: the server could not be reached or does not serve the model or version.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._model_spec(), metadata_field=["signature_def"]
        )
        response = self._call(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return {
            key: Signature(_tensor_infos(signature.inputs), _tensor_infos(signature.outputs))
            for key, signature in signatures.signature_def.items()
            if not key.startswith("__")
        }

    def _predict(
        self, signature_name: str, inputs: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], int, float]:
        """Outputs by name, the version that answered, and the seconds it took."""
        request = predict_pb2.PredictRequest(model_spec=self._model_spec())
        request.model_spec.signature_name = signature_name
        for name, value in inputs.items():
            tensor_to_proto(value, request.inputs[name], as_content=value.dtype != object)
        start = time.monotonic()
        response = self._call(self._prediction.Predict, request)
        latency = time.monotonic() - start
        outputs = {name: tensor_from_proto(proto) for name, proto in response.outputs.items()}
        return outputs, response.model_spec.version.value, latency

    def _model_spec(self) -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self.model_name)
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label
        return spec

    def _call(self, method: Callable[..., Any], request: object) -> Any:
        """Calls the server, again after growing pauses while it is unavailable."""
        deadline = time.monotonic() + self.timeout
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return method(request, timeout=max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                # The spread keeps many clients from returning at the same instant.
                wait = pause * random.uniform(0.5, 1.5)
                unavailable = error.code() == grpc.StatusCode.UNAVAILABLE
                if not unavailable or time.monotonic() + wait > deadline:
                    raise self._error(error) from error
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _error(self, error: grpc.RpcError) -> ClientError:
        code, detail = error.code(), error.details() or ""
        model = f"model {self.model_name!r} at {self.address}"
        if code == grpc.StatusCode.UNAVAILABLE:
            message = (
                f"No answer from {self.address} within {self.timeout:g} s: {detail}. Is the "
                "server running there, and is the address right?"
            )
        elif code == grpc.StatusCode.DEADLINE_EXCEEDED:
            message = (
                f"The {model} did not answer within {self.timeout:g} s. Give the client a longer "
                "timeout, or the server less at once."
            )
        elif code == grpc.StatusCode.NOT_FOUND:
            message = f"The {model} is not served: {detail}"
        else:
            message = f"The {model} refused the request ({code.name}): {detail}"
        return ClientError(message, code, detail)


def load_samples(audio: Audio) -> np.ndarray:
    """Reads what `Client.transcribe` accepts as float32 [samples] at 16 kHz.

    Raises:
        AudioError: a file that cannot be read.
        UserError: an array that is not a vector of floats, or is empty.
    """
    if not isinstance(audio, np.ndarray):
        return read_audio(audio, sample_rate=SAMPLE_RATE)
    if audio.ndim != 1 or audio.dtype.kind != "f" or not audio.size:
        raise UserError(
            f"Expected float samples of shape [samples] in [-1, 1] at {SAMPLE_RATE} Hz, got "
            f"{audio.dtype} of shape {list(audio.shape)}. Divide 16-bit integers by 32768 and "
            "average the channels."
        )
    return audio.astype(np.float32, copy=False)


def _batches_by_length(recordings: Sequence[np.ndarray], batch_size: int) -> Iterator[list[int]]:
    order = sorted(range(len(recordings)), key=lambda index: len(recordings[index]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _tensor_infos(infos: Any) -> dict[str, TensorInfo]:
    return {name: _tensor_info(info) for name, info in sorted(infos.items())}


def _tensor_info(info: Any) -> TensorInfo:
    dtype = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    dtype = {"float": "float32", "double": "float64", "half": "float16"}.get(dtype, dtype)
    if info.tensor_shape.unknown_rank:
        return TensorInfo(dtype, None)
    return TensorInfo(
        dtype, tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    )
