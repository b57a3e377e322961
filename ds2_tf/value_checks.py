# SPDX-License-Identifier: Apache-2.0
"""Checks of configuration values, which name the key, what is allowed and what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ds2_tf.errors import UserError

_MAX_SHOWN = 80


class InvalidValue(UserError):
    """A value of a configuration that cannot be meant.

    Attributes:
        key: of the value, seen from the section that found it ("speed"), so that the sections
            around it can put their names before ("training.augmentation.audio.speed").
        problem: the rest of the sentence that the key begins.
    """

    def __init__(self, key: str, problem: str):
        super().__init__(f"{key} {problem}")
        self.key = key
        self.problem = problem


def shown(value: object) -> str:
    """A value as people write it in YAML, cut short where it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def require(condition: bool, key: str, requirement: str, value: object) -> None:
    """Raises InvalidValue where the condition does not hold: `key` must be `requirement`."""
    if not condition:
        raise InvalidValue(key, f"must be {requirement}; got {shown(value)}.")


def require_one_of(config: object, known: Sequence[str], name: str) -> None:
    """Checks that an attribute is one of several words."""
    value = getattr(config, name)
    require(value in known, name, f"one of {', '.join(known)}", value)


def require_numbers(
    config: object,
    *names: str,
    least: float | None = None,
    over: float | None = None,
    most: float | None = None,
    under: float | None = None,
    finite: bool = True,
) -> None:
    """Checks that attributes are numbers within bounds, each of which may be left out.

    Args:
        config: what has the attributes.
        *names: of the attributes.
        least: the lower bound, itself allowed.
        over: the lower bound, itself not allowed.
        most: the upper bound, itself allowed.
        under: the upper bound, itself not allowed.
        finite: refuse infinity. Defaults to true.

    Raises:
        InvalidValue: a value is outside, or not a number (NaN).
    """
    bounds = _in_words(least, over, most, under)
    for name in names:
        value = getattr(config, name)
        require(_within(value, least, over, most, under), name, bounds, value)
        require(not finite or abs(value) < math.inf, name, f"finite and {bounds}", value)


def require_range(config: object, name: str, *, over: float | None = None) -> None:
    """Checks that an attribute is a pair of finite numbers, the lower first.

    Args:
        config: what has the attribute.
        name: of the attribute.
        over: the lower bound of both, itself not allowed. Defaults to none.

    Raises:
        InvalidValue: it is not.
    """
    low, high = pair = getattr(config, name)
    bound = "" if over is None else f" {_in_words(None, over, None, None)}"
    good = all(math.isfinite(number) and _within(number, over=over) for number in pair)
    require(good and low <= high, name, f"two finite numbers{bound}, the lower first", pair)


def _within(value, least=None, over=None, most=None, under=None) -> bool:
    # NaN compares false with everything, itself included.
    return value == value and not (
        (least is not None and value < least)
        or (over is not None and value <= over)
        or (most is not None and value > most)
        or (under is not None and value >= under)
    )


def _in_words(least, over, most, under) -> str:
    bounds = (("at least", least), ("over", over), ("at most", most), ("under", under))
    return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
