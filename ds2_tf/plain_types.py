# SPDX-License-Identifier: Apache-2.0
"""Configuration dataclasses out of the plain types of YAML and JSON, and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence

from ds2_tf.errors import UserError
from ds2_tf.value_checks import InvalidValue, shown

# One of a type and several, as messages call them.
_SCALARS = {
    bool: ("true or false", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
}
_UNIONS = (typing.Union, types.UnionType)


def from_dict(cls: type, content: object, source: str, further_keys: Sequence[str] = ()):
    """Builds a configuration dataclass from plain YAML or JSON types.

    Fields may be bool, int, float, str, such dataclasses, tuples, dictionaries by text, and unions
    of these. Nothing is converted but whole numbers, and texts that YAML 1.1 should have read as
    numbers (5e-4), where a number is expected.

    Args:
        cls: a dataclass, such as `ds2_tf.config.Recipe`.
        content: what was read.
        source: where it was read from, for messages.
        further_keys: keys that the caller has taken out of the content, named among those that
            there are. Defaults to none.

    Raises:
        UserError: a key is unknown or missing, or a value of the wrong type or impossible; the
            message has the source, the whole key, the value and what is expected.
    """
    if not isinstance(content, dict):
        raise UserError(
            f"{source}: expected keys and values, got {shown(content)}. "
            f"The keys are {', '.join((*_names(cls), *further_keys))}."
        )
    try:
        return _section(cls, content, "", further_keys)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def to_dict(config) -> dict:
    """The configuration as plain YAML or JSON types; `from_dict` reads it back."""
    return _plain(dataclasses.asdict(config))


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _section(cls, content, path, further_keys=()):
    names = _names(cls)
    unknown = [str(key) for key in content if key not in names]
    if unknown:
        raise UserError(
            f"unknown key {', '.join(_join(path, key) for key in unknown)}; the keys"
            f"{' of ' * bool(path)}{path} are {', '.join((*names, *further_keys))}."
        )
    expected = typing.get_type_hints(cls)
    values = {}
    for field in dataclasses.fields(cls):
        key = _join(path, field.name)
        if field.name in content:
            values[field.name] = _value(expected[field.name], content[field.name], key)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise InvalidValue(key, "is missing, and has no default.")
    try:
        return cls(**values)
    except InvalidValue as error:
        raise InvalidValue(_join(path, error.key), error.problem) from error
    except UserError as error:
        raise UserError(f"{path}: {error}" if path else str(error)) from error


def _value(expected, value, key):
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in _UNIONS:
        return _first_that_fits(arguments, value, key)
    if dataclasses.is_dataclass(expected) and isinstance(value, dict):
        return _section(expected, value, key)
    if origin is dict and isinstance(value, dict):
        return {
            _value(arguments[0], name, f"the name {shown(name)} in {key}"): _value(
                arguments[1], item, _join(key, str(name))
            )
            for name, item in value.items()
        }
    if origin is tuple and isinstance(value, (list, tuple)):
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        if len(arguments) == len(value):
            items = enumerate(zip(arguments, value))
            return tuple(_value(type_, item, f"{key}[{i}]") for i, (type_, item) in items)
    if expected is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    elif type(value) is expected:
        return value
    raise _wrong_type(key, [expected], value)


def _first_that_fits(alternatives, value, key):
    if value is None and type(None) in alternatives:
        return None
    alternatives = [type_ for type_ in alternatives if type_ is not type(None)]
    for alternative in alternatives:
        try:
            return _value(alternative, value, key)
        except InvalidValue as error:
            # What is wrong within the value says more than that it is wrong.
            if error.key != key or len(alternatives) == 1:
                raise
    raise _wrong_type(key, alternatives, value)


def _wrong_type(key, alternatives, value) -> InvalidValue:
    expected = " or ".join(map(_in_words, alternatives))
    advice = _how_to_write_text(value) if str in alternatives else ""
    return InvalidValue(key, f"must be {expected}; got {shown(value)}{advice}.")


def _how_to_write_text(value) -> str:
    """Advice for text that YAML takes for something else."""
    if isinstance(value, (dict, list, tuple)):
        return ""
    if value is None:
        return ": leave the key out, or put null and ~ in quotes where they are meant"
    if isinstance(value, bool):
        return ": YAML reads yes, no, on and off as true and false; put it in quotes"
    return ": put it in quotes"


def _in_words(expected) -> str:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if dataclasses.is_dataclass(expected):
        return f"keys and values ({', '.join(_names(expected))})"
    if origin is dict:
        return f"names, each with {_in_words(arguments[1])}"
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        item = arguments[0]
        if dataclasses.is_dataclass(item):
            return f"a list, each item {_in_words(item)}"
        return f"a list of {count}{_SCALARS[item][1]}"
    return _SCALARS[expected][0]


def _names(cls) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
