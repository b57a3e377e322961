# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG from nested calls, where text cannot be taken for markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_WITHOUT_END = ("meta", "br")
_UNPRINTABLE = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f\\ud800-\\udfff]")


class Markup(str):
    """Text that is markup already; all other text is escaped when it is put into an element."""


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: of the element.
        *children: its content, in order: markup, text, numbers, or iterables of such; None is
            nothing.
        **attributes: `class_` stands for class, and underscores for hyphens; None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _WITHOUT_END:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after another; see `tag`."""
    return Markup("".join(_render(child) for child in children))


def _render(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(_printable(child))
    if isinstance(child, Iterable):
        return join(child)
    return html.escape(str(child))


def _printable(text: str) -> str:
    """The text without what no HTML file may hold: control characters and lone surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text)
