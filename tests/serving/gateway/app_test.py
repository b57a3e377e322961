# SPDX-License-Identifier: Apache-2.0
"""What the gateway answers over HTTP."""

import asyncio
import io
import json
import urllib.error
import urllib.request

import aiohttp
import numpy as np
import pytest
import soundfile

from ds2_tf.text.alphabet import Alphabet
from serving.errors import ServingError
from serving.gateway.gateway import Gateway
from serving.gateway.hearing import SpeechServer
from serving.gateway.limits import Limits


def fetch(gateway, path, data=None, **headers):
    """Status, headers and body."""
    request = urllib.request.Request(gateway.url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def error_of(answer):
    status, _, body = answer
    return status, json.loads(body)["error"]


def test_the_page_and_its_parts(start_gateway):
    gateway = start_gateway()
    status, headers, page = fetch(gateway, "")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    # Nothing of the page comes from elsewhere.
    assert b"http://" not in page and b"https://" not in page
    for name, kind in {
        "app.js": "javascript",
        "capture.js": "javascript",
        "style.css": "css",
    }.items():
        status, headers, _ = fetch(gateway, f"static/{name}")
        assert status == 200 and kind in headers["Content-Type"]
    assert fetch(gateway, "static/../app.py")[0] == 404
    assert fetch(gateway, "nothing")[0] == 404


@pytest.mark.parametrize("model, streaming", [("ds2", True), ("whole", False)])
def test_the_model_is_described(start_gateway, model, streaming):
    status, _, body = fetch(start_gateway(model), "model")
    described = json.loads(body)
    assert status == 200
    assert (described["name"], described["version"]) == (model, 3)
    assert described["streaming"] is streaming and described["decoder"] is False
    assert described["limits"]["max_seconds"] == 600


def test_what_is_wrong_with_the_model_is_said(start_gateway, helpers):
    away = start_gateway(address=f"127.0.0.1:{helpers.free_port()}")
    status, error = error_of(fetch(away, "model"))
    assert status == 503 and error["code"] == "server-away"
    status, error = error_of(fetch(start_gateway("whole", alphabet=Alphabet("abc")), "model"))
    assert status == 503 and error["code"] == "refused"
    assert "29 labels" in error["message"] and "4 labels" in error["message"]
    status, error = error_of(fetch(start_gateway("no-recogniser"), "model"))
    assert status == 503 and error["code"] == "refused"
    assert "no signature serving_default with an output log_probs" in error["message"]


def test_files_become_samples(start_gateway):
    gateway = start_gateway()
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone], 1), 8000, format="FLAC")
    status, _, body = fetch(gateway, "samples", file.getvalue())
    samples = np.frombuffer(body, "<i2") / 32768
    assert status == 200 and len(samples) == 16000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(samples[500:-500], expected[500:-500], atol=2e-3)


def test_files_that_cannot_be_taken(start_gateway):
    gateway = start_gateway(limits=Limits(max_seconds=1.0, max_upload_bytes=100_000))
    status, error = error_of(fetch(gateway, "samples", b"no recording"))
    assert (status, error["code"]) == (415, "not-audio")
    status, error = error_of(fetch(gateway, "samples", bytes(100_001)))
    assert (status, error["code"]) == (413, "too-large")
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16000), 8000, format="WAV")
    status, error = error_of(fetch(gateway, "samples", file.getvalue()))
    assert (status, error["code"]) == (413, "too-long") and "2 s" in error["message"]


def test_pages_of_other_sites_are_refused(start_gateway, tones):
    gateway = start_gateway()
    for path in ("", "model", "samples", "speech"):
        status, error = error_of(fetch(gateway, path, Origin="http://evil.example"))
        assert (status, error["code"]) == (403, "origin")

    async def talk(page):
        return await page.next()

    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        asyncio.run(tones.on_page(gateway, talk, origin="http://evil.example"))
    begin = asyncio.run(tones.on_page(gateway, talk, origin=gateway.url.rstrip("/")))
    assert begin["type"] == "begin"


def test_a_port_in_use(start_gateway, tone_server):
    port = int(start_gateway().address.rpartition(":")[2])
    other = Gateway(SpeechServer(tone_server.address), port=port)
    with pytest.raises(ServingError, match="for the page. Is another server using it"):
        other.start()
    assert other.stop()


def test_stopping_twice_and_before_the_start(tone_server):
    gateway = Gateway(SpeechServer(tone_server.address), port=0)
    assert gateway.stop() and gateway.stop()
