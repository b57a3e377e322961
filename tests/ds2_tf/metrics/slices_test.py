# SPDX-License-Identifier: Apache-2.0
"""Which slices an utterance belongs to, and results that go through files."""

import pytest

from ds2_tf.metrics.slices import duration_bucket, duration_buckets, slice_values
from ds2_tf.metrics.utterance_result import UtteranceResult, read_results


@pytest.mark.parametrize(
    "seconds, bucket",
    [
        (0.0, "under 1 s"),
        (1.0, "1 to 2 s"),
        (15.99, "8 to 16 s"),
        (16.0, "16 s and more"),
        (900.0, "16 s and more"),
    ],
)
def test_buckets_of_length(seconds, bucket):
    assert duration_bucket(seconds) == bucket
    assert bucket in duration_buckets()


def test_only_what_is_known_counts():
    fields = {"speaker": "", "accent": "scottish", "age": 41.0, "tags": ["a"], "native": True}
    names = ["speaker", "duration", "accent", "age", "tags", "native", "weather"]
    assert slice_values(fields, 2.5, names, edges=(2.5, 10)) == {
        "duration": "2.5 to 10 s",
        "accent": "scottish",
        "age": "41",
        "native": "1",
    }
    assert slice_values(fields, None, names).keys() == {"accent", "age", "native"}


def test_results_are_read_from_several_files_in_order_of_id(tmp_path):
    results = [
        UtteranceResult(f"u{n}", "a ü", {"greedy": 'a "b"'}, 1.5, {"speaker": "s"})
        for n in range(4)
    ]
    (tmp_path / "0").write_text(results[3].to_json() + "\n" + results[1].to_json() + "\n", "utf-8")
    (tmp_path / "1").write_text(results[0].to_json() + "\n" + results[2].to_json() + "\n", "utf-8")
    assert read_results([tmp_path / "0", tmp_path / "1"]) == results
