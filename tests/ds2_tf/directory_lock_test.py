# SPDX-License-Identifier: Apache-2.0
"""Directories in which one process works at a time."""

import subprocess
import sys

import pytest

from ds2_tf.directory_lock import DirectoryInUse, directory_lock

_PROGRAM = """
import sys, time
from ds2_tf.directory_lock import directory_lock
with directory_lock(sys.argv[1], "training"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        message = f"Another training works in {tmp_path}: process {process.pid} "
        with pytest.raises(DirectoryInUse, match=message):
            with directory_lock(tmp_path, "training"):
                pass
        process.kill()
    with directory_lock(tmp_path, "training"):
        pass
