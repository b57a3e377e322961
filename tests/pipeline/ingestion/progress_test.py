# SPDX-License-Identifier: Apache-2.0
"""Progress shown from what workers note in a directory."""

import io

from pipeline.ingestion.progress import ProgressDisplay, ProgressWriter


def test_the_final_line_adds_up_all_workers(tmp_path):
    stream = io.StringIO()
    directory = str(tmp_path / "progress")
    with ProgressDisplay(directory, total=10, stream=stream):
        first, second = ProgressWriter(directory), ProgressWriter(directory)
        for _ in range(3):
            first.add(1200.0)
        second.add(3600.0)
        second.add_reused(6)
        first.flush()
    assert stream.getvalue().startswith("ingest: 10/10 utterances, 2.00 h of audio, 6 reused")
    assert not (tmp_path / "progress").exists()


def test_a_worker_goes_on_when_nobody_looks(tmp_path):
    writer = ProgressWriter(str(tmp_path / "gone"))
    writer.add(1.0)
    writer.flush()
