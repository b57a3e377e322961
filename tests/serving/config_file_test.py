# SPDX-License-Identifier: Apache-2.0
"""The models' configuration as a file that may change."""

import time

import pytest

from serving.config_file import read_model_config
from serving.errors import ServingError
from serving.server import Server, parse_flags


def config_text(path: str, name: str = "tiny", version: int = 1) -> str:
    return f"""
        model_config_list {{
          config {{
            name: "{name}" base_path: "{path}" model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: {version} }} }}
          }}
        }}
    """


def test_reading(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(config_text("/a"))
    assert read_model_config(str(path)).model_config_list.config[0].base_path == "/a"
    path.write_text("model_config_list { confg {} }")
    with pytest.raises(ServingError, match=r"Invalid protobuf file: '.*models.config'.*confg"):
        read_model_config(str(path))


def test_changes_are_followed(tmp_path, base_path, helpers, caplog):
    models = base_path(1, 2, 3)
    path = tmp_path / "models.config"
    path.write_text(config_text(models, version=1))
    server = Server(
        parse_flags(["--port=0", "--host=127.0.0.1"]),
        read_model_config(str(path)),
        config_file=str(path),
        config_file_poll_seconds=0.02,
    )

    def becomes_available(version):
        # Not by the monitor: asking the manager while its events are held up could block both.
        deadline = time.monotonic() + 10
        while server.core.manager.available_versions("tiny") != [version]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    server.start()
    try:
        connection = helpers.Connection(server.address)
        assert connection.version() == 1
        path.write_text(config_text(models, version=2))
        assert becomes_available(2)
        # What is refused changes nothing, and the next good file counts again.
        for text, complaint in [
            (config_text("not/absolute"), "to have an absolute path"),
            ("no proto", "Invalid protobuf file"),
        ]:
            path.write_text(text)
            deadline = time.monotonic() + 10
            while complaint not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)
            assert complaint in caplog.text
        assert connection.version() == 2
        path.write_text(config_text(models, version=3))
        assert becomes_available(3)
        assert connection.version() == 3
    finally:
        server.stop()
