"""Inputs for the value of a filter: one that fits the type of its column, and says in words what is wrong."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets

from ..client.charts import Shape, value_text
from ..client.columns import Column
from ..client.errors import InvalidFilter
from ..client.query import Value
from ..client.text import clean
from .core import unlabelled
from .values import check, choices_of, read_number, suggestions_of

MIDNIGHT = datetime.time()
EMPTY = "''"


class Input:
    """One or more controls for a value. ``value`` raises ``InvalidFilter`` in words while there is none."""

    controls: Sequence[ipywidgets.Widget] = ()
    is_choice = False

    def __init__(self, column: Column) -> None:
        self.column = column

    @property
    def value(self) -> Value:
        """The value, as the API wants it."""
        raise NotImplementedError

    def put(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` whenever somebody changes it."""
        for control in self.controls:
            control.observe(lambda _: tell(), "value")


class Choice(Input):
    """One of the values that a column has."""

    is_choice = True

    def __init__(self, column: Column, values: Sequence[Value]) -> None:
        super().__init__(column)
        options = [(clean(value_text(value), 80), value) for value in values]
        self._dropdown = ipywidgets.Dropdown(options=options, description="Value")
        self.controls = [self._dropdown]

    @property
    def value(self) -> Value:
        """The value that is chosen."""
        chosen: Value = self._dropdown.value
        return chosen

    def put(self, value: Any) -> None:
        """Choose a value; one that the column did not have joins the others."""
        if value not in [each for _, each in self._dropdown.options]:
            self._dropdown.options = [*self._dropdown.options, (clean(value_text(value), 80), value)]
        self._dropdown.value = value


class Number(Input):
    """A number that is typed: what is no number is told, not swallowed."""

    def __init__(self, column: Column, found: Shape | None) -> None:
        super().__init__(column)
        ends = f"{found.low} … {found.high}" if found is not None and found.bins else "a number"
        self._text = ipywidgets.Text(description="Value", placeholder=ends)
        self.controls = [self._text]

    @property
    def value(self) -> Value:
        """The number."""
        return read_number(self.column, self._text.value)

    def put(self, value: Any) -> None:
        """Show a number."""
        self._text.value = f"{value:.15g}" if isinstance(value, float) else str(value)


class Words(Input):
    """A text that is typed, with what is frequent in the column as suggestions."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        frequent = [each for each in suggestions_of(column) if each and clean(each) == each]
        kind = ipywidgets.Combobox if frequent else ipywidgets.Text
        options = {"options": tuple(frequent)} if frequent else {}
        self._text = kind(description="Value", placeholder="a text", **options)
        self.controls = [self._text]

    @property
    def value(self) -> Value:
        """The text; an empty one is written as two quotes."""
        if not self._text.value:
            raise InvalidFilter("a text is missing; '' is an empty one")
        return check(self.column, "" if self._text.value == EMPTY else self._text.value)

    def put(self, value: Any) -> None:
        """Show a text."""
        self._text.value = str(value) or EMPTY


class Flag(Input):
    """True or false."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._box = ipywidgets.Checkbox(value=True, description="true", indent=False)
        self.controls = [self._box]

    @property
    def value(self) -> Value:
        """Whether it is ticked."""
        return bool(self._box.value)

    def put(self, value: Any) -> None:
        """Tick it or not."""
        self._box.value = bool(value)


class Moment(Input):
    """A day, and perhaps the time of it."""

    def __init__(self, column: Column, found: Shape | None) -> None:
        super().__init__(column)
        self._day = ipywidgets.DatePicker(description="Day")
        self._time = ipywidgets.TimePicker(description="Time")
        self.controls = [self._day, self._time]
        if found is not None and found.low[:4].isdigit():
            with suppress(ValueError):
                self._day.value = datetime.date.fromisoformat(found.low[:10])

    @property
    def value(self) -> Value:
        """The moment in ISO 8601; of a day without a time only the day."""
        day, time = self._day.value, self._time.value
        if day is None:
            raise InvalidFilter("a date is missing")
        if time is None or time == MIDNIGHT:
            return str(day.isoformat())
        return datetime.datetime.combine(day, time).isoformat()

    def put(self, value: Any) -> None:
        """Show a moment, given as datetime, date or ISO 8601 text."""
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime.datetime):
            if value.tzinfo is not None:
                value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
            self._day.value, self._time.value = value.date(), value.time() if value.time() != MIDNIGHT else None
        else:
            self._day.value, self._time.value = value, None


def input_for(column: Column, found: Shape | None) -> Input:
    """Return the input that fits a column; ``found`` is its distribution."""
    if column.type == "BOOLEAN":
        made: Input = Flag(column)
    elif (values := choices_of(column, found)) is not None:
        made = Choice(column, values)
    elif column.type == "DATETIME":
        made = Moment(column, found)
    else:
        made = Words(column) if column.type == "STRING" else Number(column, found)
    for control in made.controls:
        if not isinstance(control, ipywidgets.Checkbox):
            unlabelled(control)
        control.layout.width = "auto"
        control.add_class("cosphere-value")
    return made
