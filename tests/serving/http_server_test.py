# SPDX-License-Identifier: Apache-2.0
"""The REST port of the embedded server: taking it, and leaving it."""

import http.client
import json
import socket
import threading

import pytest

from serving.errors import ServingError


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
