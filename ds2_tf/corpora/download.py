# SPDX-License-Identifier: Apache-2.0
"""Downloading a file: with progress, resumed where it was stopped, and checked."""

from __future__ import annotations

import hashlib
import http
import http.client
import os
import pathlib
import urllib.error
import urllib.request

from ds2_tf.errors import UserError

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 60


def download(
    url: str,
    path: str | os.PathLike,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    progress: bool = True,
) -> pathlib.Path:
    """Downloads a file unless it is there.

    What has arrived of a stopped download lies beside the path, with `.part` at its end, and the
    next call goes on from there.

    Args:
        url: http, https or file.
        path: where the whole and checked file will lie.
        md5: its checksum, hexadecimal. Defaults to no check.
        sha256: likewise.
        progress: show a bar. Defaults to true.

    Raises:
        UserError: the server refuses or breaks off, or the content has another checksum, in which
            case it is removed.
    """
    path = pathlib.Path(path)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _fetch(url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        rest = f" from {part}" if part.exists() else ""
        raise UserError(
            f"{url} could not be downloaded: {error}. Run the same command again to go on{rest}, "
            f"or fetch it yourself and put it at {path}."
        ) from error
    for name, expected in (("md5", md5), ("sha256", sha256)):
        found = _checksum(part, name) if expected else None
        if found != expected:
            part.unlink()
            raise UserError(
                f"{url} gave a file whose {name} is {found} and not {expected}: it was removed. "
                "Download it again, or check whether the publisher has changed it."
            )
    part.rename(path)
    return path


def _fetch(url: str, part: pathlib.Path, progress: bool) -> None:
    import tqdm

    present = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)
    if present:
        request.add_header("Range", f"bytes={present}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        # "Range not satisfiable": the whole file has arrived already.
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and present:
            return
        raise
    with response:
        if getattr(response, "status", None) != http.HTTPStatus.PARTIAL_CONTENT:
            present = 0  # this server begins anew
        remaining = response.headers.get("Content-Length")
        total = None if remaining is None else present + int(remaining)
        with (
            open(part, "ab" if present else "wb") as file,
            tqdm.tqdm(
                desc=part.stem,
                initial=present,
                total=total,
                unit="B",
                unit_scale=True,
                disable=not progress,
            ) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
            if total is not None and file.tell() < total:
                raise OSError(f"the connection broke off after {file.tell()} of {total} bytes")


def _checksum(path: pathlib.Path, name: str) -> str:
    digest = hashlib.new(name)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
