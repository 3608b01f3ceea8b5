"""The parameters of a task's function: checked and converted by its annotations.

A value comes as JSON, or as text from the query string of a URL (``10``, ``true``, ``["a", "b"]``); both are taken. All
that is wrong is told at once, in the shape of the Dragon tasks API: ``{"parameters": {"url": ["this field is
required"]}}``.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from .functions import CONTEXT, WrongParameters, is_reserved

REQUIRED = "this field is required"
NULL = "may not be null"
TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")
# Integers that JSON numbers with a fraction can say exactly.
_EXACT = 2**53

# Returns the value as the annotation has it or raises Misfit; ``is_text`` if text may stand for other types.
Convert = Callable[[Any, bool], Any]


class Misfit(ValueError):
    """A value that the annotation does not allow; the text says what it must be."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: how it is converted, and what is told of it."""

    name: str
    convert: Convert
    type: str
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


class Parameters:
    """The parameters of one function, without its ``context``."""

    def __init__(self, parameters: Mapping[str, Parameter], has_context: bool) -> None:
        self.by_name = parameters
        self.has_context = has_context

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Parameters:
        """Read them from the function's signature; ``TypeError`` for an annotation that no JSON can be."""
        signature = inspect.signature(function)
        hints = _hints(function)
        found = {}
        for name, parameter in signature.parameters.items():
            if name != CONTEXT:
                annotation = hints.get(name, Any)
                if parameter.default is None and annotation is not Any:
                    annotation = typing.Optional[annotation]  # noqa: UP045  # made at run time
                text = "Any" if annotation is Any else inspect.formatannotation(annotation)
                found[name] = Parameter(name, converter(annotation), text, parameter.default)
        return cls(found, CONTEXT in signature.parameters)

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments for the function; ``WrongParameters`` tells everything that is wrong."""
        arguments: dict[str, Any] = {}
        errors: dict[str, list[str]] = {}
        for name, parameter in self.by_name.items():
            if name in values:
                try:
                    arguments[name] = parameter.convert(values[name], True)
                except Misfit as misfit:
                    errors[name] = [str(misfit)]
            elif parameter.is_required:
                errors[name] = [REQUIRED]
        for name in values:
            if name not in self.by_name and not is_reserved(name):
                errors[name] = [self._unknown(name)]
        if errors:
            raise WrongParameters(errors)
        return arguments

    def _unknown(self, name: str) -> str:
        alike = difflib.get_close_matches(name[:64], self.by_name, n=1)
        return f"unknown parameter; did you mean '{alike[0]}'?" if alike else "unknown parameter"

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return ``{name: {"type": text, "required": bool, "default": JSON}}``; no default where there is none."""
        return {
            name: {
                "type": parameter.type,
                "required": parameter.is_required,
                **({"default": parameter.default} if _is_json(parameter.default) else {}),
            }
            for name, parameter in self.by_name.items()
        }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations that matter: those of the context and of the result may name what is there for types only."""
    inner = inspect.unwrap(function)
    told = {name: each for name, each in inner.__annotations__.items() if name not in (CONTEXT, "return")}
    return typing.get_type_hints(types.SimpleNamespace(__annotations__=told), inner.__globals__)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


# -- from an annotation to a function that converts -------------------------------------------------------------------


def converter(annotation: Any) -> Convert:
    """Return what checks and converts a value for an annotation; ``TypeError`` if it is none for JSON."""
    if annotation is Any:
        return lambda value, is_text: value
    if annotation is None or annotation is type(None):
        return _null
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _not_null(_PLAIN[annotation])
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _choice(parts)
    if origin in (Union, types.UnionType):
        return _union([converter(part) for part in parts])
    if origin is list:
        return _not_null(_list(converter(parts[0] if parts else Any)))
    if origin is dict and parts[:1] in ((), (str,)):
        return _not_null(_object(converter(parts[1] if parts else Any)))
    raise TypeError(f"a parameter of a task cannot be of type {inspect.formatannotation(annotation)}")


def _not_null(convert: Convert) -> Convert:
    def convert_value(value: Any, is_text: bool) -> Any:
        if value is None:
            raise Misfit(NULL)
        return convert(value, is_text)

    return convert_value


def _null(value: Any, is_text: bool) -> None:
    if value is not None:
        raise Misfit("must be null")


def _text(value: Any, is_text: bool) -> str:
    if not isinstance(value, str):
        raise Misfit("must be a string")
    return value


def _integer(value: Any, is_text: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # A number of JavaScript, which knows no integers.
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, str) and is_text and _INTEGER.fullmatch(value.strip()):
        return int(value)
    raise Misfit("must be an integer")


def _number(value: Any, is_text: bool) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and is_text and _NUMBER.fullmatch(value.strip())):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise Misfit("must be a number")


def _boolean(value: Any, is_text: bool) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and is_text:
        word = value.strip().lower()
        if word in TRUE or word in FALSE:
            return word in TRUE
    raise Misfit("must be true or false")


def _choice(choices: tuple[Any, ...]) -> Convert:
    typed = [(choice, converter(type(choice))) for choice in choices]

    def convert(value: Any, is_text: bool) -> Any:
        for choice, convert_choice in typed:
            try:
                found = convert_choice(value, is_text)
            except Misfit:
                continue
            if found == choice:
                return choice
        raise Misfit("must be one of: " + ", ".join("null" if each is None else repr(each) for each in choices))

    return convert


def _union(converters: list[Convert]) -> Convert:
    def convert(value: Any, is_text: bool) -> Any:
        # First as what it is, then, where text may stand for other types, as what it may mean.
        for may_be_text in (False, True) if is_text else (False,):
            misfits = []
            for each in converters:
                try:
                    return each(value, may_be_text)
                except Misfit as misfit:
                    misfits.append(str(misfit))
        told = dict.fromkeys(text for text in misfits if text not in (NULL, "must be null"))
        raise Misfit(", or ".join(told) or NULL)

    return convert


def _list(convert_item: Convert) -> Convert:
    def convert(value: Any, is_text: bool) -> list[Any]:
        items = _parsed(value, is_text)
        if not isinstance(items, list):
            raise Misfit("must be a list")
        return [_within(f"item {index}", convert_item, item) for index, item in enumerate(items, 1)]

    return convert


def _object(convert_item: Convert) -> Convert:
    def convert(value: Any, is_text: bool) -> dict[str, Any]:
        found = _parsed(value, is_text)
        if not isinstance(found, dict):
            raise Misfit("must be an object")
        return {key: _within(repr(key), convert_item, item) for key, item in found.items()}

    return convert


def _within(where: str, convert: Convert, value: Any) -> Any:
    try:
        # In a list or an object the types are told apart: text is text there.
        return convert(value, False)
    except Misfit as misfit:
        raise Misfit(f"{where}: {misfit}") from None


def _parsed(value: Any, is_text: bool) -> Any:
    if not (isinstance(value, str) and is_text and value.lstrip()[:1] in ("[", "{")):
        return value
    try:
        return json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Misfit("is no valid JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


_ANY: Convert = converter(Any)
_PLAIN: dict[type, Convert] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _boolean,
    list: _list(_ANY),
    dict: _object(_ANY),
}
