# SPDX-License-Identifier: Apache-2.0
"""What the REST port serves: the REST calls and, if configured, the metrics page."""

from __future__ import annotations

from serving.http_server import Handler
from serving.metrics import ServerMetrics
from serving.rest_api import Reply, RestApi
from serving.text_protos import read_text_proto

PROMETHEUS_PATH = "/monitoring/prometheus/metrics"


def read_metrics_path(monitoring_config_file: str) -> str:
    """Path of the metrics page, or "" if the file does not enable it.

    Raises:
        ServingError: INVALID_ARGUMENT if the file does not parse.
    """
    config = read_text_proto(monitoring_config_file, "MonitoringConfig").prometheus_config
    return (config.path or PROMETHEUS_PATH) if config.enable else ""


def http_handler(rest_api: RestApi, metrics: ServerMetrics, metrics_path: str) -> Handler:
    """Routes a request to the metrics page or to the REST calls."""

    def handle(method: str, path: str, body: bytes) -> Reply:
        if metrics_path and path == metrics_path:
            return Reply(200, "text/plain", metrics.page().encode())
        return rest_api.handle(method, path, body)

    return handle
