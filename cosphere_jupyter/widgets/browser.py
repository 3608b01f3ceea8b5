"""The catalogue as a widget: search as you type, look into a table, go on to a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from ..client.charts import rows_of
from ..client.errors import NotSignedIn
from ..client.table import Table
from ..client.text import clean, rows_text
from . import view
from .builder import RequestBuilder
from .code import look_call, search_call, table_call
from .core import Message, Panel, button, quietly, unlabelled
from .page import TablePage
from .sign_in import SignInOffer

if TYPE_CHECKING:
    from ..client.columns import Account
    from ..client.workspace import Workspace

PAGE = 50
# As many as are seen without scrolling come first: a page of tables that the server has looked into has megabytes.
AT_ONCE = 8
# The rest waits for a pause in typing: what is being read has to end before the next keystroke is answered.
REST_DELAY = 0.15
MOST_TAGS = 200
_TYPES = {"INTEGER": "integer", "FLOAT": "float", "STRING": "text", "BOOLEAN": "boolean", "DATETIME": "time"}


class CatalogueBrowser(Panel):
    """The tables of a workspace: search, look, choose.

    >>> browser = ws.browse()
    >>> browser
    >>> browser.selection                      # the table that is chosen, or None
    >>> browser.builder.request                # after "Build a request"
    >>> browser.observe(print, "selection")

    ``selection`` is a ``Table`` or None; ``builder`` the ``RequestBuilder`` of the last "Build a request", or None.
    """

    selection = traitlets.Any(None, read_only=True, help="The table that is chosen, or None.")
    builder = traitlets.Any(None, read_only=True, help="The builder of a request for it, or None.")

    def __init__(self, workspace: Workspace, text: str = "", tag: str = "") -> None:
        super().__init__()
        self._workspace = workspace
        self._tables: list[Table] = []
        self._names: set[str] = set()
        self._search = unlabelled(
            ipywidgets.Text(value=text, description="Search tables", placeholder="Search tables by name …")
        )
        self._tag = unlabelled(ipywidgets.Combobox(value=tag, description="Tag", placeholder="Any tag"))
        self._status, self._error = Message(), Message()
        self._sign_in = SignInOffer(workspace)
        self._again = button("Try again", lambda: self._on_search(None))
        self._again.layout.display = "none"
        self._list = view.List(label="Tables", empty="Looking …")
        self._more = button(f"Show {PAGE} more", self._read_more)
        self._more.layout.display = "none"
        self._page = TablePage(self.build, self.look)
        self._looking: set[int] = set()
        self._page.layout.display = "none"
        self._code = view.Code(label="The same search in code", text=search_call(text, tag))
        self._asked = (text, tag)
        self.children = self._laid_out()
        for field in (self._search, self._tag):
            field.observe(self._on_search, "value")
        self._search.on_msg(self._on_message)
        self._list.observe(self._on_choice, "chosen")
        self._on_search(None)

    def _laid_out(self) -> list[ipywidgets.Widget]:
        self._tag.add_class("cosphere-narrow")
        fields = ipywidgets.HBox([self._search, self._tag, self._status])
        fields.add_class("cosphere-fields")
        left = ipywidgets.VBox([self._list, self._more])
        left.add_class("cosphere-left")
        self._panes = ipywidgets.HBox([left, self._page])
        self._panes.add_class("cosphere-panes")
        self._catalogue = ipywidgets.VBox([fields, self._error, self._again, self._sign_in, self._panes, self._code])
        self._catalogue.add_class("cosphere-stack")
        return [self._catalogue]

    # -- searching -------------------------------------------------------------------------------------------------

    def search(self, text: str, tag: str = "") -> None:
        """Search as if it were typed. Returns at once; ``wait()`` waits for the answer."""
        with self._lock:
            self._tag.value, self._search.value = tag, text

    def _on_search(self, _: Any) -> None:
        with self._lock:
            self._asked = (self._search.value, self._tag.value.strip())
            self._read([], AT_ONCE)

    def _read_more(self) -> None:
        with self._lock:
            self._more.disabled = True
            self._read(self._tables, PAGE)

    def _read(self, before: Sequence[Table], count: int, delay: float = 0.0) -> None:
        text, tag = self._asked

        def work() -> Sequence[Table]:
            # One more than is shown tells whether there is more.
            return self._workspace.catalogue.search(text, tag=tag or None, limit=count + 1, offset=len(before))

        def tell(found: Sequence[Table]) -> None:
            tables, is_more = [*before, *found[:count]], len(found) > count
            self._show(tables, is_more)
            if is_more and len(tables) < PAGE:
                self._more.layout.display = "none"
                self._read(tables, PAGE - len(tables), REST_DELAY)

        self._work("search", quietly(self._workspace.http, work), tell, self._fail, delay)

    def _show(self, tables: list[Table], is_more: bool) -> None:
        text, tag = self._asked
        self._tables = tables
        self._error.say("")
        self._again.layout.display = "none"
        self._sign_in.show(None)
        with self._list.hold_sync():
            self._list.empty = "No table is named like that." if text.strip() or tag else "There is no table yet."
            self._list.items = [item(each) for each in tables]
        self._list.chosen = [str(self.selection.id)] if self.selection is not None else []
        count = f"{len(tables):,} table{'' if len(tables) == 1 else 's'}"
        self._status.say(f"the first {count}" if is_more else count)
        self._more.disabled, self._more.layout.display = False, None if is_more else "none"
        self._names.update(tag for each in tables for tag in each.tags)
        self._tag.options = sorted(self._names)[:MOST_TAGS]
        self._tell_code()

    def _fail(self, error: Exception) -> None:
        self._error.complain(error)
        # Who is not signed in has a card to go on with.
        self._again.layout.display = "none" if isinstance(error, NotSignedIn) else None
        self._sign_in.show(error, "search", lambda: self._on_search(None))
        self._status.say("")
        self._more.disabled = False
        self._list.empty = "Nothing could be read."

    # -- choosing --------------------------------------------------------------------------------------------------

    @property
    def tables(self) -> list[Table]:
        """The tables that are listed now."""
        with self._lock:
            return list(self._tables)

    def select(self, table: Table | str | None) -> None:
        """Choose a table as if it were clicked: one that is listed, or any; None chooses nothing."""
        if isinstance(table, str):
            listed = [each for each in self.tables if each.name == table]
            table = listed[0] if listed else self._workspace.catalogue[table]
        with self._lock:
            self._choose(table)
            self._list.chosen = [] if table is None else [str(table.id)]

    def _on_message(self, _: Any, message: Any, __: Any) -> None:
        """Enter in the search: the first one it is, once the answer to what was typed is there."""
        if not isinstance(message, dict) or message.get("event") != "submit":
            return
        self._work("enter", lambda: self._workers["search"].wait(10), lambda _: self._choose_first(), self._fail)

    def _choose_first(self) -> None:
        if self._tables:
            self._list.chosen = [str(self._tables[0].id)]

    def _on_choice(self, change: Any) -> None:
        with self._lock:
            key = change["new"][0] if change["new"] else None
            if self.selection is not None and key == str(self.selection.id):
                return
            chosen = next((each for each in self._tables if str(each.id) == key), None)
            if chosen is not None:
                self._choose(chosen)

    def _choose(self, table: Table | None) -> None:
        if table is not None:
            self._page.show(table)
            self._offer_look(table)
        self._page.layout.display = None if table is not None else "none"
        self.set_trait("selection", table)
        self._tell_code()

    def _tell_code(self) -> None:
        text, tag = self._asked
        self._code.text = search_call(text, tag) if self.selection is None else table_call(self.selection.name)

    # -- looking into the data -------------------------------------------------------------------------------------

    def look(self) -> None:
        """Let the server look into the data of the chosen table, as the button does; returns at once."""
        with self._lock:
            table = self.selection
            if table is None or table.id in self._looking:
                return
            self._looking.add(table.id)
            self._offer_look(table)
            self._code.text = look_call(table.name)

            def finish(outcome: Any) -> None:
                self._looking.discard(table.id)
                # A search meanwhile has brought the table as it was.
                self._tables = [table if each == table else each for each in self._tables]
                self._list.items = [item(each) for each in self._tables]
                if self.selection is table:
                    self._page.show(table)
                    self._offer_look(table)
                    if isinstance(outcome, Exception):
                        self._page.line.complain(outcome)

            work = quietly(self._workspace.http, table.update_samples)
            self._work(f"look-{table.id}", work, finish, finish)

    def _offer_look(self, table: Table) -> None:
        """Offer a look into the data where nobody has looked yet, to those who may."""
        if table.id in self._looking:
            self._page.offer_look(False)
            self._page.line.say("The server looks at all rows. Of a big table that takes a while.")
        elif table.executor_type == "DUCKDB" and all(column.distribution is None for column in table.columns):

            def tell(me: Account) -> None:
                is_here = self.selection is table and table.id not in self._looking
                self._page.offer_look(is_here and me.type == "ADMIN")

            self._work("who", quietly(self._workspace.http, lambda: self._workspace.me), tell, lambda _: None)

    # -- going on --------------------------------------------------------------------------------------------------

    def build(self) -> RequestBuilder | None:
        """Build a request for the chosen table, as the button does; None if none is chosen."""
        with self._lock:
            table = self.selection
            if table is None:
                return None
            if self.builder is None or self.builder.table != table:
                if self.builder is not None:
                    self.builder.close()
                self.set_trait("builder", RequestBuilder(table, back=self.go_back))
            self.children = [self.builder]
            built: RequestBuilder = self.builder
            return built

    def go_back(self) -> None:
        """Show the catalogue again; what was built stays as it is."""
        with self._lock:
            self.children = [self._catalogue]

    def close(self) -> None:
        """End the work, and take the widget and everything in it away."""
        with self._lock:
            self.children = [self._catalogue, *([self.builder] if self.builder is not None else [])]
        super().close()


def item(table: Table) -> dict[str, Any]:
    """Return how a table stands in the list."""
    rows = rows_of(table.columns)
    counts = Counter(_TYPES.get(column.type, "other") for column in table.columns)
    kinds = [(f"{count} {kind}", "kind") for kind, count in counts.most_common()]
    return {
        "key": str(table.id),
        "title": clean(table.name),
        "facts": rows_text(rows)
        if rows is not None
        else f"{len(table.columns):,} column{'' if len(table.columns) == 1 else 's'}",
        "note": clean(table.description, 120),
        "by": clean(table.maintained_by.email, 80) if table.maintained_by else "",
        "tags": [*((clean(tag, 64), "free") for tag in table.tags[:8]), *kinds],
    }
