# SPDX-License-Identifier: Apache-2.0
"""Choosing what is held out of training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def hold_out(names: Iterable[str], count: int, seed: int) -> list[str]:
    """Chooses some of the names, in an order that depends on the seed alone.

    A corpus that grows keeps most of what was held out: every name has its rank by a hash of its
    own, wherever it stands among the others.

    Args:
        names: such as speakers or ids; repetitions are ignored.
        count: how many to choose, at most.
        seed: another seed chooses others.
    """

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed} {name}".encode()).digest()

    return sorted(set(names), key=rank)[:count]


def split_by_share(
    names: Iterable[str], dev_share: float, test_share: float, seed: int
) -> dict[str, str]:
    """Assigns each name to "train", "dev" or "test".

    Args:
        names: such as speakers or ids; repetitions are ignored.
        dev_share: share of the names for dev; a share above 0 gives at least one.
        test_share: the same for test.
        seed: another seed chooses others.
    """
    names = set(names)
    dev_count, test_count = (
        max(1, round(share * len(names))) if share else 0 for share in (dev_share, test_share)
    )
    held_out = hold_out(names, dev_count + test_count, seed)
    return {
        **dict.fromkeys(names, "train"),
        **dict.fromkeys(held_out[:dev_count], "dev"),
        **dict.fromkeys(held_out[dev_count:], "test"),
    }
