# SPDX-License-Identifier: Apache-2.0
"""What is written is possible, and known to be so before the work."""

import os

import pytest

from ds2_tf.commands.output_files import prepare_output_directory, prepare_output_file
from ds2_tf.errors import UserError


def test_folders_are_made_and_nothing_else(tmp_path):
    prepare_output_file(tmp_path / "a" / "b" / "page.html")
    assert os.listdir(tmp_path / "a" / "b") == []
    prepare_output_directory(tmp_path / "c" / "d")
    assert os.listdir(tmp_path / "c" / "d") == []


def test_what_is_there_stays(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    for _ in range(2):
        prepare_output_file(path)
        prepare_output_directory(tmp_path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["page.html"]


def test_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare_output_file("page.html")
    assert os.listdir() == []


def test_devices_and_pipes_are_let_be(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    # To open it would wait for a reader.
    prepare_output_file(tmp_path / "pipe")
    prepare_output_file(os.devnull)


@pytest.mark.parametrize("prepare", [prepare_output_file, prepare_output_directory])
def test_a_file_where_a_folder_should_be(tmp_path, prepare):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/a/b cannot be made: .*/file is a file, and not a"):
        prepare(tmp_path / "file" / "a" / "b")


def test_a_folder_where_a_file_should_be(tmp_path):
    with pytest.raises(UserError, match="it is a folder, name a file"):
        prepare_output_file(tmp_path)


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        prepare_output_file(tmp_path / ("x" * 300))
    with pytest.raises(UserError, match="cannot be written into: File name too long"):
        prepare_output_directory(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_permissions(tmp_path):
    (tmp_path / "file").touch(0o400)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="file cannot be written: Permission denied"):
            prepare_output_file(tmp_path / "file")
        with pytest.raises(UserError, match="new cannot be written: Permission denied"):
            prepare_output_file(tmp_path / "new")
        with pytest.raises(UserError, match="cannot be written into: Permission denied"):
            prepare_output_directory(tmp_path)
    finally:
        tmp_path.chmod(0o700)
