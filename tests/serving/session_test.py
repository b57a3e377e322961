# SPDX-License-Identifier: Apache-2.0
"""Runs of a graph: which thread does them, and their deadlines."""

import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf

from serving import session as session_module
from serving.errors import ServingError
from serving.session import GraphSession


class Graph:
    """Sleeps for as many milliseconds as it is told; knows which thread did."""

    def __init__(self):
        self.thread = 0
        graph = tf.Graph()
        with graph.as_default():
            milliseconds = tf.compat.v1.placeholder(tf.float32, [None], name="milliseconds")
            tf.numpy_function(self._sleep, [milliseconds], tf.float32, name="slept")
            tf.identity(milliseconds, name="other")
        self.session = GraphSession(tf.compat.v1.Session(graph=graph))
        self.run([0])  # the first one prepares the graph

    def _sleep(self, milliseconds: np.ndarray) -> np.ndarray:
        self.thread = threading.get_ident()
        time.sleep(milliseconds[0] / 1000)
        return milliseconds

    def run(self, milliseconds: list[float], timeout: float | None = None) -> bool:
        """Whether the thread that asked was the one that ran."""
        value = np.array(milliseconds, np.float32)
        (slept,) = self.session.run([("milliseconds:0", value)], ["slept:0"], timeout)
        np.testing.assert_array_equal(slept, value)
        return self.thread == threading.get_ident()


@pytest.fixture
def graph(monkeypatch):
    # Far more than a run takes that does not sleep, on however busy a machine.
    monkeypatch.setattr(session_module, "_BRIEF_SECONDS", 0.2)
    graph = Graph()
    yield graph
    graph.session.close()


def test_callers_thread_does_what_is_expected_to_be_brief(graph):
    graph.run([0])
    assert graph.run([0])
    assert graph.run([0], timeout=10.0)
    assert not graph.run([0, 0])  # with more input than was ever seen to be brief
    assert graph.run([0, 0])


def test_pool_does_what_was_long_until_it_is_brief_again(graph):
    graph.run([0])
    assert graph.run([300])  # a surprise
    assert not graph.run([300])
    assert not graph.run([0])
    assert graph.run([0])


def test_long_run_ends_at_its_deadline(graph):
    assert not graph.run([300, 0])
    with pytest.raises(ServingError) as caught:
        graph.run([2000, 0], timeout=0.05)
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_only_so_many_sets_of_outputs_are_remembered(graph, monkeypatch):
    monkeypatch.setattr(session_module, "_MOST_REMEMBERED", 2)
    feeds = [("milliseconds:0", np.zeros(1, np.float32))]
    for outputs in (["other:0"], ["slept:0", "other:0"], ["other:0", "slept:0"]):
        for _ in range(2):
            graph.session.run(feeds, outputs)
    assert len(graph.session._brief_bytes) <= 2


def test_input_of_strings_counts_their_bytes():
    graph = tf.Graph()
    with graph.as_default():
        strings = tf.compat.v1.placeholder(tf.string, [None], name="strings")
        tf.strings.length(strings, name="lengths")
    session = GraphSession(tf.compat.v1.Session(graph=graph))
    for string in (b"abc", b"abc", b"de"):
        session.run([("strings:0", np.array([string], object))], ["lengths:0"])
    assert session._brief_bytes == {("lengths:0",): 3}
    session.close()
