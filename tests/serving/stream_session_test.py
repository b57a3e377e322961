# SPDX-License-Identifier: Apache-2.0
"""Streams over a real socket: with a model that recites, and with a network."""

import os
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.decoder import Decoder
from ds2_tf.errors import UserError
from ds2_tf.streaming.results import TimedWord
from ds2_tf.text.alphabet import Alphabet
from serving.client import Client, ClientError
from serving.stream_session import StreamSession

FRAME, LOOKAHEAD = 160, 2
AUDIO = np.zeros(12 * FRAME, np.float32)


class Reciter(tf.Module):
    """Says a letter of its text for every 160 samples, two letters late.

    The state is how many samples were heard.
    """

    def __init__(self, text: str):
        super().__init__()
        self.letters = tf.Variable(Alphabet.english().encode(text), dtype=tf.int32)
        self.labels = tf.Variable(list(Alphabet.english().labels))

    def say(self, first, count):
        places = first[:, None] + tf.range(count)
        letters = tf.gather(self.letters, tf.clip_by_value(places, 0, tf.size(self.letters) - 1))
        return tf.math.log(tf.one_hot(letters, 29, 0.9, 0.1 / 28))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "samples"),
            tf.TensorSpec([None], tf.int32, "num_samples"),
            tf.TensorSpec([None, 1], tf.float32, "state"),
        ]
    )
    def step(self, samples, num_samples, state):
        heard = tf.cast(state[:, 0], tf.int32)
        before, after = heard // FRAME, (heard + num_samples) // FRAME
        frames = after - before
        return {
            "log_probs": self.say(before - LOOKAHEAD, tf.shape(samples)[1] // FRAME + 1),
            "skip": tf.clip_by_value(LOOKAHEAD - before, 0, frames),
            "num_frames": frames,
            "next_state": tf.cast(heard + num_samples, tf.float32)[:, None],
        }

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "state")])
    def finish(self, state):
        heard = tf.cast(state[:, 0], tf.int32) // FRAME
        return {
            "log_probs": self.say(heard - LOOKAHEAD, LOOKAHEAD),
            "skip": tf.maximum(LOOKAHEAD - heard, 0),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "query")])
    def info(self, query):
        return {
            "labels": tf.tile(self.labels[None], [tf.size(query), 1]),
            "sample_rate": 0 * query + 16000,
            "frame_samples": 0 * query + FRAME,
            "lookahead_frames": 0 * query + LOOKAHEAD,
        }


TEXTS = {1: "one by one i", 2: "two by two i"}


@pytest.fixture(scope="module")
def reciters(tmp_path_factory):
    """Base path with versions 1 and 2; not to be written to."""
    base = tmp_path_factory.mktemp("reciters")
    for version, text in TEXTS.items():
        model = Reciter(text)
        tf.saved_model.save(
            model,
            str(base / str(version)),
            signatures={
                "stream_step": model.step,
                "stream_finish": model.finish,
                "stream_info": model.info,
            },
        )
    return base


@pytest.fixture
def config(helpers, reciters, tmp_path):
    """Serves version 1 of the reciter, and the one before the newest, too."""
    os.symlink(reciters / "1", tmp_path / "1")
    config = helpers.single_model_config("ds2", str(tmp_path))
    config.model_config_list.config[0].model_version_policy.latest.num_versions = 2
    return config


def recite(session):
    for start in range(0, len(AUDIO), 500):
        session.feed(AUDIO[start : start + 500])
    return session.finish()


def test_text_and_times(start_server, config):
    server, _ = start_server(config)
    with StreamSession(server.address, chunk_seconds=0.02) as session:
        assert session.version == 1
        assert session.info.lookahead_seconds == 0.02
        assert session.info.alphabet == Alphabet.english()
        partial = session.feed(AUDIO[: 8 * FRAME])
        assert (partial.stable, partial.unstable) == ("one", "by")
        transcript = recite(session)
    assert transcript.text == "one by one i"
    assert transcript.words[0] == TimedWord("one", 0.0, pytest.approx(0.03))
    assert transcript.words[1].start == pytest.approx(0.04)


def test_with_a_decoder(start_server, config):
    server, _ = start_server(config)
    with Client(server.address) as client:
        session = StreamSession(client, decoder=BeamSearch(Alphabet.english()))
        assert recite(session).text == TEXTS[1]
        session = StreamSession(client, decoder=Decoder(BeamSearch(Alphabet.english())))
        assert recite(session).text == TEXTS[1]
        with pytest.raises(UserError, match="make a decoder package for this model"):
            StreamSession(client, decoder=BeamSearch(Alphabet("ab")))
        with pytest.raises(UserError, match="Expected a decoder"):
            StreamSession(client, decoder="my.decoder")


def test_nobody_listens(helpers):
    start = time.monotonic()
    with pytest.raises(ClientError, match="within 0.5 s"):
        StreamSession(f"127.0.0.1:{helpers.free_port()}", timeout=0.5)
    assert time.monotonic() - start < 30  # the client's own would be a minute


def test_streams_share_batches(start_server, config, tmp_path_factory):
    """A batch waits for four rows, so that every run must be one of four streams."""
    parameters = tmp_path_factory.mktemp("batching") / "parameters.txt"
    parameters.write_text(
        "max_batch_size { value: 4 } batch_timeout_micros { value: 20000000 } "
        "num_batch_threads { value: 1 }"
    )
    server, _ = start_server(config, enable_batching=True, batching_parameters_file=parameters)
    with Client(server.address) as client, futures.ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: StreamSession(client, chunk_seconds=0.03), range(4)))
        texts = list(pool.map(lambda session: recite(session).text, sessions))
    assert texts == [TEXTS[1]] * 4
    # One for what the model is, four chunks of three frames, one for the end.
    (count,) = server.metrics.wrapped_run_count.lines()
    assert count.endswith(f" {1 + 4 + 1}")


def test_a_stream_keeps_its_version(start_server, config, reciters, tmp_path):
    server, connection = start_server(config)
    with Client(server.address) as client:
        old = StreamSession(client, chunk_seconds=0.02)
        old.feed(AUDIO[:1000])
        os.symlink(reciters / "2", tmp_path / "2")
        deadline = time.monotonic() + 60
        while client.metadata().version != 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        new = StreamSession(client, chunk_seconds=0.02)
        assert (old.version, new.version) == (1, 2)
        new.feed(AUDIO)
        old.feed(AUDIO[1000:])
        assert old.finish().text == TEXTS[1]
        assert new.finish().text == TEXTS[2]
        later = StreamSession(client, chunk_seconds=0.02)
        os.unlink(tmp_path / "2")
        while client.metadata().version != 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(ClientError, match="Version 2, with which the stream began") as caught:
            later.feed(AUDIO)
        assert caught.value.code == grpc.StatusCode.NOT_FOUND


def test_another_server_goes_on(helpers, config):
    """The first one dies in the middle of a stream; it is asked until the second is there."""
    port = helpers.free_port()
    first = helpers.make_server(config, port=port)
    first.start()
    with Client(f"127.0.0.1:{port}") as client:
        session = StreamSession(client, chunk_seconds=0.02)
        session.feed(AUDIO[: 6 * FRAME])
        first.stop()
        second = helpers.make_server(config, port=port)
        starting = threading.Timer(0.3, second.start)
        starting.start()
        session.feed(AUDIO[6 * FRAME :])
        assert session.finish().text == TEXTS[1]
        starting.join()
        second.stop()


def test_a_model_that_hears_no_streams(helpers, speech_base_path, start_server):
    server, _ = start_server(helpers.single_model_config("ds2", speech_base_path))
    with pytest.raises(UserError, match="cannot hear streams: .*transcribe"):
        StreamSession(server.address)


def test_deadline(start_server, config):
    server, _ = start_server(config)
    with Client(server.address) as client:
        session = StreamSession(client)
        server.stop()
        client.timeout = 0.3
        with pytest.raises(ClientError, match="within 0.3 s"):
            session.feed(AUDIO)


@pytest.fixture(scope="module")
def network_directory(tmp_path_factory):
    """A model directory with a small network of random weights, and its export."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.config import ConvolutionConfig, ModelConfig
    from ds2_tf.export.saved_model import write_saved_model
    from ds2_tf.models.deep_speech_2 import DeepSpeech2
    from ds2_tf.models.model_directory import ModelDescription, save_model

    config = ModelConfig(
        (ConvolutionConfig(3, (11, 5), (8, 2)), ConvolutionConfig(4, (9, 4), (8, 2))),
        recurrent_layers=1,
        recurrent_units=6,
        bidirectional=False,
        lookahead_frames=2,
        causal=True,
    )
    tf.random.set_seed(1)
    network = DeepSpeech2(config, 29)
    output = next(layer for layer in network.stack if layer.name == "output")
    output.kernel.assign(30.0 * output.kernel)
    directory = tmp_path_factory.mktemp("network")
    save_model(
        directory / "model",
        network,
        ModelDescription(config, " abcdefghijklmnopqrstuvwxyz'", SpectrogramConfig()),
        "# Random weights\n",
    )
    write_saved_model(directory / "model", directory / "base" / "1")
    return directory


def test_a_network_says_the_same_as_in_process(helpers, network_directory, start_server, tmp_path):
    from ds2_tf.streaming.recognizer import StreamingRecognizer

    parameters = tmp_path / "parameters.txt"
    parameters.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 1000 }")
    server, _ = start_server(
        helpers.single_model_config("ds2", str(network_directory / "base")),
        enable_batching=True,
        batching_parameters_file=parameters,
    )
    recognizer = StreamingRecognizer.load(network_directory / "model")
    generator = np.random.default_rng(0)
    recordings = [
        generator.integers(-6000, 6000, length).astype(np.int16) for length in (16000, 9001, 300)
    ]

    def hear(stream, recording):
        for start in range(0, len(recording), 777):
            stream.feed(recording[start : start + 777])
        return stream.finish()

    with Client(server.address) as client, futures.ThreadPoolExecutor(3) as pool:
        served = list(pool.map(lambda r: hear(StreamSession(client), r), recordings))
    for recording, transcript in zip(recordings, served):
        expected = hear(recognizer.stream(), recording)
        assert transcript.text == expected.text
        assert transcript.words == expected.words
        assert transcript.score == pytest.approx(expected.score, rel=1e-4, abs=1e-5)
    assert len(served[0].text) > 3
