# SPDX-License-Identifier: Apache-2.0
"""The REST port of the embedded server: taking it, and leaving it."""

import http.client
import json
import socket
import threading

import pytest

from serving.errors import ServingError
from serving.http_server import HttpServer
from serving.rest_api import Reply


def test_port_in_use_is_said(base_path, start_server, helpers):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ServingError, match=f"Cannot listen on 127.0.0.1:{port} for REST"):
            start_server(base_path(1), rest_api_port=port)


def test_stop_waits_for_a_request(base_path, helpers):
    server = helpers.make_server(base_path(1), rest_api_port=helpers.free_port())
    server.start()
    replies = []
    document = {"signature_name": "spin", "inputs": 20_000}

    def ask():
        connection = http.client.HTTPConnection(server.rest_address, timeout=60)
        connection.request("POST", "/v1/models/tiny:predict", json.dumps(document))
        replies.append(json.loads(connection.getresponse().read()))
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    while server._http_server._slots._value == server._http_server._num_threads:
        threading.Event().wait(0.001)
    assert server.stop(grace=20)
    asking.join()
    assert replies == [{"outputs": 1.0}]


@pytest.mark.parametrize("host", ["[::1]", "::1"])
def test_listens_on_ipv6(host):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = HttpServer(
        host, 0, lambda method, path, body: Reply(200, "text/plain", b"yes"), num_threads=1
    )
    server.start()
    try:
        connection = http.client.HTTPConnection("::1", server.port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"yes"
        connection.close()
    finally:
        server.stop(grace=5)
