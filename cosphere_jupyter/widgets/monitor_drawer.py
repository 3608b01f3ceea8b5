"""What opens below the list of tasks: where to load rows, or to save a file; and the rows that were loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from ..client.text import clean
from .core import Message, button, heading
from .monitor_list import Field


class Drawer(ipywidgets.VBox):
    """A field, the button that goes on, and what comes of it; hidden until ``ask`` is called."""

    def __init__(self) -> None:
        self._do: Callable[[str], object] = lambda _: None
        self._check: Callable[[str], str] = lambda _: ""
        self._title = ipywidgets.HTML()
        self._field = Field(self._submit)
        self._go = button("Load", self.go, "primary")
        self._close = button("Close", self.hide, tooltip="Close this")
        self._wrong, self.line = Message(), Message()
        self._below = ipywidgets.VBox()
        line = ipywidgets.HBox([self._field, self._go, self._close])
        line.add_class("cosphere-fields")
        super().__init__([self._title, line, self._wrong, self.line, self._below])
        for name in ("cosphere-card", "cosphere-drawer"):
            self.add_class(name)
        self._field.observe(lambda _: self._look(), "value")
        self.layout.display = "none"

    @property
    def value(self) -> str:
        """What stands in the field."""
        return str(self._field.value).strip()

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return self.layout.display is None

    def ask(
        self, title: str, label: str, value: str, word: str, check: Callable[[str], str], do: Callable[[str], object]
    ) -> None:
        """Show a field with a value; ``check`` says what is wrong with one, ``do`` goes on with one that is right."""
        self._check, self._do = check, do
        self._title.value = heading(clean(title), 4)
        self._field.label = label
        self._go.description = word
        self.show_below(None)
        self.line.say("")
        self._field.value = value
        self._look()
        self.layout.display = None
        self._field.focus()

    def hide(self) -> None:
        """Close it."""
        self.layout.display = "none"
        self.show_below(None)

    def go(self) -> None:
        """Go on, as the button does."""
        if not self._check(self.value):
            self._do(self.value)

    def work(self, text: str) -> None:
        """Show that something is being done."""
        self._go.disabled = True
        self.line.say(text)

    def done(self, text: str) -> None:
        """Show what came out."""
        self._look()
        self.line.say(text)

    def failed(self, error: Exception) -> None:
        """Show what went wrong."""
        self._look()
        self.line.complain(error)

    def show_below(self, widget: Any) -> None:
        """Show a widget below; what was there before is closed."""
        before, self._below.children = self._below.children, () if widget is None else (widget,)
        for each in before:
            each.close()

    def close(self) -> None:
        """Close what is shown below, too."""
        self.show_below(None)
        super().close()

    def _look(self) -> None:
        wrong = self._check(self.value)
        self._go.disabled = bool(wrong)
        self._field.is_right = not wrong
        self._wrong.complain(wrong) if wrong else self._wrong.say("")

    def _submit(self, value: str) -> None:
        self._field.value = value
        self.go()
