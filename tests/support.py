"""What tests of several features use: an HTTP client that never raises, and small pieces of data."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

NO_BODY = object()


@dataclass
class Answer:
    """A response: status, headers and parsed JSON (None where it is no JSON)."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event(self) -> str:
        return str(self.json["@event"])

    @property
    def errors(self) -> Any:
        return self.json.get("errors")


class Api:
    """Calls paths below the mount point as one caller (``authorization`` is the header's value, or None)."""

    def __init__(self, base: str, authorization: str | None = None, account: dict[str, Any] | None = None) -> None:
        self.base = base.rstrip("/")
        self.authorization = authorization
        self.account = account or {}

    def of(self, authorization: str | None) -> Api:
        return Api(self.base, authorization)

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = NO_BODY,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        sent = {**({"Authorization": self.authorization} if self.authorization else {}), **(headers or {})}
        content = raw if raw is not None else (None if body is NO_BODY else json.dumps(body).encode())
        url = path if path.startswith("http") else self.base + path
        request = HTTPRequest(
            url,
            method=method,
            headers=sent,
            body=content,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            request_timeout=60,
        )
        response: HTTPResponse = await AsyncHTTPClient().fetch(request, raise_error=False)
        return Answer(response.code, response.headers, response.body or b"")

    async def get(self, path: str, **options: Any) -> Answer:
        return await self("GET", path, **options)

    async def post(self, path: str, body: Any = NO_BODY, **options: Any) -> Answer:
        return await self("POST", path, body, **options)

    async def put(self, path: str, body: Any = NO_BODY, **options: Any) -> Answer:
        return await self("PUT", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self("DELETE", path, **options)

    async def settled(self, request_id: int, seconds: float = 60) -> dict[str, Any]:
        """Wait for a download request's task to end and return the request."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            answer = await self.get(f"/downloader/requests/{request_id}?wait=10")
            assert answer.status == 200, answer.body
            request: dict[str, Any] = answer.json
            if request["task"] is None or request["task"]["status"] in ("success", "error"):
                return request
            assert asyncio.get_running_loop().time() < deadline, request["task"]


def column(name: str = "value", type: str = "FLOAT", **others: Any) -> dict[str, Any]:
    """Return a column of a spec."""
    return {
        "name": name,
        "type": type,
        "size": None,
        "is_enum": False,
        "is_nullable": True,
        "distribution": None,
        **others,
    }
