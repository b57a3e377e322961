# SPDX-License-Identifier: Apache-2.0
"""Arguments that several corpus commands have in common."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ds2_tf.audio.reading import RawFormat


def add_working_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --jobs, --json and --quiet."""
    parser.add_argument("--jobs", "-j", type=_count, help="processes (default: one a processor)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", "-q", action="store_true", help="show no progress")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 1")
    return value


def add_bad_share_argument(
    parser: argparse.ArgumentParser, *, only_with: str | None = None
) -> None:
    """Adds --max-bad-share.

    Args:
        parser: gets it.
        only_with: the option with which alone it means something; it is then None where it was not
            given. Defaults to none.
    """
    from ds2_tf.corpora.rejection import DEFAULT_LIMIT

    parser.add_argument(
        "--max-bad-share",
        type=_share,
        default=None if only_with else DEFAULT_LIMIT,
        metavar="SHARE",
        help=(f"with {only_with}: " if only_with else "")
        + "fail when more of the utterances than this, from 0 to 1, cannot be used (default: "
        f"{DEFAULT_LIMIT})",
    )


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")


def add_raw_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the format of headerless recordings."""
    group = parser.add_argument_group("headerless recordings (.raw, .pcm)")
    group.add_argument("--raw-sample-rate", type=int, metavar="HZ", help="samples per second")
    group.add_argument(
        "--raw-encoding", default="PCM_16", help="PCM_16 (default), ULAW, ALAW, FLOAT, ..."
    )
    group.add_argument(
        "--raw-endian", choices=("little", "big"), default="little", help="default: little"
    )
    group.add_argument("--raw-channels", type=int, default=1, help="default: 1")


def raw_format(args: argparse.Namespace) -> RawFormat | None:
    """The format that was stated; None without --raw-sample-rate."""
    from ds2_tf.audio.reading import RawFormat

    if args.raw_sample_rate is None:
        return None
    return RawFormat(
        sample_rate=args.raw_sample_rate,
        encoding=args.raw_encoding,
        endian=args.raw_endian.upper(),
        channels=args.raw_channels,
    )
