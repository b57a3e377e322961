# SPDX-License-Identifier: Apache-2.0
"""Counting rejections, and stopping when there are too many."""

import json

import pytest

from ds2_tf.corpora.rejection import BadUtterance, Rejection, RejectionReport, TooManyRejections
from ds2_tf.errors import UserError


def report(total, *reasons):
    return RejectionReport(total, [Rejection(f"u{i}", r, "why") for i, r in enumerate(reasons)])


def test_counts_come_most_frequent_first():
    counts = report(9, "not-audio", "silent-audio", "silent-audio").counts()
    assert list(counts.items()) == [("silent-audio", 2), ("not-audio", 1)]


def test_the_limit_itself_is_let_pass():
    one_of_a_hundred = report(100, "not-audio")
    one_of_a_hundred.enforce(0.01)
    with pytest.raises(TooManyRejections, match="1.00% .*the limit is 0.90%"):
        one_of_a_hundred.enforce(0.009)
    assert issubclass(TooManyRejections, UserError)


def test_nothing_usable_is_an_error_at_any_limit():
    for empty in (report(0), report(1, "not-audio")):
        with pytest.raises(TooManyRejections, match="No usable utterance"):
            empty.enforce(1.0)


def test_the_message_names_reasons_utterances_and_the_report():
    with pytest.raises(TooManyRejections) as caught:
        report(20, *["not-audio"] * 12).enforce(0.5, "report.json")
    message = str(caught.value)
    assert "20 utterances, 12 rejected (60.00%)" in message
    assert "u0: not-audio: why" in message and "u10" not in message
    assert "and 2 more" in message and "report.json" in message


def test_the_file_has_everything(tmp_path):
    report(4, "not-audio").write(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == {
        "total": 4,
        "rejected": 1,
        "share": 0.25,
        "counts": {"not-audio": 1},
        "rejections": [{"id": "u0", "reason": "not-audio", "detail": "why"}],
    }


def test_share_of_nothing_is_nothing():
    assert report(0).share == 0.0


def test_reasons_outside_the_list_are_refused():
    with pytest.raises(ValueError, match="unknown reason 'odd'"):
        BadUtterance("odd", "")
