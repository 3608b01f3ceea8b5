"""One filter as a row of controls, beside the distribution of its column with the part that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets

from ..client.charts import ranked_values, shape
from ..client.columns import Column
from ..client.errors import InvalidFilter
from ..client.query import Filter
from .core import Message, button, unlabelled
from .inputs import Input, input_for
from .values import first_operator, hint, kept_bars, kept_range, operators_of, range_filters
from .view import Distribution

if TYPE_CHECKING:
    from .builder import RequestBuilder

HEIGHT = 36


class FilterRow(ipywidgets.VBox):
    """A column, an operator and a value. ``filter`` is None while something is wrong, and ``error`` says what."""

    def __init__(self, builder: RequestBuilder, column: Column) -> None:
        self._builder = builder
        self._is_putting = False
        names = [each.name for each in builder.table.columns]
        self._columns = unlabelled(ipywidgets.Dropdown(options=names, value=column.name, description="Column"))
        self._operators = unlabelled(ipywidgets.Dropdown(options=[("=", "=")], description="Operator"))
        self._operators.add_class("cosphere-operator")
        self._remove = button("Remove", lambda: builder.remove_filter(self), tooltip="Remove this filter")
        for control in (self._columns, self._operators):
            control.layout.width = "auto"
        self._line = ipywidgets.HBox()
        self._line.add_class("cosphere-filter-line")
        self._message = Message()
        self._chart = Distribution(can_select=True)
        super().__init__([self._line, self._message, self._chart])
        self.add_class("cosphere-filter")
        self._fit(column)
        self._columns.observe(lambda _: self._on_column(), "value")
        self._operators.observe(lambda _: self._changed(), "value")
        self._chart.observe(lambda _: self._on_brush(), "selection")
        self._chart.on_pick(self._on_pick)

    # -- what it says ----------------------------------------------------------------------------------------------

    @property
    def column(self) -> Column:
        """The column that it is about."""
        return self._column

    @property
    def operator(self) -> str:
        """The operator, as the API writes it."""
        return str(self._operators.value)

    @property
    def filter(self) -> Filter | None:
        """The filter; None while something is wrong."""
        try:
            return Filter(self._column.name, self._operators.value, self._input.value)
        except InvalidFilter:
            return None

    @property
    def error(self) -> str:
        """What is wrong, in words."""
        try:
            _ = Filter(self._column.name, self._operators.value, self._input.value)
        except InvalidFilter as wrong:
            return str(wrong)
        return ""

    def put(self, operator: str | None = None, value: Any = None) -> None:
        """Show an operator and a value; what is None stays as it is."""
        self._is_putting = True
        try:
            if operator is not None:
                self._operators.value = operator
            if value is not None:
                self._input.put(value)
        finally:
            self._is_putting = False

    # -- what happens ----------------------------------------------------------------------------------------------

    def _on_column(self) -> None:
        with self._builder.lock:
            self._fit(self._builder.table[self._columns.value])
        self._changed()

    def _fit(self, column: Column) -> None:
        """Take the operators, the input and the distribution of a column."""
        self._column = column
        self._shape = shape(column, self._builder.rows)
        self._is_putting = True
        before: Sequence[ipywidgets.Widget] = self._line.children
        self._input: Input = input_for(column, self._shape)
        self._operators.options = operators_of(column)
        self._operators.value = first_operator(column, self._input.is_choice)
        self._input.on_change(self._changed)
        self._line.children = [self._columns, self._operators, *self._input.controls, self._remove]
        for old in before[2:-1]:
            old.close()
        self._chart.label = f"Distribution of {column.name}"
        self._chart.show(column, self._builder.rows, HEIGHT)
        self._is_putting = False

    def _changed(self) -> None:
        if not self._is_putting:
            self._builder.update()

    def _on_brush(self) -> None:
        """A range of the distribution was selected: the column's filters shall keep it."""
        if not self._is_putting and self._shape is not None and self._shape.bins:
            self._builder.keep_range(self, range_filters(self._column, self._shape, self._chart.selection))

    def _on_pick(self, place: int) -> None:
        values = ranked_values(self._column)
        if place < len(values):
            with self._builder.lock:
                self.put(None if self._operators.value == "!=" else "=", values[place][0])
            self._builder.update()

    def show_state(self, filters: Sequence[Filter], is_first: bool) -> None:
        """Show what is wrong, and what all ``filters`` of this column keep; the first row of a column has the chart."""
        own = self.filter
        if own is None:
            self._message.complain(self.error)
        else:
            self._message.say(hint(self._column, self._shape, own))
        self._chart.layout.display = None if is_first and self._chart.picture else "none"
        self._is_putting = True
        try:
            if self._shape is not None and self._shape.bins:
                self._chart.selection = kept_range(self._column, self._shape, filters)
            elif self._shape is not None and filters:
                # -1: none of them, not all of them.
                self._chart.marked = kept_bars(self._column, filters) or [-1]
            else:
                self._chart.marked = []
        finally:
            self._is_putting = False

    @property
    def message(self) -> str:
        """What is said below it: what is wrong, or that it keeps nothing."""
        return self._message.text
