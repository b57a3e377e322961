# SPDX-License-Identifier: Apache-2.0
"""What the embedded server's gRPC transport costs, beside that of `grpc.server`.

    python -m benchmarks.transport > transport.json        # half a minute

Two servers in processes of their own, whose only method gives back what it gets: one is
`serving.unary_server.UnaryServer`, the other `grpc.server` with as many threads. One client waits
for each answer, and takes turns of 100 calls between the two; ratios are of the medians, and of
CPU times and context switches in the server's process. Messages are small, or as large as a step
of `models/an4-streaming`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from multiprocessing.connection import Connection

import grpc
import numpy as np

from serving.unary_server import UnaryServer

_METHOD = "/benchmark.Echo/Echo"
_NUM_THREADS = 8
_CALLS_OF_A_TURN = 100
_KINDS = ("unary_server", "grpc_server")


class _Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request, bytes, bytes)


def _serve(kind: str, pipe: Connection) -> None:
    if kind == "unary_server":
        server = UnaryServer(_NUM_THREADS)
    else:
        server = grpc.server(futures.ThreadPoolExecutor(_NUM_THREADS))
    server.add_generic_rpc_handlers((_Echo(),))
    pipe.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    pipe.recv()


@contextlib.contextmanager
def _server(kind: str) -> Iterator[tuple[int, int]]:
    """Process ID and port of a server."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(kind, theirs), daemon=True)
    process.start()
    try:
        yield process.pid, ours.recv()
    finally:
        process.terminate()
        process.join()


def _usage(pid: int) -> np.ndarray:
    """CPU seconds and voluntary context switches of a process so far."""
    root = pathlib.Path("/proc", str(pid))
    user, system = (root / "stat").read_text().rpartition(")")[2].split()[11:13]
    switches = sum(
        int(line.split()[1])
        for status in root.glob("task/*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )
    return np.array([(int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), switches])


def _turn(call: Callable[[bytes], bytes], message: bytes) -> list[float]:
    taken = []
    for _ in range(_CALLS_OF_A_TURN):
        start = time.perf_counter()
        call(message)
        taken.append(time.perf_counter() - start)
    return taken


def compare(num_bytes: int, turns: int) -> dict:
    """Latency and cost of a call of so many bytes both ways."""
    message = bytes(num_bytes)
    with contextlib.ExitStack() as stack:
        calls, pids = {}, {}
        for kind in _KINDS:
            pids[kind], port = stack.enter_context(_server(kind))
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
            calls[kind] = channel.unary_unary(_METHOD)
            calls[kind](message, wait_for_ready=True)
            _turn(calls[kind], message)
        taken = {kind: [] for kind in _KINDS}
        before = {kind: _usage(pids[kind]) for kind in _KINDS}
        for _ in range(turns):
            for kind, call in calls.items():
                taken[kind] += _turn(call, message)
        used = {kind: (_usage(pids[kind]) - before[kind]) / len(taken[kind]) for kind in _KINDS}
    result = {
        kind: {
            "p50_ms": round(1000 * float(np.median(taken[kind])), 3),
            "p98_ms": round(1000 * float(np.quantile(taken[kind], 0.98)), 3),
            "server_cpu_ms": round(1000 * float(used[kind][0]), 3),
            "server_context_switches": round(float(used[kind][1]), 1),
        }
        for kind in _KINDS
    }
    ours, theirs = (result[kind] for kind in _KINDS)
    ratios = {key: round(value / theirs[key], 2) for key, value in ours.items()}
    return {"bytes": num_bytes, **result, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, nargs="+", default=[50, 67_000])
    parser.add_argument("--turns", type=int, default=50, help="of 100 calls, of each server")
    args = parser.parse_args()
    result = {
        "cores": os.cpu_count(),
        "grpcio": grpc.__version__,
        "calls": [compare(num_bytes, args.turns) for num_bytes in args.bytes],
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
