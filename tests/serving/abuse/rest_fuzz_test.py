# SPDX-License-Identifier: Apache-2.0
"""REST requests that are damaged in their JSON or in their HTTP: a status of 4xx, and no crash."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import random
import socket

import pytest

pytestmark = pytest.mark.slow

SEED = 19920417
DAMAGED, BUILT = 1500, 1500
PATH = "/v1/models/tiny:predict"

GOOD = [
    ({"instances": [{"features": [1, 2, 3.5], "lengths": 4}]},
     {"predictions": [{"logits": [19.5, 19.5], "num_frames": 5}]}),
    ({"inputs": {"features": [[0, 0, -1], [1e3, 0, 0]], "lengths": [0, 1]}},
     {"outputs": {"logits": [[-3.0, -3.0], [3e3, 3e3]], "num_frames": [1, 2]}}),
    ({"signature_name": "join", "instances": ["a", {"b64": base64.b64encode(b"\xff").decode()}]},
     {"predictions": [{"doubled_bytes": {"b64": base64.b64encode(b"aa").decode()}, "size": 1},
                      {"doubled_bytes": {"b64": base64.b64encode(b"\xff\xff").decode()},
                       "size": 1}]}),
]  # fmt: skip


class Client:
    """Sends bodies over one connection for as long as the server keeps it."""

    def __init__(self, address: str):
        self._address = address
        self._connection = None

    def __call__(self, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address, timeout=60)
        self._connection.request("POST", PATH, body, headers or {})
        response = self._connection.getresponse()
        reply = response.read()
        if response.will_close:
            self.close()
        return response.status, reply

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


@pytest.fixture(scope="module")
def post(server) -> Client:
    client = Client(server.rest_address)
    yield client
    client.close()


def ask_among_good_ones(post, bodies) -> set[int]:
    """Sends all, with a good request after each fourth; returns the statuses."""
    statuses = set()
    for index, body in enumerate(bodies):
        status, reply = post(body)
        statuses.add(status)
        assert status in (200, 400), (status, reply[:300], body[:300])
        document = json.loads(reply)
        assert status == 200 or set(document) == {"error"}
        if not is_json_object(body):
            assert status == 400 and document["error"].startswith("JSON "), body
        if index % 4 == 3:
            good, expected = GOOD[index // 4 % len(GOOD)]
            status, reply = post(json.dumps(good).encode())
            assert (status, json.loads(reply)) == (200, expected)
    return statuses


def is_json_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def test_damaged_documents(post):
    generator = random.Random(SEED)
    bodies = []
    for _ in range(DAMAGED):
        body = bytearray(json.dumps(generator.choice(GOOD)[0]).encode())
        for _ in range(generator.choice((1, 1, 2, 5))):
            at = generator.randrange(len(body) + 1)
            kind = generator.randrange(5)
            if kind == 0:
                body[at:at] = generator.choice(
                    (
                        b"[",
                        b"]",
                        b"{",
                        b"}",
                        b'"',
                        b",",
                        b"null",
                        b"1e999",
                        b"-",
                        b"\xff",
                        b"\\ud800",
                    )
                )
            elif kind == 1:
                del body[at : at + generator.choice((1, 3, 10))]
            elif kind == 2 and at < len(body):
                body[at] = generator.randrange(256)
            elif kind == 3:
                body[at:at] = body[generator.randrange(len(body) + 1) :]
            else:
                del body[at:]
        bodies.append(bytes(body))
    assert ask_among_good_ones(post, bodies) == {200, 400}


def random_value(generator: random.Random, depth: int = 0):
    """Any JSON value, most of them no tensor."""
    kinds = ["number", "text", "constant", "list", "object"][: 3 if depth > 4 else 5]
    kind = generator.choice(kinds)
    if kind == "number":
        return generator.choice((0, 1, -1, 2.5, 1e300, -(2**63), 2**64, 10**40, 2**24, 1e-320))
    if kind == "text":
        return generator.choice(("", "a", "\ud800", "é\0", "b64", "x" * 5000))
    if kind == "constant":
        return generator.choice((None, True, False, float("nan"), float("-inf")))
    size = generator.choice((0, 1, 2, 3))
    values = [random_value(generator, depth + 1) for _ in range(size)]
    if kind == "list":
        return values
    keys = ("features", "lengths", "words", "b64", "zoo", "\ud800")
    return {generator.choice(keys): value for value in values}


def test_documents_of_any_content(post):
    generator = random.Random(SEED + 1)
    bodies = []
    for _ in range(BUILT):
        document = json.loads(json.dumps(generator.choice(GOOD)[0]))
        for _ in range(generator.choice((1, 2))):
            key = generator.choice(("instances", "inputs", "signature_name", "other", "features"))
            value = random_value(generator)
            if key == "features" and "inputs" in document and isinstance(document["inputs"], dict):
                document["inputs"][key] = value
            elif key == "features" and isinstance(document.get("instances"), list):
                document["instances"].append(value)
            else:
                document[key] = value
        bodies.append(json.dumps(document).encode())
    assert ask_among_good_ones(post, bodies) == {200, 400}


@pytest.mark.parametrize("depth", [31, 32, 33, 60, 900, 990, 5000, 1_000_000])
def test_deep_nesting(post, depth):
    body = b'{"signature_name": "join", "inputs": ' + b"[" * depth + b'"a"' + b"]" * depth + b"}"
    status, reply = post(body)
    assert (status, "error" in json.loads(reply)) in {(200, False), (400, True)}
    assert status == 400 or depth < 32
    status, reply = post(b'{"inputs": ' + b'{"features": ' * depth + b"1" + b"}" * depth + b"}")
    assert status == 400 and "error" in json.loads(reply)


def test_numbers_of_thousands_of_digits(post):
    for number in (b"1" * 5000, b"-" + b"9" * 5000 + b"e5", b"0." + b"1" * 100_000):
        status, _ = post(b'{"inputs": {"features": [[1, 2, ' + number + b']], "lengths": [1]}}')
        assert status in (200, 400)


def test_errors_do_not_echo_whole_documents(post):
    status, reply = post(json.dumps({"instances": 1, "rest": ["x" * 1000] * 5000}).encode())
    assert status == 400 and len(reply) < 5000


HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
BODY = json.dumps(GOOD[0][0]).encode()
BOMB = gzip.compress(bytes(200 * 2**20), 9)

RAW = {
    "length missing": (HEAD + b"\r\n" + BODY, {400}),
    "length too long": (HEAD + b"Content-Length: 1000\r\n\r\n" + BODY, {400}),
    "length too short": (HEAD + b"Content-Length: 10\r\n\r\n" + BODY, {400}),
    "length negative": (HEAD + b"Content-Length: -5\r\n\r\n" + BODY, {400}),
    "length no number": (HEAD + b"Content-Length: many\r\n\r\n" + BODY, {400}),
    "length in other digits": (HEAD + "Content-Length: ٥\r\n\r\n".encode() + BODY, {400}),
    "length of a petabyte": (HEAD + b"Content-Length: 1125899906842624\r\n\r\n" + BODY, {413}),
    "length of 100 digits": (HEAD + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n", {400}),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + BODY, {400}),
    "length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "unknown transfer": (HEAD + b"Transfer-Encoding: deflate\r\n\r\n" + BODY, {400}),
    "chunk negative": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", {400}),
    "chunk of hex prefix": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", {400}),
    "chunk too short": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk of an exabyte": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\nhello\r\n", {400, 413}),
    "chunk line without end": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 100_000, {400}),
    "chunks without end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", {400}),
    "gzip that is none": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", {400}),
    "gzip cut short": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(BODY)[:20],
        {400}),
    "gzip bomb": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, {413}),
    "other compression": (HEAD + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", {415}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}),
    "HTTP/9": (b"GET / HTTP/9.9\r\n\r\n", {505}),
    "long path": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", {414}),
    "long header": (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", {431}),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n", {431}),
    "unknown method": (b"BREW /v1/models/tiny HTTP/1.1\r\n\r\n", {501}),
    "bracket in path": (b"GET //[v1/models HTTP/1.1\r\nConnection: close\r\n\r\n", {404}),
    "odd bytes in path": (
        b"GET /v1/models/%ff\xff%00 HTTP/1.1\r\nConnection: close\r\n\r\n", {404}),
    "version of 5000 digits": (
        b"GET /v1/models/tiny/versions/" + b"9" * 5000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n",
        {400}),
    "label of odd bytes": (
        b"GET /v1/models/tiny/labels/%f0%9f HTTP/1.1\r\nConnection: close\r\n\r\n", {400}),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_raw_http(server, post, name):
    data, statuses = RAW[name]
    assert raw_status(server, data) in statuses
    good, expected = GOOD[0]
    assert post(json.dumps(good).encode())[0] == 200


def raw_status(server, data: bytes) -> int:
    """Status of the reply to raw bytes, after which nothing more is sent."""
    with server.rest_socket() as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all was read; the reply may still be there
        reply = b""
        try:
            while b"\r\n" not in reply:
                piece = connection.recv(4096)
                if not piece:
                    break
                reply += piece
        except ConnectionError:
            pass
    return int(reply.split(b" ")[1]) if reply else 0


def test_large_bodies_are_refused_before_they_are_read(server):
    with server.rest_socket() as connection:
        connection.sendall(HEAD + b"Content-Length: 5000000000\r\n\r\n")
        assert connection.recv(4096).split(b" ")[1] == b"413"


def test_a_large_good_body(post):
    rows = [[0.5] * 1000] * 60
    status, reply = post(json.dumps({"signature_name": "sums", "inputs": rows}).encode())
    assert status == 200
    assert json.loads(reply)["outputs"]["sum"] == [500.0] * 60
