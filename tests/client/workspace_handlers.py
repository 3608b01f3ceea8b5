"""What the small workspace of the tests answers, a handler for each route."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from tornado.web import RequestHandler

if TYPE_CHECKING:
    from client.workspace_server import WorkspaceServer

ACCOUNT = {"@type": "account", "id": 7, "email": "rosa@lab.example", "type": "ADMIN"}


def column(name: str, type: str = "INTEGER", is_enum: bool = False, is_nullable: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "type": type,
        "size": 1000,
        "is_enum": is_enum,
        "is_nullable": is_nullable,
        "distribution": None,
    }


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
        # As Jupyter does: whoever comes with a token leaves with a cookie, and is refused when it comes back with it,
        # unless it shows that it is no foreign page.
        self.set_cookie("username-localhost", "somebody")
        proof = self.request.headers.get("X-XSRFToken")
        if self.request.headers.get("Cookie", "") not in ("", f"_xsrf={proof}"):
            self.refuse(403, "XSRF_COOKIE_IS_MISSING")
            return
        for interceptor in list(server.interceptors):
            interceptor(self)
            if self._finished:
                return
        accepted = {f"token {server.token}", *(f"Bearer {jwt}" for jwt in server.jwts)}
        given = self.request.headers.get("Authorization", "")
        if self.needs_token and given.removeprefix("Bearer ") in server.expired:
            self.refuse(401, "AUTH_TOKEN_EXPIRED")
        elif self.needs_token and given not in accepted:
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


class AuthRequests(Base):
    needs_token = False

    def post(self) -> None:
        number = f"{len(self.server.sign_ins) + 1:08x}-0000-4000-8000-000000000000"
        self.server.sign_ins[number] = dict(self.server.bodies[-1])
        uri = f"{self.server.base}cosphere/accounts/auth_requests/{number}/authenticate/ui/"
        self.answer("AUTH_REQUEST_CREATED", {"authenticate_ui_uri": uri, "request_uuid": number}, 201)


class AuthTokens(Base):
    """Refuses as ``answers_to_polls`` says; then gives the token of whoever signed in: ``sign_in``."""

    needs_token = False

    def post(self) -> None:
        body, server = self.server.bodies[-1], self.server
        if server.answers_to_polls:
            status, event, headers = server.answers_to_polls.pop(0)
            for name, value in headers.items():
                self.set_header(name, value)
            self.refuse(status, event)
            return
        asked = server.sign_ins[body["request_uuid"]]
        digest = hashlib.sha256(body["code_verifier"].encode()).digest()
        assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        claims = base64.urlsafe_b64encode(json.dumps({"email": ACCOUNT["email"]}).encode()).decode().rstrip("=")
        token = f"head.{claims}.secret{len(server.jwts)}"
        server.jwts.add(token)
        self.answer("AUTH_TOKEN_CREATED", {"@type": "auth_token", "token": token}, 201)


class Items(Base):
    def get(self) -> None:
        name = self.get_query_argument("name", None)
        self.server.bodies.append({key: values[-1].decode() for key, values in self.request.query_arguments.items()})
        items = [item for item in self.server.items if name is None or item["name"] == name]
        start = int(self.get_query_argument("offset", "0"))
        items = items[start:][: int(self.get_query_argument("limit", "10000"))]
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
    def get(self, item_id: str) -> None:
        self.answer("CATALOGUEITEM_READ", self.server.items[int(item_id) - 1])

    def put(self, item_id: str) -> None:
        item = self.server.items[int(item_id) - 1]
        kept = ("spec", "source", "description", "tags")
        item.update({key: value for key, value in self.server.bodies[-1].items() if key in kept})
        self.answer("CATALOGUEITEM_UPDATED", item)

    def delete(self, item_id: str) -> None:
        del self.server.items[int(item_id) - 1]
        self.answer("CATALOGUEITEM_DELETED", {"@type": "empty"})


class Samples(Base):
    async def put(self, item_id: str) -> None:
        await asyncio.sleep(self.server.profile_seconds)
        self.server.items[int(item_id) - 1].update(self.server.profile)
        if not self.request.connection.stream.closed():  # type: ignore[union-attr]
            self.answer("CATALOGUEITEM_WITH_SAMPLE_AND_DISTRIBUTION_UPDATED", {"@type": "empty"})


class Permissions(Base):
    def get(self, item_id: str) -> None:
        self.answer("CATALOGUEITEM_PERMISSIONS_READ", {"permissions": self.server.permissions})

    def put(self, item_id: str) -> None:
        self.server.permissions = self.server.bodies[-1]["permissions"]
        self.answer("CATALOGUEITEM_PERMISSIONS_UPDATED", {"permissions": self.server.permissions})


class Estimate(Base):
    def post(self) -> None:
        self.answer("SIZE_OF_DOWNLOAD_REQUEST_ESTIMATED", self.server.estimate)


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
        # An equal request is the same one; it runs again if its result is gone.
        equal = [key for key, known in server.requests.items() if known["spec"] == body["spec"]]
        number = equal[0] if equal else len(server.requests) + 1
        if equal and server.requests[number]["blob_name"]:
            self.answer("DOWNLOADREQUEST_READ", self.entity(server.requests[number]))
            return
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
