# SPDX-License-Identifier: Apache-2.0
"""The exported signatures for streams, as TensorFlow Serving calls them."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.export.check import STREAMING_SIGNATURES, problems
from ds2_tf.streaming.recognizer import StreamingRecognizer


@pytest.fixture(scope="module")
def session(streaming_export):
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(streaming_export))
    yield session, meta_graph.signature_def
    session.close()


@pytest.fixture(scope="module")
def served(session):
    session, signatures = session

    def call(name, **inputs):
        signature = signatures[name]
        fetches = {key: tensor.name for key, tensor in signature.outputs.items()}
        return session.run(
            fetches, {signature.inputs[key].name: value for key, value in inputs.items()}
        )

    return call


@pytest.fixture(scope="module")
def info(streaming_model_directory):
    return StreamingRecognizer.load(streaming_model_directory).info


def test_shapes_that_let_streams_be_batched(session, info):
    """The state has one size, and only the batch, the chunk and the frames vary."""
    signature = session[1]["stream_step"]
    shapes = {
        name: [dim.size for dim in tensor.tensor_shape.dim]
        for name, tensor in [*signature.inputs.items(), *signature.outputs.items()]
    }
    assert shapes == {
        "samples": [-1, -1],
        "num_samples": [-1],
        "state": [-1, info.state_size],
        "log_probs": [-1, -1, 29],
        "skip": [-1],
        "num_frames": [-1],
        "next_state": [-1, info.state_size],
    }


def test_streams_that_begin_at_different_times_in_one_batch(served, info, noise):
    """Row 1 begins three chunks later; both equal the whole, from the same export."""
    recordings = [noise(16000, 0) / np.float32(2**15), noise(11111, 1) / np.float32(2**15)]
    begin, pieces = [0, 3], [[], []]
    states = np.zeros((2, info.state_size), np.float32)
    for number in range(12):
        samples, counts = np.full((2, 1600), np.nan, np.float32), np.zeros(2, np.int32)
        for row, recording in enumerate(recordings):
            at = 1600 * (number - begin[row])
            piece = recording[max(at, 0) : max(at + 1600, 0)]
            samples[row, : len(piece)], counts[row] = piece, len(piece)
        told = served("stream_step", samples=samples, num_samples=counts, state=states)
        states = told["next_state"]
        for row in range(2):
            known = slice(told["skip"][row], told["num_frames"][row])
            pieces[row].append(told["log_probs"][row, known])
    told = served("stream_finish", state=states)
    for row, recording in enumerate(recordings):
        streamed = np.concatenate([*pieces[row], told["log_probs"][row, told["skip"][row] :]])
        whole = served("serving_default", samples=recording[None], num_samples=[len(recording)])
        assert len(streamed) == whole["num_frames"][0]
        np.testing.assert_allclose(streamed, whole["log_probs"][0], rtol=1e-5, atol=1e-5)


def test_info(served):
    told = served("stream_info", query=[0, 7])
    labels = [b"", *(bytes([c]) for c in b" abcdefghijklmnopqrstuvwxyz'")]
    assert told["labels"].tolist() == [labels, labels]
    assert told["sample_rate"].tolist() == [16000] * 2
    assert told["frame_samples"].tolist() == [640] * 2
    assert told["lookahead_frames"].tolist() == [2] * 2
    del told["lookahead_frames"]
    for name, value in served("model_info", query=[0, 7]).items():
        np.testing.assert_array_equal(value, told.pop(name))
    assert not told


def test_no_rows(served, info):
    states = np.zeros((0, info.state_size))
    told = served("stream_step", samples=np.zeros((0, 1600)), num_samples=[], state=states)
    assert told["next_state"].shape == states.shape
    assert served("stream_finish", state=states)["skip"].shape == (0,)
    assert served("stream_info", query=[])["labels"].shape == (0, 29)


def test_the_check_finds_nothing(streaming_export):
    assert problems(str(streaming_export)) == []


def test_warm_up_requests(streaming_export, served):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = streaming_export / "assets.extra" / "tf_serving_warmup_requests"
    names = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        names.add(request.model_spec.signature_name)
        served(
            request.model_spec.signature_name,
            **{name: tf.make_ndarray(value) for name, value in request.inputs.items()},
        )
    assert names == {"serving_default", "transcribe", "model_info", *STREAMING_SIGNATURES}


def test_more_samples_than_there_are(served, info):
    """A claim of more audio than was sent makes no frame of it."""
    samples = np.zeros((3, 1600), np.float32)
    state = np.zeros((3, info.state_size), np.float32)
    claimed = served("stream_step", samples=samples, num_samples=[99999, -5, 1600], state=state)
    right = served("stream_step", samples=samples, num_samples=[1600, 0, 1600], state=state)
    for name in ("num_frames", "skip", "next_state"):
        np.testing.assert_array_equal(claimed[name], right[name])


class TestCheck:
    """A model that streams differently than it transcribes is found out."""

    def save(self, path, streamed_score=0.0, size=3, with_info=True, names=("", "a"), made_up=0):
        labels = tf.constant(names)

        def frames(rows, count, score):
            logits = tf.zeros([rows, count, 2]) + tf.constant([0.0, 1.0]) * score
            return tf.nn.log_softmax(logits)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.float32, "samples"),
                tf.TensorSpec([None], tf.int32, "num_samples"),
            ]
        )
        def serving_default(samples, num_samples):
            scores = frames(tf.shape(samples)[0], 10, 0.0)
            beyond = tf.cast(num_samples > tf.shape(samples)[1], tf.int32)
            return {"log_probs": scores, "num_frames": made_up * beyond + 10}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")])
        def transcribe(wav):
            longer = tf.strings.join([wav, bytes(44)])
            rate = tf.reshape(tf.io.decode_raw(tf.strings.substr(longer, 24, 4), tf.int32), [-1])
            rate = tf.where(tf.strings.length(wav) < 44, 0, rate)
            return {
                "text": wav,
                "score": tf.cast(rate, tf.float32),
                "num_frames": rate,
                "sample_rate": rate,
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def eval_examples(examples):
            scores = frames(tf.shape(examples)[0], 1, 0.0)
            lengths = tf.strings.length(examples)
            return {"hypothesis": examples[:, None], "log_probs": scores, "num_frames": lengths}

        state = tf.TensorSpec([None, size], tf.float32, "state")

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.float32, "samples"),
                tf.TensorSpec([None], tf.int32, "num_samples"),
                state,
            ]
        )
        def stream_step(samples, num_samples, state):
            none = 0 * num_samples
            scores = frames(tf.shape(samples)[0], 1, 0.0)
            return {"log_probs": scores, "skip": none, "num_frames": none, "next_state": state + 0}

        @tf.function(input_signature=[state])
        def stream_finish(state):
            rows = tf.shape(state)[0]
            return {
                "log_probs": frames(rows, 10, streamed_score),
                "skip": tf.zeros([rows], tf.int32),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "query")])
        def stream_info(query):
            return {
                "labels": tf.tile(labels[None], [tf.size(query), 1]),
                "sample_rate": 0 * query,
                "frame_samples": 1 * query,
                "lookahead_frames": 2 * query,
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "query")])
        def model_info(query):
            told = stream_info(query)
            return {name: told[name] for name in ("labels", "sample_rate", "frame_samples")}

        functions = {
            "serving_default": serving_default,
            "transcribe": transcribe,
            "eval_examples": eval_examples,
            "model_info": model_info,
            "stream_step": stream_step,
            "stream_finish": stream_finish,
        }
        if with_info:
            functions["stream_info"] = stream_info
        tf.saved_model.save(tf.Module(), str(path), signatures=functions)
        return problems(str(path))

    def test_right(self, tmp_path):
        assert self.save(tmp_path / "model") == []

    def test_other_scores(self, tmp_path):
        (problem,) = self.save(tmp_path / "model", streamed_score=1.0)
        assert problem.startswith("a stream's scores differ by 6")

    def test_frames_of_audio_that_was_not_sent(self, tmp_path):
        (problem,) = self.save(tmp_path / "model", made_up=7)
        assert "gives 17 frames for audio of 10" in problem

    @pytest.mark.parametrize("names", [("", "a", "b"), ("a", ""), ("", "")])
    def test_other_labels(self, tmp_path, names):
        found = self.save(tmp_path / "model", names=names)
        assert [problem.split()[0] for problem in found] == ["model_info", "stream_info"]

    def test_a_state_of_unknown_size(self, tmp_path):
        (problem,) = self.save(tmp_path / "model", size=None)
        assert "clients cannot know its size" in problem

    def test_half_of_the_signatures(self, tmp_path):
        (problem,) = self.save(tmp_path / "model", with_info=False)
        assert problem.startswith("signature stream_info is missing")
