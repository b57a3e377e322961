# SPDX-License-Identifier: Apache-2.0
"""Escaping, and plots whose content is read back."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2_tf.reports.charts import Bar, columns, curve, histogram, interval_bars, nice_ticks
from ds2_tf.reports.markup import tag
from ds2_tf.reports.page import page, percent, table


@settings(deadline=None, max_examples=30)
@given(text=st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f")))
def test_any_text_comes_out_as_it_went_in(check_page, text):
    assert check_page(f"<body>{tag('p', text)}</body>") == text
    assert check_page(tag("p", class_=text)) == ""


def test_what_html_cannot_hold_is_replaced():
    assert tag("p", "a\x00b\ud800c\x1b[1m") == "<p>a�b�c�[1m</p>"


def test_elements():
    written = tag("td", "a < b", [tag("br"), 3], None, class_="number", text_anchor="end")
    assert written == '<td class="number" text-anchor="end">a &lt; b<br>3</td>'


def test_a_page_with_a_table(check_page):
    text = check_page(page("<title>", table(("a", "b"), [("<script>", 1), (tag("b", "&"), 2)])))
    assert "<title>" in text and "<script>" in text


@pytest.mark.parametrize("share, text", [(0.0, "0.00%"), (0.01234, "1.23%"), (0.5, "50.0%")])
def test_percentages(share, text):
    assert percent(share) == text


@settings(deadline=None, max_examples=50)
@given(low=st.floats(-1e3, 1e3), span=st.floats(1e-3, 1e5))
def test_ticks_surround_the_values(low, span):
    ticks = nice_ticks(low, low + span)
    assert ticks[0] <= low + 1e-6 * span and ticks[-1] >= low + span * (1 - 1e-6)
    assert 2 <= len(ticks) <= 9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def _counts(drawing: str) -> list[int]:
    return [int(n) for n in re.findall(r"<title>\S+ to \S+: (\d+)</title>", drawing)]


def test_a_histogram_counts_every_value(check_page):
    values = np.r_[np.random.default_rng(0).normal(5, 1, 1000), 1000.0, np.inf]
    drawing = histogram(values, x_label="<s>")
    check_page(drawing)
    assert sum(_counts(drawing)) == 1001
    assert "5 beyond" in drawing and "&lt;s&gt;" in drawing


def test_a_histogram_of_whole_numbers_has_no_gaps():
    drawing = histogram(list(range(1, 101)), x_label="words", step=1, bins=25)
    assert set(_counts(drawing)[1:-1]) == {4}
    assert sum(_counts(drawing)) == 100


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [-2.0, -2.0]])
@pytest.mark.parametrize("step", [None, 1])
def test_histograms_of_next_to_nothing(check_page, values, step):
    drawing = histogram(values, x_label="x", step=step)
    check_page(drawing)
    assert sum(_counts(drawing)) == len(values)


def test_other_plots(check_page):
    for drawing in (
        interval_bars([Bar("<a>" * 20, 0.2, 0.1, 0.5, "n"), Bar("b", 0, 0, 0)], percent),
        interval_bars([Bar("b", 0.0, 0.0, 0.0)], percent),
        columns(["<", "b"], [3, 0], y_label="times"),
        columns([], [], y_label="times"),
        curve([0, 50, 100], [0, 80, 100], x_label="x", y_label="y"),
        curve([1], [0], x_label="x", y_label="y"),
    ):
        check_page(drawing)
