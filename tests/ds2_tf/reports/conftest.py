# SPDX-License-Identifier: Apache-2.0
"""What holds for every page: it is well formed, and needs nothing but itself."""

from __future__ import annotations

import html.parser
import re
import xml.etree.ElementTree
from collections.abc import Callable

import pytest

_ALONE = {"meta", "br"}


class _Balanced(html.parser.HTMLParser):
    """Collects the text of a page, and checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert all(not name.startswith("on") for name, _ in attrs)
        if tag not in _ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="session")
def check_page() -> Callable[[str], str]:
    """A function that checks a page and returns its text, without markup."""
    return _check_page


def _check_page(page: str) -> str:
    parser = _Balanced()
    parser.feed(page)
    parser.close()
    assert not parser.open
    assert not parser.tags & {"script", "link", "img", "iframe"}
    # The name of SVG's namespace is no address to load from.
    outside = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"(src|href)\s*=|url\(|@import", outside)
    for drawing in re.findall("<svg.*?</svg>", page, re.DOTALL):
        xml.etree.ElementTree.fromstring(drawing)
        assert "nan" not in drawing and "inf" not in drawing
    return "".join(parser.text)
