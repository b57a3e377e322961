# SPDX-License-Identifier: Apache-2.0
"""Plots as inline SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from ds2_tf.reports.markup import Markup, join, tag

_WIDTH, _HEIGHT = 480, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 10, 44
_BLUE, _LIGHT, _GRID, _INK = "#3f7cac", "#a9cbe3", "#e3e8ee", "#5b6875"
_ROW_HEIGHT = 24
_LABEL_CHARACTERS = 26


@dataclasses.dataclass(frozen=True)
class Bar:
    """A horizontal bar with its interval.

    Attributes:
        label: what it stands for.
        value: its length.
        low: where the interval starts.
        high: where the interval ends.
        note: written behind it.
    """

    label: str
    value: float
    low: float
    high: float
    note: str = ""


def interval_bars(bars: Sequence[Bar], write: Callable[[float], str]) -> Markup:
    """Horizontal bars, one below the other, with whiskers.

    Args:
        bars: from top to bottom.
        write: makes text of a value, for the axis.
    """
    left, right = 190, 110
    width, height = 720, _ROW_HEIGHT * len(bars) + 34
    ticks = nice_ticks(0.0, max([bar.high for bar in bars] + [bar.value for bar in bars] + [1e-9]))
    scale = (width - left - right) / ticks[-1]
    bottom = height - 26
    parts = [
        join(
            (
                _line(left + t * scale, 4, left + t * scale, bottom, _GRID),
                _text(left + t * scale, bottom + 16, write(t), "middle"),
            )
        )
        for t in ticks
    ]
    for row, bar in enumerate(bars):
        middle = 4 + _ROW_HEIGHT * (row + 0.5)
        label = bar.label
        if len(label) > _LABEL_CHARACTERS:
            label = label[: _LABEL_CHARACTERS - 1] + "…"
        low, high = left + bar.low * scale, left + bar.high * scale
        parts.append(
            tag(
                "g",
                tag("title", f"{bar.label}: {write(bar.value)}"),
                _text(left - 8, middle + 4, label, "end", "#1d2733"),
                tag(
                    "rect",
                    x=left,
                    y=_number(middle - 7),
                    width=_number(bar.value * scale),
                    height=14,
                    fill=_LIGHT,
                ),
                _line(low, middle, high, middle, "#1d2733"),
                _line(low, middle - 4, low, middle + 4, "#1d2733"),
                _line(high, middle - 4, high, middle + 4, "#1d2733"),
                _text(width - right + 8, middle + 4, bar.note, "start"),
            )
        )
    return _svg(width, height, parts)


def histogram(
    values: Sequence[float],
    *,
    x_label: str,
    y_label: str = "utterances",
    step: float | None = None,
    bins: int = 40,
) -> Markup:
    """How often values fall into intervals of equal width.

    The last interval also holds what is larger than the 99.5th percentile, so that a single value
    does not press all others together.

    Args:
        values: any number of them; infinite ones are left out.
        x_label: what they are, with the unit.
        y_label: what is counted. Defaults to utterances.
        step: what all values are multiples of, such as 1 for counts: intervals then hold the same
            number of possible values each. Defaults to none.
        bins: number of intervals, about. Defaults to 40.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return tag("p", "no values", class_="quiet")
    low, high = float(values.min()), float(np.percentile(values, 99.5))
    # Zero is where most of what is shown here starts.
    low = 0.0 if 0 <= low < 0.3 * high else low
    if step:
        width = step * max(1, math.ceil((high - low) / step / bins - 1e-9))
        low -= step / 2
        bins = max(1, math.ceil((high - low) / width - 1e-9))
        high = low + bins * width
    elif high <= low:
        high = low + max(1e-3, abs(low) * 0.1)
    counts, edges = np.histogram(np.minimum(values, high), bins, (low, high))
    x, y, axes = _axes(low, high, float(counts.max()), x_label, y_label)
    bars = [
        tag(
            "rect",
            tag("title", f"{start:.4g} to {end:.4g}: {count}"),
            x=_number(x(start)),
            y=_number(y(count)),
            width=_number(max(0.5, x(end) - x(start) - 1)),
            height=_number(y(0) - y(count)),
            fill=_BLUE,
        )
        for count, start, end in zip(counts, edges, edges[1:])
        if count
    ]
    over = int((values > high).sum())
    note = _text(_WIDTH - _RIGHT, 12, f"{over} beyond, in the last bar", "end") if over else None
    return _svg(_WIDTH, _HEIGHT, [axes, *bars, note])


def curve(xs: Sequence[float], ys: Sequence[float], *, x_label: str, y_label: str) -> Markup:
    """A line through points.

    Args:
        xs: ascending.
        ys: not negative.
        x_label: what `xs` are, with the unit.
        y_label: what `ys` are, with the unit.
    """
    if not len(xs):
        return tag("p", "no values", class_="quiet")
    high = float(xs[-1]) if xs[-1] > xs[0] else float(xs[0]) + 1.0
    x, y, axes = _axes(float(xs[0]), high, float(max(ys)), x_label, y_label)
    points = " ".join(f"{_number(x(a))},{_number(y(b))}" for a, b in zip(xs, ys))
    return _svg(
        _WIDTH,
        _HEIGHT,
        [axes, tag("polyline", points=points, fill="none", stroke=_BLUE, stroke_width=2)],
    )


def columns(labels: Sequence[str], counts: Sequence[float], *, y_label: str) -> Markup:
    """Vertical bars with names below them.

    Args:
        labels: short names, such as characters.
        counts: not negative.
        y_label: what is counted.
    """
    width = max(_WIDTH, _LEFT + _RIGHT + 20 * len(labels))
    ticks = nice_ticks(0.0, max([*counts, 1e-9]))
    inner = _HEIGHT - _TOP - _BOTTOM + 16
    parts: list = [
        join(
            (
                _line(_LEFT, _TOP + inner * (1 - t / ticks[-1]), width - _RIGHT, None, _GRID),
                _text(_LEFT - 6, _TOP + inner * (1 - t / ticks[-1]) + 4, _short(t), "end"),
            )
        )
        for t in ticks
    ]
    step = (width - _LEFT - _RIGHT) / max(len(labels), 1)
    for index, (label, count) in enumerate(zip(labels, counts)):
        height = inner * count / ticks[-1]
        left = _LEFT + step * index
        parts.append(
            tag(
                "rect",
                tag("title", f"{label}: {count:,}"),
                x=_number(left + 0.1 * step),
                y=_number(_TOP + inner - height),
                width=_number(0.8 * step),
                height=_number(height),
                fill=_BLUE,
            )
        )
        parts.append(_text(left + step / 2, _TOP + inner + 16, label, "middle", "#1d2733"))
    parts.append(_vertical_text(14, _TOP + inner / 2, y_label))
    return _svg(width, _HEIGHT, parts)


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, evenly spaced, the first not above `low` and the last not below `high`."""
    span = max(high - low, 1e-12)
    raw = span / (most - 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


def _axes(low: float, high: float, top: float, x_label: str, y_label: str):
    """Maps of both axes to the drawing, and the axes themselves."""
    y_ticks = nice_ticks(0.0, max(top, 1e-9))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + (right - _LEFT) * (value - low) / (high - low)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * value / y_ticks[-1]

    parts = []
    for tick in y_ticks:
        parts.append(_line(_LEFT, y(tick), right, y(tick), _GRID))
        parts.append(_text(_LEFT - 6, y(tick) + 4, _short(tick), "end"))
    for tick in nice_ticks(low, high):
        if low - 1e-9 <= tick <= high + 1e-9:
            parts.append(_line(x(tick), bottom, x(tick), bottom + 4, _INK))
            parts.append(_text(x(tick), bottom + 17, _short(tick), "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_label, "middle"))
    parts.append(_vertical_text(12, (_TOP + bottom) / 2, y_label))
    return x, y, join(parts)


def _svg(width: float, height: float, parts: Sequence) -> Markup:
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=_number(width),
        height=_number(height),
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
    )


def _line(x1: float, y1: float, x2: float, y2: float | None, color: str) -> Markup:
    y2 = y1 if y2 is None else y2
    return tag("line", x1=_number(x1), y1=_number(y1), x2=_number(x2), y2=_number(y2), stroke=color)


def _text(x: float, y: float, text: str, anchor: str, color: str = _INK) -> Markup:
    return tag("text", text, x=_number(x), y=_number(y), text_anchor=anchor, fill=color)


def _vertical_text(x: float, y: float, text: str) -> Markup:
    turn = f"rotate(-90 {_number(x)} {_number(y)})"
    return tag(
        "text", text, x=_number(x), y=_number(y), text_anchor="middle", fill=_INK, transform=turn
    )


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _short(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:g}"
