# SPDX-License-Identifier: Apache-2.0
"""Pages of other sites are kept out, and names that lead to this machine by a trick."""

import pytest

from serving.gateway.origins import is_allowed


@pytest.mark.parametrize(
    "origin, host, expected",
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        (None, "localhost:8080", True),  # no browser
        ("http://evil.example", "localhost:8080", False),
        ("http://localhost:3000", "localhost:8080", False),
        ("http://localhost:8080.evil.example", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("http://evil.example:8080", "evil.example:8080", False),  # a name that was rebound
        (None, "evil.example:8080", False),
        (None, None, False),
    ],
)
def test_of_this_machine_alone(origin, host, expected):
    assert is_allowed(origin, host, listening_on="127.0.0.1") is expected


@pytest.mark.parametrize(
    "origin, host, expected",
    [
        ("http://speech.example:8080", "speech.example:8080", True),
        ("http://Speech.example:8080", "speech.example:8080", True),
        (None, "speech.example:8080", True),
        ("http://evil.example", "speech.example:8080", False),
        ("http://localhost", "speech.example:8080", False),
        ("http://speech.example:8080", None, False),
    ],
)
def test_of_all_machines(origin, host, expected):
    assert is_allowed(origin, host, listening_on="0.0.0.0") is expected


def test_behind_a_proxy():
    allowed = {"https://speech.example.org"}
    for listening_on in ("127.0.0.1", "0.0.0.0"):
        options = {"listening_on": listening_on, "allowed": allowed}
        assert is_allowed("https://speech.example.org", "localhost:8080", **options)
        assert not is_allowed("https://evil.example", "localhost:8080", **options)
