# SPDX-License-Identifier: Apache-2.0
"""What all pages have in common: their look, sections, tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ds2_tf.reports.markup import Markup, join, tag

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 24px 20px 64px; color: #1d2733;
  background: #fff; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 10px; padding-bottom: 4px; border-bottom: 2px solid #e3e8ee; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0; max-width: 76ch; }
.quiet { color: #5b6875; }
.warning { background: #fff4d6; border-left: 4px solid #e0a100; padding: 6px 12px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.card { border: 1px solid #dbe2ea; border-radius: 8px; padding: 10px 16px; min-width: 150px; }
.card b { display: block; font-size: 26px; line-height: 1.25; font-weight: 600; }
.card span { display: block; font-size: 13px; color: #5b6875; }
table { border-collapse: collapse; margin: 8px 0 16px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #edf0f4; overflow-wrap: break-word; max-width: 36em; }
th { font-size: 13px; font-weight: 600; color: #5b6875; border-bottom: 1px solid #c9d2dc; }
td.number, th.number { text-align: right; } td.number { white-space: nowrap; }
td small { color: #5b6875; }
.side-by-side { display: flex; flex-wrap: wrap; gap: 12px 40px; align-items: flex-start; }
figure { margin: 8px 0 16px; }
figcaption { font-size: 13px; color: #5b6875; }
svg { max-width: 100%; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
summary { cursor: pointer; color: #22577a; }
.utterance { margin: 14px 0; padding: 10px 14px; border: 1px solid #dbe2ea; border-radius: 8px; }
.utterance .head { font-size: 13px; color: #5b6875; overflow-wrap: anywhere; }
.utterance .head b { color: #1d2733; }
.recognizer { font-size: 12px; color: #5b6875; margin-top: 6px; }
.aligned { display: flex; flex-wrap: wrap; gap: 3px; margin: 2px 0; }
.word { display: grid; grid-template-rows: auto auto; padding: 1px 6px; border-radius: 4px;
  min-width: 1.6em; text-align: center; background: #f4f6f8; overflow-wrap: anywhere; }
.word i { font-style: normal; color: #98a4b0; }
.substitution { background: #ffe5b4; } .substitution .heard { color: #9a5200; font-weight: 600; }
.deletion { background: #ffd3d3; }
.deletion .said { color: #a01313; text-decoration: line-through; }
.insertion { background: #cfe5ff; } .insertion .heard { color: #0b4f9e; font-weight: 600; }
.legend .word { display: inline-block; min-width: 0; margin-right: 6px; }
"""


def page(title: str, *content: object) -> str:
    """A whole file.

    Args:
        title: of the page.
        *content: markup, or text, which is escaped.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(_STYLE)),
    )
    body = tag("body", tag("h1", title), *content)
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def section(title: str, *content: object) -> Markup:
    """A heading and what belongs to it."""
    return tag("section", tag("h2", title), *content)


def card(name: str, value: str, *notes: str) -> Markup:
    """A number that is meant to be seen first."""
    below = (tag("span", note) for note in notes)
    return tag("div", tag("span", name), tag("b", value), below, class_="card")


def cards(items: Iterable[Markup]) -> Markup:
    """Cards side by side."""
    return tag("div", items, class_="cards")


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: Sequence[int] = (0,)
) -> Markup:
    """A table.

    Args:
        header: names of the columns.
        rows: cells, text or markup.
        text_columns: indices of the columns that hold text; others hold numbers and are aligned to
            the right. Defaults to the first alone.
    """

    def cells(kind: str, row: Sequence[object]) -> Markup:
        return join(
            tag(kind, cell, class_=None if index in text_columns else "number")
            for index, cell in enumerate(row)
        )

    body = (tag("tr", cells("td", row)) for row in rows)
    return tag("table", tag("thead", tag("tr", cells("th", header))), tag("tbody", body))


def figure(drawing: Markup, caption: str) -> Markup:
    """A drawing and what it shows."""
    return tag("figure", drawing, tag("figcaption", caption))


def details(summary: str, *content: object) -> Markup:
    """Content that is folded away."""
    return tag("details", tag("summary", summary), *content)


def side_by_side(*content: object) -> Markup:
    """Parts beside each other where there is room."""
    return tag("div", (tag("div", part) for part in content), class_="side-by-side")


def percent(share: float) -> str:
    """A share as text, such as "12.3%"."""
    return f"{share:.2%}" if abs(share) < 0.1 else f"{share:.1%}"
