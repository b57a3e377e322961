# SPDX-License-Identifier: Apache-2.0
"""The exported model against the network and the recognizer that it was made of."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ds2_tf.audio.spectrogram import log_spectrogram
from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.records import make_example
from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.errors import UserError
from ds2_tf.export import saved_model
from ds2_tf.export.check import problems
from ds2_tf.export.saved_model import check_saved_model, export_saved_model, published_versions
from ds2_tf.models.model_directory import load_model
from ds2_tf.recognizer import Recognizer
from ds2_tf.text.alphabet import Alphabet

LENGTHS = [16000, 9000, 4321, 161, 100, 0]


@pytest.fixture(scope="module")
def served(tiny_export):
    """Calls signatures as TensorFlow Serving does: through a session."""
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(tiny_export))

    def call(name, **inputs):
        signature = meta_graph.signature_def[name]
        fetches = {key: tensor.name for key, tensor in signature.outputs.items()}
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        return session.run(fetches, feeds)

    yield call
    session.close()


@pytest.fixture(scope="module")
def recognizer(tiny_model_directory):
    return Recognizer.load(tiny_model_directory)


@pytest.fixture(scope="module")
def recordings(noise):
    """int16 samples; the last two are shorter than a frame."""
    return [noise(length, seed) for seed, length in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def recognitions(recognizer, recordings):
    return recognizer.recognize([r.astype(np.float32) / 2**15 for r in recordings])


def padded(rows):
    batch = np.full((len(rows), max(map(len, rows))), np.nan, np.float32)
    for values, row in zip(batch, rows):
        values[: len(row)] = row / 2**15
    return batch


def test_serving_default_equals_the_network(served, tiny_model_directory, recordings):
    network, description = load_model(tiny_model_directory)
    batch = padded(recordings)
    outputs = served("serving_default", samples=batch, num_samples=LENGTHS)
    for row, length in enumerate(LENGTHS):
        assert outputs["num_frames"][row] == description.model.output_frames(length // 160)
        if length < 160:
            continue
        spectrogram, num_frames = log_spectrogram(batch[row : row + 1, :length], [length])
        logits = network({"spectrogram": spectrogram, "num_frames": num_frames})
        expected = tf.nn.log_softmax(logits)[0].numpy()
        frames = outputs["num_frames"][row]
        assert frames == len(expected)
        np.testing.assert_allclose(outputs["log_probs"][row, :frames], expected, atol=1e-4)


def test_transcribe_equals_the_recognizer(served, recordings, recognitions, wav_file):
    outputs = served("transcribe", wav=[wav_file(r) for r in recordings])
    assert outputs["text"].tolist() == [r.text.encode() for r in recognitions]
    np.testing.assert_allclose(outputs["score"], [r.score for r in recognitions], rtol=1e-3)
    assert outputs["num_frames"].tolist() == [len(r.log_probs) for r in recognitions]
    assert outputs["sample_rate"].tolist() == [16000] * len(LENGTHS)
    assert len(recognitions[0].text) > 5


def test_transcribe_resamples_and_forgives(served, recognizer, wav_file, noise):
    """A stranger's broken request changes nothing for the others of its batch."""
    good = wav_file(noise(8000))
    alone = served("transcribe", wav=[good])
    stereo = np.stack([noise(22050)] * 2, axis=1)
    wavs = [b"", good, b"RIFF", wav_file(stereo, 22050), good[:1000]]
    outputs = served("transcribe", wav=wavs)
    assert outputs["sample_rate"].tolist() == [0, 16000, 0, 22050, 16000]
    assert outputs["text"][[0, 2]].tolist() == [b"", b""]
    assert outputs["num_frames"].tolist() == [0, 25, 0, 50, 1]
    assert outputs["text"][1] == alone["text"][0]
    np.testing.assert_allclose(outputs["score"][1], alone["score"][0], rtol=1e-4)


def test_eval_examples_equals_the_recognizer(served, recognizer, recordings):
    examples, expected = [], []
    for number, recording in enumerate(recordings[:4]):
        samples = (recording / 2**15).astype(np.float32)
        spectrogram, _ = log_spectrogram(samples[None], [len(samples)])
        utterance = Utterance(f"utterance-{number}", "none.wav", "a")
        # Records hold 16 bits, and so does what is expected.
        spectrogram = spectrogram[0].numpy().astype(np.float16).astype(np.float32)
        examples.append(make_example(utterance, spectrogram, 1.0).SerializeToString())
        logits = recognizer.network(
            {"spectrogram": spectrogram[None], "num_frames": np.array([len(spectrogram)])}
        )
        expected.append(logits.numpy()[0])
    outputs = served("eval_examples", examples=examples)
    hypotheses = outputs["hypothesis"]
    assert hypotheses.shape == (4, 1)
    assert outputs["num_frames"].tolist() == [len(x) for x in expected]
    for found, frames, logits in zip(outputs["log_probs"], outputs["num_frames"], expected):
        log_probs = tf.nn.log_softmax(logits).numpy()
        np.testing.assert_allclose(found[:frames], log_probs, atol=1e-3)
    texts = [greedy_decode(x[None], [len(x)], recognizer.alphabet)[0] for x in expected]
    assert hypotheses[:, 0].tolist() == [text.encode() for text in texts]


def test_empty_batches(served):
    log_probs = served("serving_default", samples=np.zeros((0, 160)), num_samples=[])["log_probs"]
    assert log_probs.shape == (0, 1, 29)
    assert served("transcribe", wav=np.zeros(0, object))["text"].shape == (0,)
    hypothesis = served("eval_examples", examples=np.zeros(0, object))["hypothesis"]
    assert hypothesis.shape == (0, 1)


def test_more_samples_than_there_are(served, noise):
    """A claim of more audio than was sent makes no frame of it."""
    samples = np.stack([noise(1700, 3)] * 3).astype(np.float32) / 2**15
    claimed = served("serving_default", samples=samples, num_samples=[100000, -7, 1700])
    right = served("serving_default", samples=samples, num_samples=[1700, 0, 1700])
    assert claimed["num_frames"].tolist() == right["num_frames"].tolist()
    np.testing.assert_array_equal(claimed["log_probs"], right["log_probs"])


def test_what_the_model_is(served):
    told = served("model_info", query=[0, 7])
    labels = [b"", *(bytes([c]) for c in b" abcdefghijklmnopqrstuvwxyz'")]
    assert told["labels"].tolist() == [labels, labels]
    assert told["sample_rate"].tolist() == [16000] * 2
    # A frame for each 40 ms: two strides of 10 ms by two.
    per_frame = served("serving_default", samples=np.zeros((1, 64000)), num_samples=[64000])
    assert (64000 // told["frame_samples"]).tolist() == per_frame["num_frames"].tolist() * 2
    assert served("model_info", query=[])["labels"].shape == (0, 29)


def test_silence_of_no_samples_in_a_batch(served):
    outputs = served("serving_default", samples=np.zeros((2, 0)), num_samples=[0, 0])
    assert outputs["num_frames"].tolist() == [0, 0]


def test_files_of_the_export(tiny_export):
    extra = tiny_export / "assets.extra"
    assert Alphabet.load(extra / "alphabet.txt") == Alphabet.english()
    requests = list(
        tf.data.TFRecordDataset(str(extra / "tf_serving_warmup_requests")).as_numpy_iterator()
    )
    assert len(requests) == 5


def test_warm_up_requests_fit_the_signatures(served, tiny_export):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = tiny_export / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        outputs = served(request.model_spec.signature_name, **inputs)
        if request.model_spec.signature_name != "model_info":
            assert (outputs["num_frames"] > 0).all()


def test_only_ops_that_a_server_has(tiny_export):
    """Of TensorFlow's kernels for the CPU: no Python, no cuDNN, no Keras, no other library."""
    data = (tiny_export / "saved_model.pb").read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(data).meta_graphs
    nodes = list(meta_graph.graph_def.node)
    for function in meta_graph.graph_def.library.function:
        nodes += function.node_def
    names = {function.signature.name for function in meta_graph.graph_def.library.function}
    ops = {node.op for node in nodes} - names
    assert {"MatMul", "RFFT", "While"} & ops
    for op in ops:
        assert not any(word in op for word in ("PyFunc", "Cudnn", "Xla", "IO>", "Custom")), op
        assert hasattr(tf.raw_ops, op) or op.startswith("_"), op


class TestCheck:
    def test_a_good_one_has_no_problems(self, tiny_export):
        assert problems(str(tiny_export)) == []

    def test_nothing_there(self, tmp_path):
        (problem,) = problems(str(tmp_path / "nowhere"))
        assert problem.startswith("it does not load")

    def save(self, path, functions):
        module = tf.Module()
        tf.saved_model.save(module, str(path), signatures=functions)
        return problems(str(path))

    def test_missing_signatures(self, tmp_path):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")])
        def transcribe(wav):
            return {"text": wav, "score": tf.strings.length(wav)}

        found = self.save(tmp_path / "model", {"transcribe": transcribe})
        assert any("signature serving_default is missing" in problem for problem in found)
        assert any("signature eval_examples is missing" in problem for problem in found)
        assert any("transcribe has outputs ['score', 'text']" in problem for problem in found)

    def test_scores_that_depend_on_the_batch(self, tmp_path):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.float32, "samples"),
                tf.TensorSpec([None], tf.int32, "num_samples"),
            ]
        )
        def serving_default(samples, num_samples):
            level = tf.reduce_mean(samples, keepdims=True)[:, :, None]
            rows = tf.zeros([tf.shape(samples)[0], 10, 2]) + tf.concat([level, 0 * level], -1)
            return {"log_probs": tf.nn.log_softmax(rows), "num_frames": 0 * num_samples + 10}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")])
        def transcribe(wav):
            length = tf.strings.length(wav)
            score = tf.cast(length, tf.float32)
            return {
                "text": wav,
                "score": score,
                "num_frames": length,
                "sample_rate": 0 * length + 16000,
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def eval_examples(examples):
            rows = tf.zeros([tf.shape(examples)[0], 1, 2])
            return {
                "hypothesis": tf.tile(examples[:, None], [1, 1]),
                "log_probs": rows,
                "num_frames": tf.strings.length(examples),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "query")])
        def model_info(query):
            labels = tf.tile(tf.constant([["", "a"]]), [tf.size(query), 1])
            return {"labels": labels, "sample_rate": query, "frame_samples": query}

        found = self.save(
            tmp_path / "model",
            {
                "serving_default": serving_default,
                "transcribe": transcribe,
                "eval_examples": eval_examples,
                "model_info": model_info,
            },
        )
        assert len(found) == 2
        assert "with the batch that a request came in" in found[0]
        assert "transcribe read sample rates [16000, 16000, 16000]" in found[1]

    @pytest.mark.slow
    def test_in_a_process_of_its_own(self, tmp_path):
        with pytest.raises(UserError, match="cannot be served:\nit does not load"):
            check_saved_model(tmp_path)


class TestExport:
    @pytest.fixture
    def quick(self, monkeypatch):
        """Writes a file instead of a model, and checks nothing."""
        monkeypatch.setattr(
            saved_model,
            "write_saved_model",
            lambda model, path: pathlib.Path(path).mkdir() or (path / "model").write_text("m"),
        )
        monkeypatch.setattr(saved_model, "check_saved_model", lambda path: None)
        return monkeypatch

    @pytest.mark.slow
    def test_whole(self, tiny_model_directory, tmp_path):
        path = export_saved_model(tiny_model_directory, tmp_path / "base")
        assert path == tmp_path / "base" / "1"
        assert os.listdir(tmp_path / "base") == ["1"]
        assert problems(str(path)) == []

    def test_numbers_go_up_from_the_highest(self, quick, tmp_path):
        paths = [export_saved_model("model", tmp_path, version=v) for v in (None, 7, None, 3, None)]
        assert [path.name for path in paths] == ["1", "7", "8", "3", "9"]
        assert published_versions(tmp_path) == [1, 3, 7, 8, 9]

    def test_other_things_in_the_base_path_are_no_versions(self, quick, tmp_path):
        (tmp_path / "9").write_text("a file")
        (tmp_path / "new-4-1").mkdir()
        (tmp_path / "0012").mkdir()
        assert published_versions(tmp_path) == [12]
        assert export_saved_model("model", tmp_path).name == "13"

    def test_an_existing_version_is_kept(self, quick, tmp_path):
        path = export_saved_model("model", tmp_path)
        (path / "model").write_text("untouched")
        with pytest.raises(UserError, match="1 exists: choose another version"):
            export_saved_model("model", tmp_path, version=1)
        assert (path / "model").read_text() == "untouched"

    def test_a_version_that_a_server_would_not_see(self, quick, tmp_path):
        with pytest.raises(UserError, match="no negative version, got -1"):
            export_saved_model("model", tmp_path / "base", version=-1)

    def test_a_failed_check_leaves_the_base_path_as_it_was(self, quick, tmp_path):
        def fail(path):
            assert os.listdir(path) == ["model"] and not path.name.isdecimal()
            raise UserError("cannot be served")

        quick.setattr(saved_model, "check_saved_model", fail)
        (tmp_path / "base" / "1").mkdir(parents=True)
        with pytest.raises(UserError, match="cannot be served"):
            export_saved_model("model", tmp_path / "base")
        assert os.listdir(tmp_path / "base") == ["1"]

    def test_no_model_leaves_nothing(self, tmp_path):
        with pytest.raises(UserError, match="not a model directory"):
            export_saved_model(tmp_path / "nowhere", tmp_path / "base")
        assert os.listdir(tmp_path / "base") == []
