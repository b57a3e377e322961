# SPDX-License-Identifier: Apache-2.0
"""The client, against a server with a model whose arithmetic is known."""

import dataclasses
import io
import re
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import soundfile
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from ds2_tf.audio.reading import AudioError
from ds2_tf.audio.wav import wav_bytes
from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.decoder import Decoder
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from serving.answers import Prediction, TensorInfo
from serving.client import Client, ClientError


@pytest.fixture(scope="module")
def address(helpers, speech_base_path):
    server = helpers.make_server(helpers.single_model_config("ds2", speech_base_path))
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def client(address):
    with Client(address, timeout=20) as client:
        yield client


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    time_axis = np.arange(int(seconds * 16000)) / 16000
    return (level * np.sin(2 * np.pi * 440 * time_axis)).astype(np.float32)


def spoken(*seconds: float) -> np.ndarray:
    """Tones and silence in turn, with a little noise."""
    parts = [tone(length, 0.0 if place % 2 else 0.5) for place, length in enumerate(seconds)]
    samples = np.concatenate(parts)
    return samples + 0.001 * np.random.default_rng(0).standard_normal(len(samples), np.float32)


def test_samples(client):
    result = client.transcribe(tone(1.0))
    assert result.text == "samples 16000"
    assert result.score == -16000.0
    assert result.num_frames == 100
    assert result.duration_seconds == 1.0
    assert result.model_version == 4
    assert 0 < result.latency_seconds < 20


def test_file_of_another_rate_and_its_bytes(client, tmp_path):
    path = tmp_path / "tone.flac"
    stereo = np.stack([tone(1.0), tone(1.0)], axis=1)
    soundfile.write(path, stereo, 8000)  # so it lasts two seconds
    assert client.transcribe(path).text == "samples 32000"
    assert client.transcribe(str(path)).duration_seconds == 2.0
    assert client.transcribe(path.read_bytes()).num_frames == 200


def test_batch_keeps_the_order(client):
    lengths = [0.5, 0.1, 0.4, 0.2, 0.3]
    results = client.transcribe_batch([tone(length) for length in lengths], batch_size=2)
    assert [result.text for result in results] == [
        f"samples {int(length * 16000)}" for length in lengths
    ]


def test_empty_batch(client):
    assert client.transcribe_batch([]) == []


def test_log_probs_are_trimmed_to_each_recording(client):
    recordings = [np.full(1600, 0.25, np.float32), np.full(160, 0.5, np.float32)]
    long, short = client.log_probs_batch(recordings)
    frames = np.arange(10)[:, None]
    np.testing.assert_allclose(long, 0.25 * frames + np.arange(29), rtol=1e-6)
    np.testing.assert_allclose(short, [np.arange(29)])
    np.testing.assert_array_equal(client.log_probs(recordings[1]), short)


def test_refused_recording_is_named(client):
    with pytest.raises(ClientError, match=r"recording 1 of the batch: .* decode 6.0 s"):
        client.transcribe_batch([tone(1.0), tone(6.0)])


def test_status_and_metadata(client):
    (status,) = client.status()
    assert (status.version, status.state, status.error) == (4, "AVAILABLE", "")
    signatures = client.metadata().signatures
    assert sorted(signatures) == ["serving_default", "transcribe"]
    assert signatures["serving_default"].inputs == {
        "num_samples": TensorInfo("int32", (None,)),
        "samples": TensorInfo("float32", (None, None)),
    }
    assert signatures["transcribe"].inputs == {"wav": TensorInfo("string", (None,))}


def test_version_is_asked_for(address):
    with Client(address, version=4) as client:
        assert client.transcribe(tone(0.1)).model_version == 4
    with Client(address, version=5) as client:
        with pytest.raises(ClientError, match=r"Specific\(ds2, 5\)") as caught:
            client.transcribe(tone(0.1))
        assert caught.value.code == grpc.StatusCode.NOT_FOUND
    with pytest.raises(ValueError, match="not both"):
        Client(address, version=4, label="stable")


def test_unknown_model_and_label(address):
    with Client(address, model_name="asr") as client:
        with pytest.raises(ClientError, match="'asr' at .* is not served"):
            client.transcribe(tone(0.1))
    with Client(address, label="stable") as client:
        with pytest.raises(ClientError, match="Unrecognized servable version label: stable"):
            client.transcribe(tone(0.1))


@pytest.mark.parametrize(
    "samples, message",
    [
        (np.zeros([2, 100], np.float32), "got float32 of shape [2, 100]"),
        (np.zeros(100, np.int32), "got int32 of shape [100]"),
        (np.zeros(0, np.float32), "has no samples"),
    ],
    ids=["two axes", "wide integers", "empty"],
)
def test_unfit_arrays(client, samples, message):
    with pytest.raises(UserError, match=re.escape(message)):
        client.transcribe(samples)


def test_integers_are_what_they_stand_for(client):
    samples = tone(0.5)
    integers = (samples * 32768).astype(np.int16)
    assert client.transcribe(integers).text == client.transcribe(samples).text


def test_unreadable_audio(client, tmp_path):
    with pytest.raises(AudioError, match="missing-audio"):
        client.transcribe(tmp_path / "nothing.wav")
    with pytest.raises(AudioError, match="not-audio"):
        client.transcribe(b"hello" * 100)


def test_large_replies_pass(client):
    # 29 labels, 100 frames a second: over 4 MB, the default limit of a gRPC client.
    log_probs = client.log_probs(np.zeros(400 * 16000, np.float32))
    assert log_probs.shape == (40_000, 29)
    assert log_probs.nbytes > 4 * 2**20


def test_nobody_listens(unused_port):
    with Client(f"127.0.0.1:{unused_port}", timeout=0.5) as client:
        start = time.monotonic()
        with pytest.raises(ClientError, match="Is the server running") as caught:
            client.status()
        for call in (client.status, client.metadata):
            with pytest.raises(ClientError, match="within 0.25 s"):
                call(timeout=0.25)
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - start < 10


class Unreliable(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Is unavailable twice, then answers; and never answers version 2."""

    def __init__(self):
        self.calls = 0
        self.never = threading.Event()

    def Predict(self, request, context):
        self.calls += 1
        if request.model_spec.version.value == 2:
            self.never.wait(20)
        if self.calls < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        response = predict_pb2.PredictResponse()
        response.outputs["log_probs"].dtype = 1
        for size in (1, 1, 3):
            response.outputs["log_probs"].tensor_shape.dim.add().size = size
        response.outputs["num_frames"].dtype = 3
        response.outputs["num_frames"].tensor_shape.dim.add().size = 1
        response.outputs["num_frames"].int_val.append(1)
        return response


@pytest.fixture
def unreliable():
    servicer = Unreliable()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    servicer.never.set()
    server.stop(0).wait()


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as held:  # bound and not listening: nobody else gets the port
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_unavailable_is_tried_again(unreliable):
    with Client(unreliable.address, timeout=20) as client:
        outputs = client.predict("serving_default", {}).outputs
    np.testing.assert_array_equal(outputs["log_probs"], [[[0, 0, 0]]])
    assert unreliable.calls == 3


def test_timeout_is_said(unreliable):
    with Client(unreliable.address, version=2, timeout=0.2) as client:
        with pytest.raises(ClientError, match="did not answer within 0.2 s") as caught:
            client.predict("serving_default", {})
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert unreliable.calls == 1


def test_wav_keeps_16_bit_samples_exactly():
    integers = np.array([-32768, -1, 0, 1, 12345, 32767], np.int16)
    data = wav_bytes(integers.astype(np.float32) / 32768, 8000)
    decoded, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    np.testing.assert_array_equal(decoded, integers)
    assert rate == 8000


def test_wav_clips():
    decoded, _ = soundfile.read(io.BytesIO(wav_bytes(np.array([2.0, -2.0]), 8000)), dtype="int16")
    assert decoded.tolist() == [32767, -32768]


def told(labels: list[bytes], sample_rate: int = 16000) -> dict[str, np.ndarray]:
    """The answer of `model_info`."""
    return {
        "labels": np.array([labels], object),
        "sample_rate": np.array([sample_rate], np.int32),
    }


class SaysNumbers(Client):
    """A client whose server says, for one second, "a", for two "aa a", and pads with junk."""

    TEXTS = {16000: [0, 2, 0, 0], 32000: [2, 0, 2, 1, 2, 0, 0, 0]}

    def predict(self, signature_name, inputs, version=None):
        if signature_name == "model_info":
            labels = [label.encode() for label in Alphabet.english().labels]
            return Prediction(told(labels), 7, 0.1)
        assert signature_name == "serving_default"
        labels = [self.TEXTS[length] for length in inputs["num_samples"].tolist()]
        frames = max(map(len, labels))
        log_probs = np.full((len(labels), frames + 2, 29), np.log(0.4 / 28), np.float32)
        for row, said in enumerate(labels):
            log_probs[row, range(len(said)), said] = np.log(0.6)
            log_probs[row, len(said) :] = np.nan
        num_frames = np.array([len(said) for said in labels], np.int32)
        return Prediction({"log_probs": log_probs, "num_frames": num_frames}, 7, 0.5)


def test_decoding_in_the_client():
    decoder = Decoder(BeamSearch(Alphabet.english(), hot_words={"aa": 1.0}))
    with SaysNumbers("localhost:1") as client:
        recordings = [tone(2.0), tone(1.0), tone(2.0)]
        results = client.transcribe_batch(recordings, batch_size=2, decoder=decoder, num_best=3)
        assert [result.text for result in results] == ["aa a", "a", "aa a"]
        result = results[0]
        (expected,) = decoder.decode(client.log_probs(recordings[0]))
        assert result.alternatives[0] == expected and len(result.alternatives) == 3
        assert (result.score, result.num_frames) == (expected.total, 8)
        assert (result.model_version, result.duration_seconds) == (7, 2.0)
        # A frame is a quarter of a second here.
        assert [(w.text, w.start, w.end) for w in result.words] == [
            ("aa", 0.0, 0.75),
            ("a", 1.0, 1.25),
        ]
        assert client.transcribe(recordings[1], decoder=decoder) == dataclasses.replace(
            results[1], alternatives=()
        )


def no_such_signature(name: str) -> ClientError:
    detail = f'Serving signature key "{name}" not found.'
    return ClientError(detail, grpc.StatusCode.FAILED_PRECONDITION, detail)


class Polyglot(Client):
    """A client whose server says the labels 1, 2 and 3, once each, and tells what they are.

    The model changes to the next of `versions` with each recording that it has heard.
    """

    versions = (1,)
    labels = {1: "cba"}
    sample_rates = {}
    telling = ("model_info",)

    def predict(self, signature_name, inputs, *, version=None, timeout=None):
        self.asked = getattr(self, "asked", [])
        heard = self.asked.count("serving_default")
        served = version or self.versions[min(heard, len(self.versions) - 1)]
        self.asked.append(signature_name)
        if signature_name == "serving_default":
            self.heard = inputs
            size = 1 + len(self.labels[served])
            log_probs = np.log(np.full((1, 3, size), 0.1 / size, np.float32))
            log_probs[0, range(3), [1, 2, 3]] = np.log(0.9)
            outputs = {"log_probs": log_probs, "num_frames": np.array([3], np.int32)}
            return Prediction(outputs, served, 0.1)
        if signature_name not in self.telling:
            raise no_such_signature(signature_name)
        labels = [b"", *(label.encode() for label in self.labels[served])]
        return Prediction(told(labels, self.sample_rates.get(served, 16000)), served, 0.1)


@pytest.mark.parametrize("telling", ["model_info", "stream_info"])
def test_the_model_tells_its_labels(telling):
    with Polyglot("localhost:1") as client:
        client.telling = (telling,)
        client.labels = {1: "cbaäü"}
        assert client.transcribe(tone(1.0), words=True).text == "cba"
        decoder = Decoder(BeamSearch(Alphabet("cbaäü")))
        assert client.transcribe(tone(1.0), decoder=decoder).text == "cba"
        # Of the same size as the model's.
        with pytest.raises(UserError, match="make a decoder package for this model"):
            client.transcribe(tone(1.0), decoder=Decoder(BeamSearch(Alphabet("abcäü"))))


def test_what_the_caller_says_of_the_labels_wins():
    with Polyglot("localhost:1", alphabet=Alphabet("xyz")) as client:
        assert client.transcribe(tone(1.0), words=True).text == "xyz"
        assert client.asked == ["model_info", "serving_default"]
    with Polyglot("localhost:1", alphabet=Alphabet("wxyz")) as client:
        with pytest.raises(UserError, match="'ds2' has 4 labels, .* 5 labels: .*--alphabet FILE"):
            client.transcribe(tone(1.0), words=True)


def test_a_model_that_tells_no_labels():
    with Polyglot("localhost:1") as client:
        client.telling = ()
        with pytest.raises(
            UserError, match="has 4 labels, .* 29 labels: .*alphabet=.* or --alphabet"
        ):
            client.transcribe(tone(1.0), words=True)
        decoder = Decoder(BeamSearch(Alphabet("xyz")))
        assert client.transcribe(tone(1.0), decoder=decoder).text == "xyz"
        client.labels = {1: Alphabet.english().characters}
        assert client.transcribe(tone(1.0), words=True).text == "ab"


def test_a_version_that_replaces_another_meanwhile():
    recordings = [tone(1.0), tone(2.0)]
    with Polyglot("localhost:1") as client:
        client.versions = (1, 2)
        client.labels = {1: "cba", 2: "cba"}
        results = client.transcribe_batch(recordings, batch_size=1, words=True)
        assert [(r.text, r.model_version) for r in results] == [("cba", 1), ("cba", 2)]
        client.asked.clear()
        client.labels = {1: "cba", 2: "abc"}
        with pytest.raises(UserError, match="versions 1, 2 .* have different alphabets"):
            client.transcribe_batch(recordings, batch_size=1, words=True)


def test_a_model_of_another_sample_rate(tmp_path):
    soundfile.write(tmp_path / "tone.wav", tone(1.5), 16000)
    with Polyglot("localhost:1") as client:
        client.sample_rates = {1: 8000}
        for recording in (tone(1.5), tmp_path / "tone.wav"):
            result = client.transcribe(recording, words=True)
            assert client.heard["num_samples"].tolist() == [12000]
            # Half as many crossings of zero a sample: the same tone.
            crossings = np.diff(np.signbit(client.heard["samples"][0, :8000])).sum()
            assert crossings == pytest.approx(np.diff(np.signbit(tone(1.0))).sum(), abs=2)
            assert (result.text, result.duration_seconds) == ("cba", 1.5)
            assert [(w.start, w.end) for w in result.words] == [(0, 0.5), (0.5, 1), (1, 1.5)]
            assert client.log_probs(recording).shape == (3, 4)
            assert client.heard["num_samples"].tolist() == [12000]


def test_a_version_of_another_sample_rate_that_comes_meanwhile():
    with Polyglot("localhost:1") as client:
        client.versions = (1, 2)
        client.labels = {1: "cba", 2: "cba"}
        client.sample_rates = {2: 8000}
        with pytest.raises(UserError, match="versions 1, 2 .* alphabets or sample rates"):
            client.transcribe_batch([tone(1.0), tone(2.0)], batch_size=1, words=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"audios": "a.wav"}, "a list of recordings, got str 'a.wav': transcribe takes one"),
        ({"audios": b"RIFF"}, "a list of recordings"),
        ({"audios": np.zeros(10, np.float32)}, "a list of recordings"),
        ({"audios": None}, "a list of recordings, got None"),
        ({"audios": [[0.0] * 10]}, "a NumPy array of float samples at 16000 Hz, got an object"),
        ({"audios": [None]}, "got None"),
        ({"audios": [np.array([0.0, np.nan], np.float32)]}, "infinite or not a number"),
        ({"batch_size": 0}, "batch size must be at least 1, got 0"),
        ({"decoder": "my.decoder"}, r"Decoder.load\(path\), got 'my.decoder'"),
        ({"num_best": 3}, "num_best=3 needs a decoder"),
        ({"num_best": -1}, "num_best must be at least 0"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with Client("localhost:1") as client:
        with pytest.raises(UserError, match=message):
            client.transcribe_batch(**{"audios": [], **arguments})


def test_arguments_of_log_probs_that_make_no_sense():
    with Client("localhost:1") as client:
        with pytest.raises(UserError, match="log_probs_batch takes a list .*: log_probs takes one"):
            client.log_probs_batch("a.wav")
        with pytest.raises(UserError, match="at least 1"):
            client.log_probs_batch([], batch_size=-1)


def test_lists_are_tensors(client):
    # Silence at the end of a WAV file is zeros, which NumPy's own strings lose.
    wav = wav_bytes(np.zeros(1600), 16000)
    outputs = client.predict("transcribe", {"wav": [wav]}).outputs
    assert outputs["text"].tolist() == [b"samples 1600"]
    assert client.predict("transcribe", {"wav": ["RIFF" * 20]}).outputs["text"].size == 1
    with pytest.raises(UserError, match="'wav' cannot be sent"):
        client.predict("transcribe", {"wav": [object()]})
    with pytest.raises(UserError, match="'samples' is no tensor"):
        client.predict("serving_default", {"samples": [[0.0], [0.0, 1.0]]})


def test_decoder_of_another_alphabet():
    decoder = Decoder(BeamSearch(Alphabet(" ab")))
    with SaysNumbers("localhost:1") as client:
        with pytest.raises(UserError, match="make a decoder package for this model"):
            client.transcribe(tone(1.0), decoder=decoder)


def test_long_recordings_are_cut_in_their_pauses(client):
    # The model refuses recordings of over five seconds, and says how many samples it got.
    long = spoken(3.0, 0.5, 4.0, 0.5, 2.0, 0.5, 3.5)
    with pytest.raises(ClientError, match="could not decode"):
        client.transcribe(long, limit_seconds=None)
    done = []
    result, short = client.transcribe_batch(
        [long, tone(1.0)], limit_seconds=5.0, batch_size=2, progress=done.append
    )
    words = result.text.split()
    assert words[::2] == ["samples"] * (len(words) // 2)
    lengths = [int(word) for word in words[1::2]]
    assert sum(lengths) == len(long) and max(lengths) <= 5 * 16000
    for cut in np.cumsum(lengths)[:-1] / 16000:
        assert any(start < cut < start + 0.5 for start in (3.0, 7.5, 10.0))
    assert result.score == -len(long)
    assert result.duration_seconds == len(long) / 16000
    assert result.num_frames == pytest.approx(len(long) / 160, abs=len(lengths))
    assert short.text == "samples 16000"
    assert sum(done) == pytest.approx((len(long) + 16000) / 16000) and len(done) > 1


def test_words_have_the_times_of_the_recording(address):
    # Frame t of this model says the last label most, by however much; of one letter, so one word.
    with Client(address, timeout=20) as client:
        result = client.transcribe(spoken(4.0, 0.5, 3.0), limit_seconds=5.0, words=True)
    assert result.text == "' '"
    first, second = result.words
    assert first.start == 0.0 and first.end == second.start
    assert 4.0 < first.end < 4.5
    assert second.end == pytest.approx(7.5, abs=0.011)


def test_errors_take_the_place_of_results(client, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no recording")
    results = client.transcribe_batch(
        [tone(1.0), bad, tone(6.0), b"neither", tone(2.0)], return_errors=True
    )
    assert results[0].text == "samples 16000" and results[4].text == "samples 32000"
    assert isinstance(results[1], AudioError) and str(bad) in str(results[1])
    assert isinstance(results[2], ClientError) and "6.0 s" in str(results[2])
    assert isinstance(results[3], AudioError)


def test_errors_name_the_file(client, tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(wav_bytes(tone(6.0), 16000))
    with pytest.raises(ClientError, match=re.escape(f"{path}: The server could not decode")):
        client.transcribe(path)


def test_a_server_that_is_away_is_no_fault_of_a_recording(unused_port):
    with Client(f"127.0.0.1:{unused_port}", timeout=0.3) as client:
        with pytest.raises(ClientError, match="Is the server running"):
            client.transcribe_batch([tone(1.0)], return_errors=True)
