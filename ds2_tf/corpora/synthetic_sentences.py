# SPDX-License-Identifier: Apache-2.0
"""The sentences of the synthetic corpus: a small grammar of what one says to a machine.

Commands, times, sums and spelled words, of some 130 distinct words, the 26 letters included. A
single letter is always a letter's name: there is neither an article "a" nor a pronoun "i".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

_DIGITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_HOURS = _DIGITS[1:] + _TEENS[:3]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_ROOMS = "kitchen bedroom garden bathroom office".split()
_DEVICES = "light fan radio heating".split()
_NAMES = "anna david emma james maria peter robert susan".split()
_CITIES = "boston london madrid oslo paris".split()
_DAYS = "monday tuesday wednesday thursday friday saturday sunday today tomorrow".split()


def sentences(seed: int) -> Iterator[str]:
    """Yields sentences without end, none of them twice.

    Args:
        seed: another seed gives other sentences.
    """
    generator = random.Random(f"sentences {seed}")
    seen: set[str] = set()
    while True:
        sentence = generator.choice(_KINDS)(generator)
        if sentence not in seen:
            seen.add(sentence)
            yield sentence


def spoken_form(sentence: str) -> str:
    """What a speech synthesizer is given so that single letters are said by their names."""
    return " ".join(f"{word}," if len(word) == 1 else word for word in sentence.split())


def _number(generator: random.Random) -> str:
    """A number from one to nine hundred and ninety nine, mostly small ones."""
    below_hundred = generator.choice(
        (
            generator.choice(_DIGITS[1:]),
            generator.choice(_TEENS),
            generator.choice(_TENS),
            f"{generator.choice(_TENS)} {generator.choice(_DIGITS[1:])}",
        )
    )
    if generator.random() < 0.8:
        return below_hundred
    return f"{generator.choice(_DIGITS[1:])} hundred {below_hundred}"


def _time(generator: random.Random) -> str:
    hour = generator.choice(_HOURS)
    return generator.choice(
        (
            f"half past {hour}",
            f"quarter past {hour}",
            f"quarter to {hour}",
            f"{hour} o'clock",
            f"{hour} {generator.choice(_TENS[:4])} {generator.choice(_DIGITS[1:])}",
            f"{hour} {generator.choice(_TEENS)}",
            f"{generator.choice(('five', 'ten', 'twenty'))} to {hour}",
        )
    )


def _when(generator: random.Random) -> str:
    """A day, a time or nothing, with a space in front."""
    return generator.choice(
        ("", f" {generator.choice(_DAYS)}", f" at {_time(generator)}", f" at {_time(generator)}")
    )


def _switch(generator: random.Random) -> str:
    return (
        f"turn {generator.choice(('on', 'off'))} the {generator.choice(_ROOMS)} "
        f"{generator.choice(_DEVICES)}{_when(generator)}"
    )


def _door(generator: random.Random) -> str:
    return (
        f"{generator.choice(('open', 'shut'))} the {generator.choice(_ROOMS)} "
        f"{generator.choice(('door', 'window'))}{_when(generator)}"
    )


def _temperature(generator: random.Random) -> str:
    return f"set the {generator.choice(_ROOMS)} heating to {_number(generator)} degrees"


def _alarm(generator: random.Random) -> str:
    return generator.choice(
        (
            f"wake me {generator.choice(_DAYS)} at {_time(generator)}",
            f"remind me {generator.choice(_DAYS)} at {_time(generator)}",
            f"set the alarm for {_time(generator)}",
            f"set the timer for {_number(generator)} minutes",
        )
    )


def _person(generator: random.Random) -> str:
    return generator.choice(
        (
            f"call {generator.choice(_NAMES)}{_when(generator)}",
            f"send the message to {generator.choice(_NAMES)}{_when(generator)}",
        )
    )


def _music(generator: random.Random) -> str:
    return generator.choice(
        (
            f"play {generator.choice(('jazz', 'music'))} in the {generator.choice(_ROOMS)}"
            f"{_when(generator)}",
            f"play channel {_number(generator)}",
        )
    )


def _sum(generator: random.Random) -> str:
    operation = generator.choice(("plus", "minus", "times"))
    return f"what is {_number(generator)} {operation} {_number(generator)}"


def _weather(generator: random.Random) -> str:
    return f"what is the weather in {generator.choice(_CITIES)}{_when(generator)}"


def _digits(generator: random.Random) -> str:
    return "dial " + " ".join(generator.choices(_DIGITS, k=generator.randint(4, 6)))


def _code(generator: random.Random) -> str:
    letters = generator.choices(_LETTERS, k=generator.randint(1, 2))
    digits = generator.choices(_DIGITS, k=generator.randint(1, 2))
    return " ".join(("the code is", *letters, *digits))


def _spelled_name(generator: random.Random) -> str:
    return f"call {' '.join(generator.choice(_NAMES))}{_when(generator)}"


def _letters(generator: random.Random) -> str:
    return " ".join(generator.choices(_LETTERS, k=generator.randint(3, 4)))


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    _switch,
    _door,
    _temperature,
    _alarm,
    _person,
    _music,
    _sum,
    _weather,
    _digits,
    _code,
    _spelled_name,
    _letters,
)
