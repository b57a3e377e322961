# SPDX-License-Identifier: Apache-2.0
"""Latency of concurrent streams in real time, and what a request costs besides the model.

    python -m benchmarks.load models/an4-streaming > load.json        # 2 to 3 minutes

Every stream sends a chunk when it is due, that is when its last sample has been spoken, as long as
the one before is answered; it is timed from when it was due. A stream that the server cannot follow
therefore shows latencies that grow from chunk to chunk; it has fallen behind where its last chunk
took longer than a chunk lasts. Streams begin at random times. The embedded server is one process,
with batching another, and all clients are a third, with a connection for each stream.

The overhead of a request is that of one client that waits for each answer: quantiles of its calls
less those of running the same graph on the same values in the client's process. The two take turns
of 50 calls, for each has a copy of the weights, and one call each would measure how long it takes
to fetch them into the caches. It is given for a step, which carries the state both ways, and for
one number of `stream_info`, which is next to nothing but the request itself. These times are by the
clock: other work on the machine adds to them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.client import Client
from serving.commands import base_path_of
from serving.loader import SavedModelLoader
from serving.model_info import info_query
from serving.servable import Servable
from serving.stream_session import INFO, STEP, ServedNetwork
from serving.tensors import tensor_to_proto

MODEL = "ds2"
BATCHING = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 0 }
num_batch_threads { value: 1 }
max_enqueued_batches { value: 100 }
"""
_CALLS_OF_A_TURN = 50
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclasses.dataclass(frozen=True)
class Server:
    """The embedded server in a process of its own."""

    process: subprocess.Popen
    address: str
    batching: bool

    def cpu_seconds(self) -> float:
        """CPU time that the process has used so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = status.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Model:
    """What must be known of the model to send it chunks."""

    base_path: str
    version: int
    state_size: int
    chunk_samples: int

    def request(self, samples: np.ndarray, state=None) -> predict_pb2.PredictRequest:
        """A step; without a state, that of a stream that begins."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL
        request.model_spec.version.value = self.version
        request.model_spec.signature_name = STEP
        tensor_to_proto(samples[None], request.inputs["samples"], as_content=True)
        count = np.array([len(samples)], np.int32)
        tensor_to_proto(count, request.inputs["num_samples"], as_content=True)
        if state is None:
            zeros = np.zeros((1, self.state_size), np.float32)
            tensor_to_proto(zeros, request.inputs["state"], as_content=True)
        else:
            # As it came: it need not be understood to be sent back.
            request.inputs["state"].CopyFrom(state)
        return request


@contextlib.contextmanager
def serve(base_path: str, intra_op_threads: int) -> Iterator[list[Server]]:
    """Two servers of a model, without and with batching, which load it at the same time."""
    command = [sys.executable, "-m", "serving.server", "--port=0", "--host=127.0.0.1"]
    command += [f"--model_name={MODEL}", f"--model_base_path={base_path}"]
    command += [f"--tensorflow_intra_op_parallelism={intra_op_threads}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with contextlib.ExitStack() as stack:
        parameters = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".txt"))
        parameters.write(BATCHING)
        parameters.flush()
        with_batching = ["--enable_batching", f"--batching_parameters_file={parameters.name}"]
        processes = []
        for flags in ([], with_batching):
            process = subprocess.Popen(
                [*command, *flags],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes.append(process)
        servers = []
        for process, batching in zip(processes, (False, True)):
            line = process.stdout.readline()
            if not line.startswith("ready: gRPC at "):
                raise SystemExit(f"The server did not start: {line!r}; try {' '.join(command)}")
            address = line.removeprefix("ready: gRPC at ").split(";")[0]
            servers.append(Server(process, address, batching))
        yield servers


def describe(base_path: str, address: str, chunk_seconds: float) -> Model:
    """Asks a server of the model what it is."""
    with Client(address, MODEL) as client:
        network = ServedNetwork(client)
    chunk_samples = round(chunk_seconds * network.info.sample_rate)
    return Model(base_path, network.version, network.info.state_size, chunk_samples)


def load(model: Model, server: Server, streams: int, seconds: float, chunk_seconds: float) -> dict:
    """Latencies of so many streams."""
    generator = random.Random(0)
    begins = [generator.uniform(0, chunk_seconds) for _ in range(streams)]
    chunks = round(seconds / chunk_seconds)
    noise = np.random.default_rng(0).normal(0, 0.1, (8, model.chunk_samples)).astype(np.float32)

    async def stream(start: float) -> list[float]:
        options = [*LIMITS, ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(server.address, options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            await channel.channel_ready()
            state, latencies = None, []
            for index in range(chunks):
                due = start + index * chunk_seconds
                await asyncio.sleep(max(due - time.monotonic(), 0))
                response = await stub.Predict(model.request(noise[index % 8], state))
                latencies.append(time.monotonic() - due)
                state = response.outputs["next_state"]
            return latencies

    async def all_streams() -> list[list[float]]:
        # Time to connect.
        start = time.monotonic() + 1.0
        return await asyncio.gather(*(stream(start + begin) for begin in begins))

    in_server, in_client, start = server.cpu_seconds(), time.process_time(), time.monotonic()
    latencies = 1000 * np.array(asyncio.run(all_streams()))
    elapsed = time.monotonic() - start
    in_server = server.cpu_seconds() - in_server
    in_client = time.process_time() - in_client
    return {
        "streams": streams,
        "batching": server.batching,
        "chunks": latencies.size,
        **_quantiles_ms(latencies, {"p50": 0.5, "p98": 0.98}),
        "longest_ms": round(float(latencies.max()), 2),
        "fallen_behind": int((latencies[:, -1] > 1000 * chunk_seconds).sum()),
        "server_cpu_ms_per_chunk": round(1000 * in_server / latencies.size, 2),
        "server_cores": round(in_server / elapsed, 2),
        "client_cores": round(in_client / elapsed, 2),
        "load_average": os.getloadavg()[0],
    }


def overhead(model: Model, server: Server, calls: int, intra_op_threads: int) -> dict:
    """What a request takes besides the model, with one client: a step, and the smallest request."""
    path = os.path.join(model.base_path, str(model.version))
    loader = SavedModelLoader(intra_op_threads=intra_op_threads)
    servable = loader(MODEL, model.version, path)
    samples = np.random.default_rng(0).normal(0, 0.1, model.chunk_samples).astype(np.float32)
    step = {
        "samples": samples[None],
        "num_samples": np.array([model.chunk_samples], np.int32),
        "state": np.zeros((1, model.state_size), np.float32),
    }
    try:
        return {
            "calls": calls,
            "state_bytes": 4 * model.state_size,
            STEP: _overhead(model, server, servable, STEP, step, [], calls),
            INFO: _overhead(model, server, servable, INFO, info_query(), ["sample_rate"], calls),
            "load_average": os.getloadavg()[0],
        }
    finally:
        servable.session.close()


def _overhead(
    model: Model,
    server: Server,
    servable: Servable,
    name: str,
    inputs: dict[str, np.ndarray],
    outputs: list[str],
    calls: int,
) -> dict:
    """The overhead of one signature; no outputs are all."""
    signature = servable.signatures[name]
    feeds = [(signature.inputs[key].name, value) for key, value in inputs.items()]
    fetches = [signature.outputs[key].name for key in outputs or sorted(signature.outputs)]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.model_spec.version.value = model.version
    request.model_spec.signature_name = name
    request.output_filter.extend(outputs)
    for key, value in inputs.items():
        tensor_to_proto(value, request.inputs[key], as_content=True)
    times = {"request": [], "model": []}
    with grpc.insecure_channel(server.address, LIMITS) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        run = {
            "model": lambda: servable.session.run(feeds, fetches),
            "request": lambda: stub.Predict(request),
        }
        for index in range(-1, max(1, calls // _CALLS_OF_A_TURN)):
            for kind, call in run.items():
                taken = [_timed(call) for _ in range(_CALLS_OF_A_TURN)]
                # The first turn warms caches, threads and connections up, and so do the first
                # calls of each for what the other has driven out.
                if index >= 0:
                    times[kind] += taken[_CALLS_OF_A_TURN // 5 :]
    quantiles = {"p10": 0.1, "p50": 0.5, "p98": 0.98}
    of = {kind: _quantiles_ms(1000 * np.array(taken), quantiles) for kind, taken in times.items()}
    beyond = {key: round(value - of["model"][key], 3) for key, value in of["request"].items()}
    return {**of, "overhead": beyond}


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _quantiles_ms(milliseconds: np.ndarray, quantiles: dict[str, float]) -> dict[str, float]:
    return {
        f"{name}_ms": round(float(np.quantile(milliseconds, quantile)), 3)
        for name, quantile in quantiles.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", help="a streaming model, an export of one, or the base path of some"
    )
    parser.add_argument("--streams", type=int, nargs="*", default=[10, 20, 30])
    parser.add_argument("--seconds", type=float, default=15.0, help="of each stream")
    parser.add_argument("--chunk-seconds", type=float, default=0.1)
    parser.add_argument("--calls", type=int, default=1000, help="to measure the overhead with")
    parser.add_argument(
        "--intra-op-threads",
        type=int,
        default=1,
        help="threads within an operation, of the servers and of the bare model: with more than "
        "one, steps of a small network take longer, not shorter; 0 lets TensorFlow choose",
    )
    args = parser.parse_args()
    with (
        base_path_of(os.path.abspath(args.model)) as base_path,
        serve(base_path, args.intra_op_threads) as servers,
    ):
        model = describe(base_path, servers[0].address, args.chunk_seconds)
        result = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "model": args.model,
            "chunk_ms": 1000 * args.chunk_seconds,
            "intra_op_threads": args.intra_op_threads,
            "overhead": overhead(model, servers[0], args.calls, args.intra_op_threads),
            "load": [
                load(model, server, streams, args.seconds, args.chunk_seconds)
                for streams in args.streams
                for server in servers
            ],
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
