# SPDX-License-Identifier: Apache-2.0
"""Work in processes: order, errors, and no process where one is not worth it."""

import os

import pytest

from ds2_tf.corpora import parallel
from ds2_tf.corpora.parallel import map_in_processes


def square(number):
    return number * number, os.getpid()


def fail_at_three(number):
    if number == 3:
        raise ValueError("three")
    return number


def run(function, items, **arguments):
    return list(map_in_processes(function, items, description="", progress=False, **arguments))


def test_results_come_in_order_from_other_processes(monkeypatch):
    monkeypatch.setattr(parallel, "_ITEMS_WORTH_A_PROCESS", 1)
    results = run(square, list(range(40)), jobs=2)
    assert [result for result, _ in results] == [n * n for n in range(40)]
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize("jobs, count", [(1, 1000), (8, 10)])
def test_no_process_is_started_for_little_work(jobs, count):
    assert {process for _, process in run(square, list(range(count)), jobs=jobs)} == {os.getpid()}


def test_errors_arrive():
    with pytest.raises(ValueError, match="three"):
        run(fail_at_three, [1, 2, 3])


def test_nothing_to_do():
    assert run(square, []) == []
