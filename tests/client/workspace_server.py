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
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

ACCOUNT = {"@type": "account", "id": 7, "email": "rosa@lab.example", "type": "ADMIN"}
TYPES = {"INTEGER": pa.int64(), "FLOAT": pa.float64(), "STRING": pa.string(), "BOOLEAN": pa.bool_()}


def column(name: str, type: str = "INTEGER", is_enum: bool = False, is_nullable: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "type": type,
        "size": 1000,
        "is_enum": is_enum,
        "is_nullable": is_nullable,
        "distribution": None,
    }


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
                (f"{mount}/accounts/me", Me, options),
                (f"{mount}/catalogue/items/", Items, options),
                (rf"{mount}/catalogue/items/(\d+)", Item, options),
                (f"{mount}/downloader/requests/", Requests, options),
                (rf"{mount}/downloader/requests/(\d+)", Request, options),
                (rf"{mount}/results/([\w=-]+)/([\w.-]+)", Result, options),
                (".*", Nothing, options),
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


class Base(RequestHandler):
    server: WorkspaceServer
    needs_token = True

    def initialize(self, server: WorkspaceServer) -> None:
        self.server = server

    async def prepare(self) -> None:
        server = self.server
        server.seen.append((self.request.method or "", self.request.path, dict(self.request.headers)))
        if self.request.body:
            server.bodies.append(json.loads(self.request.body))
        # As Jupyter does: whoever comes with a token leaves with a cookie, and is refused when it comes back with it.
        self.set_cookie("username-localhost", "somebody")
        if self.request.headers.get("Cookie"):
            self.refuse(403, "XSRF_COOKIE_IS_MISSING")
            return
        for interceptor in list(server.interceptors):
            interceptor(self)
            if self._finished:
                return
        accepted = (f"token {server.token}", "Bearer a.b.c")
        if self.needs_token and self.request.headers.get("Authorization") not in accepted:
            self.refuse(401, "COULD_NOT_FIND_AUTH_TOKEN")

    def refuse(self, status: int, event: str, **extras: Any) -> None:
        self.set_status(status)
        self.finish({"@event": event, "@type": "error", **extras})

    def answer(self, event: str, body: dict[str, Any], status: int = 200) -> None:
        self.set_status(status)
        self.finish({"@event": event, **body})


class Me(Base):
    def get(self) -> None:
        self.answer("ACCOUNT_READ", {**ACCOUNT, "name": "Rosa", "is_active": True, "disk_quota": None})


class Items(Base):
    def get(self) -> None:
        name = self.get_query_argument("name", None)
        self.server.bodies.append({key: values[-1].decode() for key, values in self.request.query_arguments.items()})
        items = [item for item in self.server.items if name is None or item["name"] == name]
        self.answer("CATALOGUEITEMS_BULK_READ", {"items": items})

    def post(self) -> None:
        body = self.server.bodies[-1]
        if any(item["name"] == body["name"] for item in self.server.items):
            errors = {"name": ["catalogue item with this name already exists."]}
            self.refuse(400, "BODY_JSON_DID_NOT_PARSE", errors=errors)
            return
        item = self.server.add_item(body["name"], body.get("spec") or [column("a")])
        self.answer("CATALOGUEITEM_CREATED", item, 201)


class Item(Base):
    def put(self, item_id: str) -> None:
        item = self.server.items[int(item_id) - 1]
        item.update({key: value for key, value in self.server.bodies[-1].items() if key in ("spec", "source")})
        self.answer("CATALOGUEITEM_UPDATED", item)

    def delete(self, item_id: str) -> None:
        del self.server.items[int(item_id) - 1]
        self.answer("CATALOGUEITEM_DELETED", {"@type": "empty"})


class WithRequests(Base):
    def entity(self, request: dict[str, Any]) -> dict[str, Any]:
        uri = None
        if request["blob_name"]:
            uri = self.link(request["blob_name"], "manifest.json")
        return {**request, "manifest_uri": uri, "download_uri": uri}

    def link(self, name: str, file: str) -> str:
        mount = f"http://{self.request.host}{self.server.base}cosphere"
        return f"{mount}/results/{name}/{file}?signature={self.server.link_key}"


class Requests(WithRequests):
    def get(self) -> None:
        requests = [self.entity(request) for request in self.server.requests.values()]
        self.answer("DOWNLOADREQUESTS_BULK_READ", {"requests": requests})

    def post(self) -> None:
        body, server = self.server.bodies[-1], self.server
        item = next(item for item in server.items if item["id"] == body["catalogue_item_id"])
        number = len(server.requests) + 1
        task = {"@type": "task", "key": "K", "status": "queued", "progress": None, "error": None}
        request = {
            "@type": "download_request",
            "id": number,
            "spec": body["spec"],
            "blob_name": None,
            "real_size": None,
            "estimated_size": 10,
            "executor_job_id": None,
            "catalogue_item": item,
            "created_by": ACCOUNT,
            "is_cancelled": False,
            "task": task,
        }
        server.requests[number] = request
        if item["name"] in server.outcomes:
            server.outcomes[item["name"]](request)
        self.answer("DOWNLOADREQUEST_CREATED", self.entity(request), 201)


class Request(WithRequests):
    async def get(self, request_id: str) -> None:
        request = self.server.requests.get(int(request_id))
        if request is None:
            self.refuse(404, "COULD_NOT_FIND_DOWNLOADREQUEST")
            return
        seconds = int(self.get_query_argument("wait", "0"))
        assert 0 <= seconds <= 30
        before = json.dumps(request["task"])
        for _ in range(seconds * 50):
            if request["task"]["status"] in ("success", "error") or json.dumps(request["task"]) != before:
                break
            await asyncio.sleep(0.02)
        self.answer("DOWNLOADREQUEST_READ", self.entity(request))

    def delete(self, request_id: str) -> None:
        if self.server.requests.pop(int(request_id), None) is None:
            self.refuse(404, "COULD_NOT_FIND_DOWNLOADREQUEST")
            return
        self.answer("DOWNLOADREQUEST_DELETED", {"@type": "empty"})


class Result(WithRequests):
    needs_token = False

    async def get(self, name: str, file: str) -> None:
        server = self.server
        if self.get_query_argument("signature") != server.link_key:
            self.refuse(403, "ACCESS_DENIED")
            return
        path = server.folder / name / file
        if file == "manifest.json":
            manifest = json.loads(path.read_text())
            files = [{**each, "uri": self.link(name, each["name"])} for each in manifest["files"]]
            folder = str(path.parent) if server.shows_folder else None
            # As the server does: a manifest has no event.
            self.finish({**manifest, "files": files, "folder": folder})
            return
        data = path.read_bytes()
        start = 0
        if asked := self.request.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        rest = data[start:]
        self.set_header("Content-Length", str(len(rest)))
        if server.break_after:
            self.write(rest[: server.break_after.pop(0)])
            await self.flush()
            self.request.connection.stream.close()  # type: ignore[union-attr]
            return
        self.finish(rest)


class Nothing(Base):
    needs_token = False

    def get(self) -> None:
        self.set_status(404)
        self.finish(f"<html>Not here. <!-- {self.server.token} --></html>")

    post = get
