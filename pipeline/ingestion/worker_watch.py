# SPDX-License-Identifier: Apache-2.0
"""Ending a run when a worker process of Beam's own runner is gone.

Where FnApiRunner works in several processes and one is killed, as the kernel does when memory runs
out, Beam waits for its answer for ever.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading

from apache_beam.portability import python_urns
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import worker_handlers

from ds2_tf.errors import UserError

# Beam may notice a broken connection before the end of the process is known.
_PATIENCE_SECONDS = 3.0
_LOST: queue.SimpleQueue[LostWorker] = queue.SimpleQueue()


class LostWorker(UserError):
    """A worker process ended before its work."""


@contextlib.contextmanager
def watched_workers():
    """Makes a Beam pipeline that is run within fail with `LostWorker` instead of waiting."""
    watch_workers()
    while not _LOST.empty():
        _LOST.get()
    try:
        yield
    except Exception as error:
        try:
            lost = _LOST.get(timeout=_PATIENCE_SECONDS)
        except queue.Empty:
            raise error from None
        raise lost from error


@functools.cache
def watch_workers() -> None:
    """Makes all later Beam pipelines of this process end when a worker is lost."""
    register = worker_handlers.WorkerHandler.register_environment
    register(python_urns.SUBPROCESS_SDK, bytes)(_WatchedWorkerHandler)


class _WatchedWorkerHandler(worker_handlers.SubprocessSdkWorkerHandler):
    def start_worker(self) -> None:
        self.worker = local_job_service.SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = threading.Thread(target=self._run, name="run_worker")
        self.worker_thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except RuntimeError as error:
            lost = LostWorker(
                f"A worker process was lost ({error}), perhaps because memory ran out. What was "
                "finished is kept: run again, with fewer workers if it was the memory."
            )
            _LOST.put(lost)
            connection = self.control_conn
            connection.push = functools.partial(_refuse, lost, connection.push)
            connection.abort(lost)


def _refuse(lost: LostWorker, push, request):
    """Takes requests to a worker that is gone: the last one, that it may stop, is as well."""
    if request is worker_handlers.BeamFnControlServicer._DONE_MARKER:
        return push(request)
    raise lost
