# SPDX-License-Identifier: Apache-2.0
"""Latency of concurrent streams in real time, and what a request costs besides the model.

    python -m benchmarks.load EXPORT_OR_BASE_PATH > load.json

Every stream sends a chunk when it is due, that is when its last sample has been spoken, as long as
the one before is answered; it is timed from when it was due. A stream that the server cannot follow
therefore shows latencies that grow from chunk to chunk; it has fallen behind where its last chunk
took longer than a chunk lasts. Streams begin at random times. The embedded server is one process,
all clients are another, with a connection for each stream.

The overhead of a request is that of one client that waits for each answer: the median of its calls
less the median of calls of the same graph on the same chunks in the client's process, the two in
turn. All times are by the clock: other work on the machine adds to them.
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
from collections.abc import Iterator

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.client import Client
from serving.commands import base_path_of
from serving.stream_session import INFO, STEP
from serving.tensors import tensor_to_proto

MODEL = "ds2"
BATCHING = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 0 }
num_batch_threads { value: 1 }
max_enqueued_batches { value: 100 }
"""
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


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
def serve(base_path: str, batching: bool) -> Iterator[tuple[subprocess.Popen, str]]:
    """The embedded server in a process of its own, and its address."""
    command = [sys.executable, "-m", "serving.server", "--port=0", "--host=127.0.0.1"]
    command += [f"--model_name={MODEL}", f"--model_base_path={base_path}"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as parameters:
        parameters.write(BATCHING)
        parameters.flush()
        if batching:
            command += ["--enable_batching", f"--batching_parameters_file={parameters.name}"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            line = process.stdout.readline()
            if not line.startswith("ready: gRPC at "):
                raise SystemExit(f"The server did not start: {line!r}; try {' '.join(command)}")
            yield process, line.split("gRPC at ")[1].split(";")[0].split(",")[0].strip()
        finally:
            process.terminate()
            process.wait()


def describe(base_path: str, chunk_seconds: float) -> Model:
    """Asks a server of the model what it is."""
    with serve(base_path, batching=False) as (_, address), Client(address, MODEL) as client:
        metadata = client.metadata()
        if STEP not in metadata.signatures:
            raise SystemExit(f"{base_path} is not a streaming model.")
        told = client.predict(INFO, {"query": np.zeros(1, np.int32)}).outputs
        return Model(
            base_path,
            metadata.version,
            metadata.signatures[STEP].inputs["state"].shape[-1],
            round(chunk_seconds * int(told["sample_rate"][0])),
        )


def cpu_seconds(process: subprocess.Popen) -> float:
    """CPU time that a process has used so far."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(model: Model, streams: int, batching: bool, seconds: float, chunk_seconds: float) -> dict:
    """Latencies of so many streams."""
    generator = random.Random(0)
    begins = [generator.uniform(0, chunk_seconds) for _ in range(streams)]
    chunks = round(seconds / chunk_seconds)
    noise = np.random.default_rng(0).normal(0, 0.1, (8, model.chunk_samples)).astype(np.float32)

    async def stream(address: str, start: float) -> list[float]:
        options = [*LIMITS, ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options) as channel:
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

    async def all_streams(address: str) -> list[list[float]]:
        # Time to connect.
        start = time.monotonic() + 1.0
        return await asyncio.gather(*(stream(address, start + begin) for begin in begins))

    with serve(model.base_path, batching) as (process, address):
        server, client, start = cpu_seconds(process), time.process_time(), time.monotonic()
        latencies = 1000 * np.array(asyncio.run(all_streams(address)))
        elapsed = time.monotonic() - start
        server, client = cpu_seconds(process) - server, time.process_time() - client
    return {
        "streams": streams,
        "batching": batching,
        "chunks": latencies.size,
        "p50_ms": round(float(np.quantile(latencies, 0.5)), 2),
        "p98_ms": round(float(np.quantile(latencies, 0.98)), 2),
        "longest_ms": round(float(latencies.max()), 2),
        "fallen_behind": int((latencies[:, -1] > 1000 * chunk_seconds).sum()),
        "server_cores": round(server / elapsed, 2),
        "client_cores": round(client / elapsed, 2),
        "load_average": os.getloadavg()[0],
    }


def overhead(model: Model, calls: int) -> dict:
    """What a request takes besides the model, with one client."""
    from serving.loader import SavedModelLoader

    path = os.path.join(model.base_path, str(model.version))
    servable = SavedModelLoader()(MODEL, model.version, path)
    signature = servable.signatures[STEP]
    fetches = [signature.outputs[name].name for name in sorted(signature.outputs)]
    next_state = sorted(signature.outputs).index("next_state")
    samples = np.random.default_rng(0).normal(0, 0.1, model.chunk_samples).astype(np.float32)
    values = {
        "samples": samples[None],
        "num_samples": np.array([model.chunk_samples], np.int32),
        "state": np.zeros((1, model.state_size), np.float32),
    }
    bare, requests, sent_state = [], [], None
    with serve(model.base_path, batching=False) as (_, address):
        with grpc.insecure_channel(address, LIMITS) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for _ in range(calls):
                start = time.perf_counter()
                feeds = [(signature.inputs[name].name, values[name]) for name in sorted(values)]
                outputs = servable.session.run(feeds, fetches)
                bare.append(time.perf_counter() - start)
                values["state"] = outputs[next_state]
                request = model.request(samples, sent_state)
                start = time.perf_counter()
                response = stub.Predict(request)
                requests.append(time.perf_counter() - start)
                sent_state = response.outputs["next_state"]
    servable.session.close()
    # The first ones are slower: caches, threads and connections.
    bare, requests = (1000 * np.array(times[calls // 10 :]) for times in (bare, requests))
    return {
        "calls": len(bare),
        "state_bytes": 4 * model.state_size,
        **{
            f"{name}_ms": {
                "request": round(float(np.quantile(requests, quantile)), 3),
                "model": round(float(np.quantile(bare, quantile)), 3),
                "overhead": round(
                    float(np.quantile(requests, quantile) - np.quantile(bare, quantile)), 3
                ),
            }
            for name, quantile in (("p10", 0.1), ("p50", 0.5))
        },
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an export of a streaming model, or the base path of some")
    parser.add_argument("--streams", type=int, nargs="*", default=[10, 20, 30])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stream")
    parser.add_argument("--chunk-seconds", type=float, default=0.1)
    parser.add_argument("--calls", type=int, default=500, help="to measure the overhead with")
    args = parser.parse_args()
    with base_path_of(os.path.abspath(args.model)) as base_path:
        model = describe(base_path, args.chunk_seconds)
        result = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "model": args.model,
            "chunk_ms": 1000 * args.chunk_seconds,
            "overhead": overhead(model, args.calls),
            "load": [
                load(model, streams, batching, args.seconds, args.chunk_seconds)
                for streams in args.streams
                for batching in (False, True)
            ],
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
