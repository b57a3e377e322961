# SPDX-License-Identifier: Apache-2.0
"""Batching: what is joined, how it is padded, and who gets which error."""

import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf

from serving.batch_scheduler import BatchScheduler
from serving.batching_options import BatchingOptions, read_batching_options
from serving.batching_session import BatchingSession
from serving.errors import ServingError
from serving.metrics import ServerMetrics

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class RecordingSession:
    """Doubles "x", fails on negative numbers, and knows "x" as float64; batches wait while `gate`
    is closed.
    """

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.runs = []
        self.timeouts = []
        self.closed = False

    def run(self, inputs, outputs, timeout=None):
        self.running.release()
        assert self.gate.wait(20)
        self.runs.append({name: np.array(value) for name, value in inputs})
        self.timeouts.append(timeout)
        if self.runs[-1]["x"].dtype == float and self.runs[-1]["x"].min(initial=0) < 0:
            raise ServingError(INVALID, f"negative: {self.runs[-1]['x'].min():g}")
        results = {
            "double": 2 * self.runs[-1]["x"],
            "scalar": np.array(1.0),
            "short": self.runs[-1]["x"][:-1],
        }
        return [results[name] for name in outputs]

    def accepts(self, name, value):
        return name != "x" or value.dtype == np.float64

    def close(self):
        self.closed = True


class Harness:
    """A batching session on one thread, and requests that come at the same time."""

    def __init__(self, **options):
        self.wrapped = RecordingSession()
        self.scheduler = BatchScheduler(1)
        self.metrics = ServerMetrics()
        self.session = BatchingSession(
            self.wrapped, self.scheduler, BatchingOptions(**options), self.metrics
        )
        self.pool = futures.ThreadPoolExecutor(32)

    def submit(self, *, outputs=("double",), timeout=None, **inputs):
        inputs = [(name, np.asarray(value)) for name, value in inputs.items()]
        return self.pool.submit(self.session.run, inputs, list(outputs), timeout)

    def occupy(self):
        """Keeps the only thread busy, so that what follows meets in the queue."""
        self.wrapped.gate.clear()
        first = self.submit(x=[0.0])
        assert self.wrapped.running.acquire(timeout=20)
        return first

    def queued_rows(self):
        return sum(b.size for queue in self.scheduler._queues for b in queue._batches)

    def submit_in_order(self, requests):
        """Submits one after another, each once the one before is in the queue."""
        submitted = []
        for request in requests:
            expected = self.queued_rows() + len(request["x"])
            submitted.append(self.submit(**request))
            while self.queued_rows() < expected and not submitted[-1].done():
                time.sleep(0.001)
        return submitted

    def open_gate(self):
        self.wrapped.gate.set()


@pytest.fixture
def make():
    made = []

    def build(**options):
        made.append(Harness(**options))
        return made[-1]

    yield build
    for harness in made:
        harness.open_gate()
        harness.pool.shutdown()
        harness.scheduler.stop()


def test_requests_that_wait_run_together(make):
    harness = make()
    harness.occupy()
    rows = [[1.0], [2.0, 3.0], [4.0]]
    submitted = harness.submit_in_order([{"x": row} for row in rows])
    harness.open_gate()
    for row, future in zip(rows, submitted):
        np.testing.assert_array_equal(future.result(20)[0], 2 * np.array(row))
    assert [run["x"].tolist() for run in harness.wrapped.runs] == [[0.0], [1.0, 2.0, 3.0, 4.0]]


def test_full_batch_is_followed_by_another(make):
    harness = make(max_batch_size=3)
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [1.0, 2.0]}, {"x": [3.0, 4.0]}, {"x": [5.0]}])
    harness.open_gate()
    futures.wait(submitted, 20)
    assert [run["x"].tolist() for run in harness.wrapped.runs[1:]] == [[1.0, 2.0], [3.0, 4.0, 5.0]]


def test_other_outputs_do_not_batch_together(make):
    harness = make()
    harness.occupy()
    one = harness.submit_in_order([{"x": [1.0]}])[0]
    harness.submit_in_order([{"x": [2.0], "outputs": ("double", "double")}])
    other = harness.submit_in_order([{"x": [3.0], "y": [1.0]}])[0]
    harness.open_gate()
    futures.wait([one, other], 20)
    batches = sorted(run["x"].tolist() for run in harness.wrapped.runs[1:])
    # The set of outputs counts, not how often or in which order they are asked for.
    assert batches == [[1.0, 2.0], [3.0]]


def test_timeout_waits_for_company(make):
    harness = make(batch_timeout_micros=300_000, max_batch_size=3)
    start = time.monotonic()
    harness.submit(x=[1.0]).result(20)
    assert time.monotonic() - start >= 0.29
    start = time.monotonic()
    full = [harness.submit(x=[float(row)]) for row in range(3)]
    for future in full:
        future.result(20)
    # A full batch does not wait.
    assert len(harness.wrapped.runs[-1]["x"]) == 3


def test_rows_are_padded_with_the_first_row_of_the_last_task(make):
    harness = make(max_batch_size=8, allowed_batch_sizes=(1, 4, 8))
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [1.0]}, {"x": [2.0, 3.0]}])
    harness.open_gate()
    assert submitted[1].result(20)[0].tolist() == [4.0, 6.0]
    assert submitted[0].result(20)[0].tolist() == [2.0]
    assert harness.wrapped.runs[1]["x"].tolist() == [1.0, 2.0, 3.0, 2.0]


def test_shapes_are_padded_with_the_first_element(make):
    harness = make(pad_variable_length_inputs=True)
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [[1.0, 2.0]]}, {"x": [[3.0, 4.0, 5.0]]}])
    harness.open_gate()
    # The reply keeps the padding.
    assert submitted[0].result(20)[0].tolist() == [[2.0, 4.0, 2.0]]
    assert harness.wrapped.runs[1]["x"].tolist() == [[1.0, 2.0, 1.0], [3.0, 4.0, 5.0]]


def test_different_shapes_fail_the_whole_batch(make):
    harness = make()
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [[1.0, 2.0]]}, {"x": [[3.0, 4.0, 5.0]]}])
    harness.open_gate()
    for future in submitted:
        error = future.exception(20)
        assert error.code == grpc.StatusCode.FAILED_PRECONDITION
        assert error.message.startswith(
            "Tensors with name 'x' from different tasks have different shapes and padding is "
            "turned off."
        )


def test_bad_request_leaves_its_neighbours_their_results(make):
    harness = make()
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [1.0, 2.0]}, {"x": [-7.0]}, {"x": [3.0]}])
    harness.open_gate()
    assert submitted[0].result(20)[0].tolist() == [2.0, 4.0]
    assert submitted[2].result(20)[0].tolist() == [6.0]
    # The text is that of a run by itself.
    error = submitted[1].exception(20)
    assert (error.code, error.message) == (INVALID, "negative: -7")
    sizes = [len(run["x"]) for run in harness.wrapped.runs[1:]]
    assert sizes == [4, 2, 1, 1]  # together once, then each


def test_padding_that_fails_leaves_the_neighbours_their_results(make):
    harness = make(pad_variable_length_inputs=True)
    harness.occupy()
    submitted = harness.submit_in_order(
        [{"x": [[1.0, 2.0]]}, {"x": np.zeros([1, 0])}, {"x": [[[3.0]]]}]
    )
    harness.open_gate()
    results = [future.result(20)[0].tolist() for future in submitted]
    assert results == [[[2.0, 4.0]], [[]], [[[6.0]]]]


def test_what_the_graph_rules_out_runs_by_itself(make):
    harness = make()
    harness.occupy()
    good = harness.submit_in_order([{"x": [1.0]}])[0]
    bad = harness.submit(x=np.array([1], np.float32))
    harness.open_gate()
    assert good.result(20)[0].tolist() == [2.0]
    bad.result(20)
    # The one that occupied the thread, and the good one; all in no certain order.
    dtypes = sorted(run["x"].dtype.name for run in harness.wrapped.runs)
    assert dtypes == ["float32", "float64", "float64"]


def test_too_large(make):
    error = make(max_batch_size=32).submit(x=np.zeros(40)).exception(20)
    assert (error.code, error.message) == (
        INVALID,
        "Task size 40 is larger than maximum input batch size 32",
    )


def test_full_queue(make):
    harness = make(max_batch_size=1, max_enqueued_batches=2)
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [1.0]}, {"x": [2.0]}, {"x": [3.0]}])
    error = submitted[2].exception(20)
    assert (error.code, error.message) == (
        grpc.StatusCode.UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches "
        "enqueued and max_enqueued_batches is 2",
    )
    harness.open_gate()
    assert submitted[1].result(20)[0].tolist() == [4.0]


def test_timeout_in_the_queue(make):
    harness = make()
    first = harness.occupy()
    late = harness.submit_in_order([{"x": [1.0], "timeout": 0.01}])[0]
    time.sleep(0.05)
    harness.open_gate()
    assert first.result(20)
    error = late.exception(20)
    assert (error.code, error.message) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Run() timeout exceeded while waiting in batching queue",
    )


def test_batch_has_the_longest_timeout(make):
    harness = make()
    harness.occupy()
    submitted = harness.submit_in_order(
        [{"x": [1.0], "timeout": 5.0}, {"x": [2.0], "timeout": 500.0}]
    )
    harness.open_gate()
    futures.wait(submitted, 20)
    assert 400 < harness.wrapped.timeouts[1] <= 500


@pytest.mark.parametrize(
    "inputs, text",
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"x": 1.0}, "Batching Run() input tensors must have at least one dimension"),
        (
            {"x": [1.0], "y": [1.0, 2.0]},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_inputs_that_cannot_be_batched(make, inputs, text):
    error = make().submit(**inputs).exception(20)
    assert (error.code, error.message) == (INVALID, text)


@pytest.mark.parametrize(
    "output, text",
    [
        ("scalar", "Batched output tensor has 0 dimensions"),
        (
            "short",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
            "sizes of the input tensors",
        ),
    ],
)
def test_outputs_that_cannot_be_split(make, output, text):
    error = make().submit(x=[1.0, 2.0], outputs=[output]).exception(20)
    assert (error.code, error.message) == (grpc.StatusCode.FAILED_PRECONDITION, text)


def test_any_failure_reaches_its_requests(make):
    error = make().submit(x=[1.0], outputs=["missing"]).exception(20)
    assert error.code == grpc.StatusCode.INTERNAL


def test_large_requests_are_split(make):
    harness = make(max_batch_size=7, enable_large_batch_splitting=True, max_execution_batch_size=3)
    harness.occupy()
    submitted = harness.submit_in_order([{"x": [1.0]}, {"x": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]}])
    harness.open_gate()
    assert submitted[1].result(20)[0].tolist() == [4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
    assert [run["x"].tolist() for run in harness.wrapped.runs[1:]] == [
        [1.0, 2.0, 3.0],
        [4.0, 5.0, 6.0],
        [7.0],
    ]


def test_split_requests_can_be_too_many(make):
    harness = make(
        max_batch_size=7,
        max_enqueued_batches=2,
        enable_large_batch_splitting=True,
        max_execution_batch_size=3,
    )
    harness.occupy()
    error = harness.submit_in_order([{"x": [1.0]}, {"x": np.ones(7)}])[1].exception(20)
    assert error.code == grpc.StatusCode.UNAVAILABLE
    assert "task size is 7 but scheduling capacity is only 5" in error.message


def test_close_closes_the_wrapped_session(make):
    harness = make()
    harness.submit(x=[1.0]).result(20)
    harness.session.close()
    assert harness.wrapped.closed
    assert harness.queued_rows() == 0 and not harness.scheduler._queues


def test_parameters_file(tmp_path):
    path = tmp_path / "batching.txt"
    path.write_text(
        """
        max_batch_size { value: 32 }
        batch_timeout_micros { value: 5000 }
        max_enqueued_batches { value: 100 }
        num_batch_threads { value: 4 }
        thread_pool_name { value: "x" }
        allowed_batch_sizes: 8  # comments are allowed
        allowed_batch_sizes: 32
        pad_variable_length_inputs: true
        """
    )
    assert read_batching_options(str(path)) == BatchingOptions(
        32, 5000, 100, 4, (8, 32), pad_variable_length_inputs=True
    )
    path.write_text("")
    defaults = read_batching_options(str(path))
    assert (defaults.max_batch_size, defaults.batch_timeout_micros) == (1000, 0)
    assert defaults.max_enqueued_batches == 10


@pytest.mark.parametrize(
    "text, message",
    [
        ("max_batch { value: 3 }", "Invalid protobuf file"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; "
            "expected 8",
        ),
    ],
)
def test_parameters_that_are_refused(tmp_path, text, message):
    path = tmp_path / "batching.txt"
    path.write_text(text)
    with pytest.raises(ServingError, match=message):
        read_batching_options(str(path))


def test_over_the_wire(base_path, start_server, helpers, tmp_path):
    path = tmp_path / "batching.txt"
    path.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 2000 }")
    _, connection = start_server(base_path(2), enable_batching=True, batching_parameters_file=path)
    requests = [helpers.scores_request(rows=rows) for rows in (1, 2, 3, 4)] * 5
    calls = [connection.prediction.Predict.future(request, timeout=20) for request in requests]
    for request, call in zip(requests, calls):
        rows = request.inputs["features"].tensor_shape.dim[0].size
        reply = call.result()
        assert tf.make_ndarray(reply.outputs["num_frames"]).tolist() == list(range(1, rows + 1))
        assert tf.make_ndarray(reply.outputs["logits"]).tolist() == [[6.0, 6.0]] * rows
    assert helpers.expect_error(connection.predict, helpers.scores_request(rows=9)) == (
        INVALID,
        "Task size 9 is larger than maximum input batch size 8",
    )


def test_file_needs_the_flag(base_path, helpers, tmp_path):
    with pytest.raises(ServingError, match="without setting server_options.enable_batching"):
        helpers.make_server(base_path(1), batching_parameters_file=tmp_path / "batching.txt")
