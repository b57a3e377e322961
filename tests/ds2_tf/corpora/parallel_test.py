# SPDX-License-Identifier: Apache-2.0
"""Work in processes: order, errors, and no process where one is not worth it.

The work is `eval`, which every process knows: a function of this file might not be found there.
"""

import concurrent.futures.process
import os

import pytest

from ds2_tf.corpora import parallel
from ds2_tf.corpora.parallel import map_in_processes

_PROCESS = "__import__('os').getpid()"


def run(items, **arguments):
    return list(map_in_processes(eval, items, description="", progress=False, **arguments))


@pytest.fixture
def processes_for_little_work(monkeypatch):
    monkeypatch.setattr(parallel, "_ITEMS_WORTH_A_PROCESS", 1)


def test_results_come_in_order_from_other_processes(processes_for_little_work):
    results = run([f"({n} * {n}, {_PROCESS})" for n in range(40)], jobs=2)
    assert [result for result, _ in results] == [n * n for n in range(40)]
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize("jobs, count", [(1, 1000), (8, 10)])
def test_no_process_is_started_for_little_work(jobs, count):
    assert set(run([_PROCESS] * count, jobs=jobs)) == {os.getpid()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_arrive(processes_for_little_work, jobs):
    with pytest.raises(ZeroDivisionError):
        run(["1", "2", "1 / 0"], jobs=jobs)


def test_a_process_that_dies_is_an_error_and_not_waited_for(processes_for_little_work):
    with pytest.raises(concurrent.futures.process.BrokenProcessPool):
        run(["1", "__import__('os')._exit(3)", "2"], jobs=2)


def test_nothing_to_do():
    assert run([]) == []
