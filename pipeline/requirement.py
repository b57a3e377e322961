# SPDX-License-Identifier: Apache-2.0
"""What a value of the configuration must be."""

from __future__ import annotations

import math

from ds2_tf.errors import UserError


def require(condition: bool, requirement: str, found: object) -> None:
    """Sees that a requirement is met.

    Args:
        condition: whether it is.
        requirement: the key, and what is allowed, as the beginning of a sentence.
        found: the value.

    Raises:
        UserError: it is not; the message says what is allowed and what was found.
    """
    if not condition:
        raise UserError(f"{requirement}, got {found!r}.")


def require_share(
    key: str, value: float, least: float, most: float, *, or_infinite: bool = False
) -> None:
    """Sees that a share is in its range, both ends included; per cent are told apart.

    Args:
        key: what it is called.
        value: the share.
        least: the smallest that is allowed.
        most: the largest.
        or_infinite: infinity is allowed, too, and means that there is no limit. Defaults to false.

    Raises:
        UserError: it is not. The message says how to write what may have been meant as per cent.
    """
    advice = f": write {value / 100:g} for {value:g} %" if value > most else ""
    infinite = " (or .inf: no limit)" if or_infinite else ""
    require(
        least <= value <= most or (or_infinite and value == math.inf),
        f"{key} is a share and must be from {least:g} to {most:g}{infinite}{advice}",
        value,
    )
