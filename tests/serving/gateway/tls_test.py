# SPDX-License-Identifier: Apache-2.0
"""The gateway with TLS on both its sides, as its arguments set it up."""

import argparse
import asyncio
import ssl

import aiohttp
import pytest

from ds2_tf.commands.server_arguments import tls_credentials
from serving.gateway import commands
from serving.gateway.flags import prepare_gateway


@pytest.fixture
def gateway(start_server, tone_base_paths, helpers, ssl_config_file, authority, tmp_path):
    config = helpers.single_model_config("ds2", tone_base_paths["ds2"])
    server, _ = start_server(config, ssl_config_file=ssl_config_file(client_verify=True))
    files = authority.write_to(tmp_path)
    parser = argparse.ArgumentParser()
    commands.add_arguments(parser)
    args = parser.parse_args(
        ["--server", server.address.replace("127.0.0.1", "localhost"), "--port", "0"]
        + ["--server-ca", files["ca"]]
        + ["--client-certificate", files["client"], "--client-key", files["client_key"]]
        + ["--tls-certificate", files["server"], "--tls-key", files["server_key"]]
    )
    gateway = prepare_gateway(args, args.model_name, credentials=tls_credentials(args))(args.server)
    gateway.start()
    yield gateway
    gateway.stop()


def test_words_over_tls(gateway, authority, tones):
    assert gateway.url.startswith("https://")
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    url = gateway.url.replace("127.0.0.1", "localhost")

    async def visit():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            async with session.get(url) as page:
                assert page.status == 200
            async with session.ws_connect(f"{url}speech") as socket:
                return await tones.say(tones.Page(socket), tones.spoken("go on"))

    assert asyncio.run(visit())[-1]["text"] == "go on"
