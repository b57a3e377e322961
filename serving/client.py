# SPDX-License-Identifier: Apache-2.0
"""A client for a served model; works with `tensorflow_model_server` and the embedded server.

Example:
    >>> with Client("localhost:8500") as client:
    ...     print(client.transcribe("question.flac").text)
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from ds2_tf.audio.segmentation import DEFAULT_LIMIT_SECONDS, Pieces
from ds2_tf.audio.wav import wav_bytes
from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.decoder import Decoder, as_decoder
from ds2_tf.decoding.joining import check_num_best, decode_joined
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from serving.answers import (
    Metadata,
    Prediction,
    Signature,
    Transcription,
    VersionStatus,
    tensor_infos,
)
from serving.arguments import (
    SAMPLE_RATE,
    Audio,
    as_tensor,
    check_batch_size,
    check_recordings,
    load_samples,
)
from serving.model_info import (
    TELLING_SIGNATURES,
    ToldInfo,
    check_size,
    info_query,
    told_info,
)
from serving.piece_reply import PieceReply, frame_seconds_of, joined_text
from serving.piecewise import batches_by_length, in_batches
from serving.tensors import tensor_from_proto, tensor_to_proto

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
# Trouble with what was sent, not with the server: other recordings may fare better.
_CODES_OF_A_REQUEST = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


# TensorFlow Serving's answer, and that of a signature of this name which is another thing.
_CODES_OF_A_SIGNATURE_THAT_IS_MISSING = frozenset(
    {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT}
)


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


class Client:
    """Talks to one model of one server; safe to share between threads.

    Args:
        address: `host:port`, or `unix:///path/to/socket`.
        model_name: name the model is served under. Defaults to "ds2".
        version: version that must answer. Defaults to None, the latest.
        label: version label instead of a number, such as "stable".
        timeout: seconds a call may take, retries included. Defaults to 60.
        credentials: TLS credentials. Defaults to None, plain text.
        alphabet: the model's labels, for what is decoded here and not by the server. Defaults to
            what the model tells; for one that tells nothing, to the decoder's alphabet, or else
            English.
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
        alphabet: Alphabet | None = None,
    ):
        if version is not None and label is not None:
            raise ValueError(f"Give a version or a label, not both: {version}, {label!r}")
        self.address = address
        self.model_name = model_name
        self.version = version
        self.label = label
        self.timeout = timeout
        self.alphabet = alphabet
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
        self,
        audio: Audio,
        *,
        limit_seconds: float | None = DEFAULT_LIMIT_SECONDS,
        words: bool = False,
        decoder: Decoder | BeamSearch | None = None,
        num_best: int = 0,
        progress: Callable[[float], object] | None = None,
    ) -> Transcription:
        """Transcribes one recording of any length.

        Args:
            audio: path of an audio file, the bytes of one, or a NumPy array, float [samples] in
                [-1, 1] or int16 [samples], at 16 kHz.
            limit_seconds, words, decoder, num_best, progress: as in `transcribe_batch`.

        Raises:
            AudioError: the recording cannot be read.
            ClientError: the server could not be reached or refused the request.
            UserError: an argument makes no sense, or the alphabet is not the model's.
        """
        (result,) = self.transcribe_batch(
            [audio],
            limit_seconds=limit_seconds,
            words=words,
            decoder=decoder,
            num_best=num_best,
            progress=progress,
        )
        return result

    def transcribe_batch(
        self,
        audios: Sequence[Audio],
        *,
        batch_size: int = 16,
        limit_seconds: float | None = DEFAULT_LIMIT_SECONDS,
        words: bool = False,
        decoder: Decoder | BeamSearch | None = None,
        num_best: int = 0,
        return_errors: bool = False,
        progress: Callable[[float], object] | None = None,
    ) -> list[Transcription | UserError]:
        """Transcribes recordings of any length, several to a request.

        Args:
            audios: each as in `transcribe`. All are read before the first is sent.
            batch_size: recordings per request. Recordings of similar length go together, as the
                server pads a batch to its longest.
            limit_seconds: longer recordings are sent in pieces, cut where nobody speaks, and the
                transcripts joined; None cuts nothing. Defaults to 20.
            words: give the times of the words, too. Then the server sends log probabilities, and
                the text is read from them here. Defaults to False.
            decoder: such as `ds2_tf.decoding.decoder.Decoder.load(path)`; it reads the server's log
                probabilities here and gives words with their times. Defaults to None.
            num_best: most alternatives to give, with a decoder. Defaults to none.
            return_errors: put the error in place of the result of a recording that cannot be read
                or was refused, and go on with the others. Defaults to False.
            progress: called with the seconds of audio done since the last call.

        Returns:
            One transcription per recording, in the order given; with `return_errors` perhaps an
            AudioError or a ClientError.

        Raises:
            AudioError: a recording cannot be read.
            ClientError: the server could not be reached, or refused a request or a recording.
            UserError: an argument makes no sense, the limit is under a second, or the decoder or
                the alphabet is not the model's.
        """
        check_recordings(audios, "transcribe_batch", "transcribe")
        check_batch_size(batch_size)
        decoder = as_decoder(decoder)
        check_num_best(num_best, decoder)
        reads_here = words or decoder is not None
        # Asked now, as the version that answers may be gone by the time that its replies are here.
        told = self._told() if reads_here and len(audios) else {}
        # A WAV file says what its rate is, and the graph goes by that.
        sample_rate = _sample_rate_of(told)
        recordings: dict[int, np.ndarray] = {}
        results: dict[int, Transcription | UserError] = {}
        for index, audio in enumerate(audios):
            try:
                recordings[index] = load_samples(audio, sample_rate)
            except UserError as error:
                if not return_errors:
                    raise
                results[index] = error
        pieces = Pieces(list(recordings.values()), sample_rate, limit_seconds=limit_seconds)
        needs_labels = reads_here or len(pieces) > len(recordings)
        if needs_labels and not told and len(pieces):
            told = self._told()
        replies = in_batches(
            pieces,
            self._send_for_log_probs if reads_here else self._send_for_text,
            batch_size=batch_size,
            is_of_the_request=_is_of_the_request,
            progress=progress and (lambda samples: progress(samples / sample_rate)),
        )
        groups = {}
        for index, group in zip(recordings, pieces.grouped(replies)):
            error = next((reply for _, reply in group if isinstance(reply, ClientError)), None)
            if error is None:
                groups[index] = group
                continue
            if not return_errors:
                message = f"{_name(audios[index], index)}: {error}"
                raise ClientError(message, error.code, error.detail) from error
            results[index] = error
        durations = [len(recordings[index]) / sample_rate for index in groups]
        alphabet = None
        if needs_labels:
            versions = {reply.version for group in groups.values() for _, reply in group}
            alphabet = self._alphabet_of(
                versions, told, decoder, sample_rate if reads_here else None
            )
        if reads_here:
            joined = self._decode(list(groups.values()), sample_rate, alphabet, decoder, num_best)
        else:
            joined = [joined_text(group, alphabet) for group in groups.values()]
        for index, seconds, group, fields in zip(groups, durations, groups.values(), joined):
            results[index] = Transcription(
                num_frames=sum(reply.num_frames for _, reply in group),
                duration_seconds=seconds,
                model_version=group[-1][1].version,
                # Pieces that went in one request share its latency.
                latency_seconds=sum({reply.latency for _, reply in group}),
                **fields,
            )
        return [results[index] for index in range(len(audios))]

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
            UserError: an argument makes no sense.
        """
        check_recordings(audios, "log_probs_batch", "log_probs")
        check_batch_size(batch_size)
        told = self._told() if len(audios) else {}
        recordings = [load_samples(audio, _sample_rate_of(told)) for audio in audios]
        results: dict[int, np.ndarray] = {}
        for batch in batches_by_length(recordings, batch_size):
            replies = self._send_for_log_probs([recordings[index] for index in batch])
            results.update(zip(batch, (reply.log_probs for reply in replies)))
        return [results[index] for index in range(len(recordings))]

    def status(self, *, timeout: float | None = None) -> list[VersionStatus]:
        """The versions of the model that the server knows, the highest first.

        Args:
            timeout: seconds that it may take, retries included. Defaults to the client's.

        Raises:
            ClientError: the server could not be reached or does not know the model or version.
        """
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._model_spec())
        response = self._call(self._model.GetModelStatus, request, timeout or self.timeout)
        state_name = get_model_status_pb2.ModelVersionStatus.State.Name
        return [
            VersionStatus(entry.version, state_name(entry.state), entry.status.error_message)
            for entry in response.model_version_status
        ]

    def metadata(self, *, timeout: float | None = None) -> Metadata:
        """What the version that answers offers.

        Args:
            timeout: seconds that it may take, retries included. Defaults to the client's.

        Raises:
            ClientError: the server could not be reached or does not serve the model or version.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._model_spec(), metadata_field=["signature_def"]
        )
        response = self._call(self._prediction.GetModelMetadata, request, timeout or self.timeout)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return Metadata(
            response.model_spec.version.value,
            {
                key: Signature(tensor_infos(signature.inputs), tensor_infos(signature.outputs))
                for key, signature in signatures.signature_def.items()
                if not key.startswith("__")
            },
        )

    def _send_for_text(self, recordings: Sequence[np.ndarray]) -> list[PieceReply | ClientError]:
        """One request to `transcribe`; a recording that the server cannot decode is an error."""
        wavs = np.array([wav_bytes(samples, SAMPLE_RATE) for samples in recordings], dtype=object)
        answer = self.predict("transcribe", {"wav": wavs})
        outputs = answer.outputs
        return [
            PieceReply(
                num_samples=len(recordings[row]),
                text=outputs["text"][row].decode("utf-8"),
                score=float(outputs["score"][row]),
                num_frames=int(outputs["num_frames"][row]),
                version=answer.version,
                latency=answer.latency_seconds,
            )
            if outputs["sample_rate"][row]
            else ClientError(
                f"The server could not decode {len(recordings[row]) / SAMPLE_RATE:.1f} s of audio.",
                grpc.StatusCode.INVALID_ARGUMENT,
                "",
            )
            for row in range(len(recordings))
        ]

    def _send_for_log_probs(self, recordings: Sequence[np.ndarray]) -> list[PieceReply]:
        """One request to `serving_default`."""
        lengths = np.array([len(samples) for samples in recordings], np.int32)
        samples = np.zeros([len(recordings), lengths.max()], np.float32)
        for row, recording in enumerate(recordings):
            samples[row, : lengths[row]] = recording
        answer = self.predict("serving_default", {"samples": samples, "num_samples": lengths})
        outputs = answer.outputs
        return [
            PieceReply(
                num_samples=int(lengths[row]),
                log_probs=outputs["log_probs"][row, :frames],
                num_frames=int(frames),
                version=answer.version,
                latency=answer.latency_seconds,
            )
            for row, frames in enumerate(outputs["num_frames"])
        ]

    def labels_of(self, version: int, decoder: Decoder | BeamSearch | None = None) -> Alphabet:
        """What log probabilities of a version are read with.

        The client's alphabet, or else what the version tells; for one that tells nothing, the
        decoder's, or else English.

        Raises:
            ClientError: the server could not be reached or does not serve the version.
        """
        return self._alphabet_of({version}, {}, as_decoder(decoder))

    def _told(self, version: int | None = None) -> dict[int | None, ToldInfo]:
        """What a version tells of itself, under its number."""
        for signature in TELLING_SIGNATURES:
            try:
                answer = self.predict(signature, info_query(), version=version)
            except ClientError as error:
                if error.code not in _CODES_OF_A_SIGNATURE_THAT_IS_MISSING:
                    raise
            else:
                return {answer.version: told_info(answer.outputs)}
        return {version: ToldInfo()}

    def _alphabet_of(
        self,
        versions: Collection[int],
        told: dict[int | None, ToldInfo],
        decoder: Decoder | None,
        sample_rate: int | None = None,
    ) -> Alphabet:
        """The labels of the versions that answered, to samples of that rate if one is given."""
        for version in versions - told.keys():
            told = told | self._told(version)
        infos = [told[version] for version in versions]
        alphabets = {self.alphabet or info.alphabet for info in infos}
        rates = {info.sample_rate for info in infos if sample_rate} - {sample_rate}
        if len(alphabets) > 1 or rates:
            raise UserError(
                f"The versions {', '.join(map(str, sorted(versions)))} of the model "
                f"{self.model_name!r} answered, and versions of it have different alphabets or "
                "sample rates: try again, now that the newer one is there."
            )
        assumed = decoder.search.alphabet if decoder else Alphabet.english()
        return next(iter(alphabets), None) or assumed

    def _decode(
        self,
        groups,
        sample_rate: int,
        alphabet: Alphabet,
        decoder: Decoder | None,
        num_best: int,
    ) -> list[dict[str, Any]]:
        """The fields of Transcriptions that are read from log probabilities."""
        for _, reply in itertools.chain.from_iterable(groups):
            check_size(alphabet, reply.log_probs.shape[-1], f"model {self.model_name!r}")
        transcripts = decode_joined(
            [[(start, reply.log_probs) for start, reply in group] for group in groups],
            frame_seconds=frame_seconds_of(
                [reply for group in groups for _, reply in group], sample_rate
            ),
            alphabet=alphabet,
            decoder=decoder,
            num_best=num_best,
        )
        names = ("text", "score", "words", "alternatives")
        return [{name: getattr(item, name) for name in names} for item in transcripts]

    def predict(
        self,
        signature_name: str,
        inputs: Mapping[str, np.ndarray],
        *,
        version: int | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Calls a signature of the model.

        Args:
            signature_name: one of those that `metadata` lists.
            inputs: by name, arrays or lists; strings are object arrays of bytes, and Python's
                numbers become float64 and int64, as in NumPy.
            version: the version that must answer. Defaults to the client's.
            timeout: seconds that it may take, retries included. Defaults to the client's.

        Raises:
            ClientError: the server could not be reached or refused the request.
            UserError: an input cannot be sent.
        """
        request = predict_pb2.PredictRequest(model_spec=self._model_spec(version))
        request.model_spec.signature_name = signature_name
        for name, value in inputs.items():
            array = as_tensor(name, value)
            try:
                tensor_to_proto(array, request.inputs[name], as_content=array.dtype != object)
            except (TypeError, ValueError) as error:
                raise UserError(f"The input {name!r} cannot be sent: {error}.") from error
        start = time.monotonic()
        response = self._call(self._prediction.Predict, request, timeout or self.timeout)
        latency = time.monotonic() - start
        outputs = {name: tensor_from_proto(proto) for name, proto in response.outputs.items()}
        return Prediction(outputs, response.model_spec.version.value, latency)

    def _model_spec(self, version: int | None = None) -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self.model_name)
        if version is not None:
            spec.version.value = version
        elif self.version is not None:
            spec.version.value = self.version
        elif self.label is not None:
            spec.version_label = self.label
        return spec

    def _call(self, method: Callable[..., Any], request: object, timeout: float) -> Any:
        """Calls the server, again after growing pauses while it is unavailable."""
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return method(request, timeout=max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                # The spread keeps many clients from returning at the same instant.
                wait = pause * random.uniform(0.5, 1.5)
                unavailable = error.code() == grpc.StatusCode.UNAVAILABLE
                if not unavailable or time.monotonic() + wait > deadline:
                    raise self._error(error, timeout) from error
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _error(self, error: grpc.RpcError, timeout: float) -> ClientError:
        code, detail = error.code(), error.details() or ""
        model = f"model {self.model_name!r} at {self.address}"
        if code == grpc.StatusCode.UNAVAILABLE:
            message = (
                f"No answer from {self.address} within {timeout:g} s: {detail}. Is the "
                "server running there, is the address right, and does it use TLS, or ask for a "
                "client's certificate, just as this client was told?"
            )
        elif code == grpc.StatusCode.DEADLINE_EXCEEDED:
            message = (
                f"The {model} did not answer within {timeout:g} s. Give the client a longer "
                "timeout, or the server less at once."
            )
        elif code == grpc.StatusCode.NOT_FOUND:
            message = f"The {model} is not served: {detail}"
        else:
            message = f"The {model} refused the request ({code.name}): {detail}"
        return ClientError(message, code, detail)


def _is_of_the_request(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.code in _CODES_OF_A_REQUEST


def _name(audio: Audio, index: int) -> str:
    if isinstance(audio, (str, os.PathLike)):
        return os.fspath(audio)
    return f"recording {index} of the batch"


def _sample_rate_of(told: Mapping[int | None, ToldInfo]) -> int:
    return next((info.sample_rate for info in told.values()), SAMPLE_RATE)
