"""The list of tasks as a widget, drawn by ``monitor.js``: it counts the seconds by itself, so that nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from .view import file_text

ACTIONS = ("cancel", "again", "load", "save")


class TaskList(anywidget.AnyWidget):
    """Rows of tasks; see ``monitor_rows.row``. ``tell(action, key)`` is called when somebody presses a button."""

    _esm = file_text("monitor.js")
    _css = file_text("monitor.css")
    label = traitlets.Unicode(help="What it is, for screen readers.").tag(sync=True)
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
