"""The list of tasks and a field, drawn by ``tasks.js``: the page counts the seconds, nothing is sent for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import traitlets

from .view import View

ACTIONS = ("cancel", "again", "load", "save")


class TaskList(View):
    """Rows of tasks; see ``monitor_rows.row``. ``tell(action, key)`` is called when somebody presses a button."""

    part = traitlets.Unicode("tasks").tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    empty = traitlets.Unicode(help="What stands there without any task.").tag(sync=True)

    def __init__(self, tell: Callable[[str, str], None], **options: Any) -> None:
        super().__init__(**options)
        self._told = tell
        self.on_msg(self._take)

    def _take(self, _: Any, message: Any, __: Any) -> None:
        if not isinstance(message, Mapping):
            return
        action, key = message.get("action"), message.get("key")
        if action in ACTIONS and isinstance(key, str):
            self._told(str(action), key)


class Field(View):
    """A line of text. ``submit(value)`` is called when somebody presses Enter, with what stood there then.

    That of ipywidgets may tell of Enter before it tells what was typed.
    """

    part = traitlets.Unicode("field").tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)
    is_right = traitlets.Bool(True, help="Whether the value may stay as it is.").tag(sync=True)

    def __init__(self, submit: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._submitted = submit
        self.on_msg(self._take)

    def focus(self) -> None:
        """Put the focus there, with the value selected."""
        self.send({"focus": True})

    def _take(self, _: Any, message: Any, __: Any) -> None:
        value = message.get("submit") if isinstance(message, Mapping) else None
        if isinstance(value, str):
            self._submitted(value)
