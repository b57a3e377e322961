# SPDX-License-Identifier: Apache-2.0
"""Downloads from a server here, which breaks off as servers do."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from ds2_tf.corpora.download import download
from ds2_tf.errors import UserError

CONTENT = np.random.default_rng(1).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        begin = 0
        requested = self.headers.get("Range")
        server.ranges.append(requested)
        if requested and server.knows_ranges:
            begin = int(requested.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        end = server.break_off_at.pop(0) if server.break_off_at else len(CONTENT)
        self.wfile.write(CONTENT[begin:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ranges, server.break_off_at, server.knows_ranges = [], [], True
    server.url = f"http://127.0.0.1:{server.server_port}/corpus.tar.gz"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server, path, **checksums):
    return download(server.url, path, progress=False, **checksums)


def test_whole(server, tmp_path):
    path = fetch(server, tmp_path / "new" / "file", md5=MD5)
    assert path.read_bytes() == CONTENT and len(list(path.parent.iterdir())) == 1
    fetch(server, path)
    assert server.ranges == [None]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_goes_on_where_it_was_broken_off(server, tmp_path, knows_ranges):
    server.knows_ranges = knows_ranges
    server.break_off_at = [2_000_000]
    with pytest.raises(UserError, match=r"Run the same command again to go on from .*\.part"):
        fetch(server, tmp_path / "file", md5=MD5)
    assert not (tmp_path / "file").exists()
    assert fetch(server, tmp_path / "file", md5=MD5).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-"]


def test_stopped_before_the_check(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path / "file", md5=MD5).read_bytes() == CONTENT


def test_wrong_checksum(server, tmp_path):
    with pytest.raises(UserError, match=f"sha256 is [0-9a-f]+ and not {'0' * 64}"):
        fetch(server, tmp_path / "file", sha256="0" * 64)
    assert not list(tmp_path.iterdir())


def test_no_server(server, tmp_path):
    with pytest.raises(UserError, match="could not be downloaded"):
        download("http://127.0.0.1:1/file", tmp_path / "file", progress=False)
