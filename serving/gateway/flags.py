# SPDX-License-Identifier: Apache-2.0
"""Arguments of the page's gateway; importing this module is cheap."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from serving.flags import port

if TYPE_CHECKING:
    from serving.gateway.gateway import Gateway

# What was not given stays out of the parsed arguments, for `given_flags` to tell.
_DEFAULTS = {
    "web_host": "127.0.0.1",
    "web_port": 8080,
    "web_decoder": None,
    "web_alphabet": None,
    "web_max_sessions": 32,
    "web_max_seconds": 600.0,
    "web_idle_seconds": 30.0,
    "web_allow_origin": (),
    "web_tls_certificate": None,
    "web_tls_key": None,
}


def add_gateway_arguments(parser: argparse.ArgumentParser, *, prefix: str = "") -> None:
    """Adds the arguments of the page.

    Args:
        parser: gets them.
        prefix: "web" for `ds2 serve`, whose flags are written like TensorFlow Serving's and where
            `--port` is that of gRPC: `--web_port`. Without it, `--port`.
    """

    def add(name: str, **keywords) -> None:
        flag = f"{prefix}_{name}" if prefix else name.replace("_", "-")
        group.add_argument(f"--{flag}", dest=f"web_{name}", default=argparse.SUPPRESS, **keywords)

    group = parser.add_argument_group("page")
    add("host", metavar="ADDRESS", help="to listen on (default: 127.0.0.1)")
    add(
        "port",
        type=port,
        metavar="PORT",
        help="of the page; 0 picks a free one (default: 8080)",
    )
    add("decoder", metavar="FILE", help="a decoder package (default: greedy decoding)")
    add(
        "alphabet",
        metavar="FILE",
        help="the characters of a model that hears no streams, one a line (default: what the model "
        "tells; an export that tells nothing has the decoder's, or else English)",
    )
    add("max_sessions", type=int, metavar="N", help="utterances at once (default: 32)")
    add(
        "max_seconds",
        type=float,
        metavar="SECONDS",
        help="longest utterance (default: 600)",
    )
    add(
        "idle_seconds",
        type=float,
        metavar="SECONDS",
        help="end an utterance after so long without audio (default: 30)",
    )
    add(
        "allow_origin",
        action="append",
        metavar="ORIGIN",
        help="let pages from this address talk to the gateway, such as https://speech.example.org "
        "where a proxy has another name; may be repeated (default: its own page alone)",
    )
    add(
        "tls_certificate",
        metavar="FILE",
        help="serve HTTPS with this certificate chain (PEM): browsers give the microphone to other "
        "machines' pages over HTTPS alone",
    )
    add("tls_key", metavar="FILE", help="the certificate's private key (PEM)")


def given_flags(args: argparse.Namespace) -> list[str]:
    """The flags of the page that a command line of `prefix="web"` has, without their values."""
    return [f"--{name}" for name in _DEFAULTS if hasattr(args, name)]


def prepare_gateway(
    given: argparse.Namespace, model_name: str, **keywords
) -> Callable[[str], Gateway]:
    """Reads all that the arguments name, so that what is wrong with it is said at once.

    Args:
        given: of `add_gateway_arguments`.
        model_name: name on the server.
        **keywords: of `SpeechServer`.

    Returns:
        Makes the gateway for the address of a server, `host:port` of gRPC.

    Raises:
        UserError: a file cannot be read, a limit makes no sense, or the page cannot have its port.
    """
    from ds2_tf.decoding.package import load_package
    from ds2_tf.errors import UserError
    from serving.errors import ServingError
    from serving.gateway.gateway import Gateway
    from serving.gateway.hearing import SpeechServer
    from serving.gateway.limits import Limits
    from serving.listening import check_address

    args = argparse.Namespace(**{**_DEFAULTS, **vars(given)})
    limits = Limits(
        max_sessions=args.web_max_sessions,
        max_seconds=args.web_max_seconds,
        idle_seconds=args.web_idle_seconds,
    )
    decoder = load_package(args.web_decoder).search() if args.web_decoder else None
    alphabet = _alphabet(args)
    ssl_context = _ssl_context(args)
    try:
        check_address(args.web_host, args.web_port, purpose="for the page")
    except ServingError as error:
        raise UserError(error.message) from error

    def make(address: str) -> Gateway:
        return Gateway(
            SpeechServer(address, model_name, decoder=decoder, alphabet=alphabet, **keywords),
            host=args.web_host,
            port=args.web_port,
            limits=limits,
            allowed_origins=args.web_allow_origin,
            ssl_context=ssl_context,
        )

    return make


def check_installed() -> None:
    """Says what is missing, before anything is loaded.

    Raises:
        UserError: aiohttp is not installed.
    """
    import importlib.util

    from ds2_tf.errors import UserError

    if importlib.util.find_spec("aiohttp") is None:
        raise UserError('The page needs aiohttp: pip install "ds2-tf[web]".')


def _alphabet(args: argparse.Namespace):
    from ds2_tf.errors import UserError
    from ds2_tf.text.alphabet import Alphabet

    if not args.web_alphabet:
        return None
    try:
        return Alphabet.load(args.web_alphabet)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The alphabet {args.web_alphabet} cannot be read: {error}.") from error


def _ssl_context(args: argparse.Namespace):
    import ssl

    from ds2_tf.errors import UserError

    if not args.web_tls_certificate:
        if args.web_tls_key:
            raise UserError("A TLS key needs its certificate.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(args.web_tls_certificate, args.web_tls_key)
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"The certificate {args.web_tls_certificate} and its key cannot be used: {error}."
        ) from error
    return context
