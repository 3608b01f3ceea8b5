"""A small workspace on a real Tornado server in a thread: it keeps the HTTP contract, and can misbehave on demand.

What it serves is given by the test: tables of the catalogue, and for each request the Arrow table that comes out.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from client import workspace_handlers as handlers
from client.workspace_handlers import ACCOUNT, column
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

__all__ = ["ACCOUNT", "WorkspaceServer", "column"]


class WorkspaceServer:
    """Start it with ``with``; ``url`` is that of the Jupyter server it plays."""

    def __init__(
        self, folder: Path, token: str = "jupyter-secret", base: str = "/", socket: Path | None = None
    ) -> None:
        self.folder = folder
        self.token = token
        self.base = base
        self.socket = socket
        self.items: list[dict[str, Any]] = []
        self.requests: dict[int, dict[str, Any]] = {}
        self.outcomes: dict[str, Callable[[dict[str, Any]], None]] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        # What goes wrong.
        self.interceptors: list[Callable[[RequestHandler], Any]] = []
        self.shows_folder = False
        self.break_after: list[int] = []
        self.link_key = "first"
        # What is computed, who signs in, and which tokens are good besides its own.
        self.profile: dict[str, Any] = {}
        self.profile_seconds = 0.0
        self.estimate: dict[str, Any] = {"estimated_size": 1000}
        self.permissions: list[dict[str, Any]] = [{"subject_type": "everyone", "subject_id": 0, "level": "read"}]
        self.sign_ins: dict[str, dict[str, Any]] = {}
        self.answers_to_polls: list[tuple[int, str, dict[str, str]]] = []
        self.jwts = {"a.b.c"}
        self.expired: set[str] = set()

    def __enter__(self) -> WorkspaceServer:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        mount = f"{self.base}cosphere"
        options = {"server": self}
        application = Application(
            [
                (f"{mount}/accounts/me", handlers.Me, options),
                (f"{mount}/accounts/auth_requests/", handlers.AuthRequests, options),
                (f"{mount}/accounts/auth_tokens/", handlers.AuthTokens, options),
                (f"{mount}/catalogue/items/", handlers.Items, options),
                (rf"{mount}/catalogue/items/(\d+)", handlers.Item, options),
                (rf"{mount}/catalogue/items/(\d+)/permissions/", handlers.Permissions, options),
                (rf"{mount}/catalogue/items/(\d+)/samples_and_distributions/", handlers.Samples, options),
                (f"{mount}/downloader/requests/", handlers.Requests, options),
                (f"{mount}/downloader/requests/estimate/", handlers.Estimate, options),
                (rf"{mount}/downloader/requests/(\d+)", handlers.Request, options),
                (rf"{mount}/results/([\w=-]+)/([\w.-]+)", handlers.Result, options),
                (".*", handlers.Nothing, options),
            ]
        )
        server = HTTPServer(application)
        if self.socket:
            from tornado.netutil import bind_unix_socket

            server.add_socket(bind_unix_socket(str(self.socket)))
            self.port = 0
        else:
            sockets = bind_sockets(0, "127.0.0.1")
            server.add_sockets(sockets)
            self.port = sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
        server.stop()
        await server.close_all_connections()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    # -- what the test gives ---------------------------------------------------------------------------------------

    def add_item(self, name: str, columns: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
        item = {
            "@type": "catalogue_item",
            "id": len(self.items) + 1,
            "name": name,
            "spec": columns,
            "sample": [],
            "executor_type": "DUCKDB",
            "source": f"{name}.parquet",
            "created_by": ACCOUNT,
            "updated_by": ACCOUNT,
            "maintained_by": ACCOUNT,
            **values,
        }
        self.items.append(item)
        return item

    def publish(self, name: str, table: pa.Table, files: int = 1, **options: Any) -> dict[str, Any]:
        """Write a result of several Parquet files and return its manifest."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        named, rows = [], -(-table.num_rows // files) if table.num_rows else 0
        for number in range(files):
            part = table.slice(number * rows, rows)
            path = folder / f"part-{number}.parquet"
            pq.write_table(part, path, **options)
            named.append({"name": path.name, "rows": part.num_rows, "bytes": path.stat().st_size})
        manifest = {
            "id": name,
            "rows": table.num_rows,
            "bytes": sum(file["bytes"] for file in named),
            "files": named,
            "schema": [{"name": field.name, "type": str(field.type)} for field in table.schema],
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return manifest

    def will_answer(self, item: str, table: pa.Table, files: int = 1, **options: Any) -> None:
        """Requests of this item succeed at once with this table."""

        def outcome(request: dict[str, Any]) -> None:
            name = f"result-{item}"
            if not (self.folder / name).exists():
                self.publish(name, table, files, **options)
            self.finish(request, name)

        self.outcomes[item] = outcome

    def finish(self, request: dict[str, Any], name: str) -> None:
        manifest = json.loads((self.folder / name / "manifest.json").read_text())
        request.update(blob_name=name, real_size=manifest["bytes"])
        request["task"].update(status="success", progress={"fraction": 1.0})

    def paths(self, part: str = "") -> list[str]:
        return [path for _, path, _ in self.seen if part in path]
