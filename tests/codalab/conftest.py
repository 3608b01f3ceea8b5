"""The CodaLab face: people with passwords, a clock that tests turn, and calls as its command line sends them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
from codalab.bytes_of import Shelf
from support import Answer, Api

PASSWORD = "correct horse battery"
# The public client of the command line, with its empty secret.
CLIENT = "Basic Y29kYWxhYl9jbGlfY2xpZW50Og=="
FORM = "application/x-www-form-urlencoded"
COMMAND_LINE = {"X-Requested-With": "XMLHttpRequest", "Accept-Encoding": "identity"}


class Clock:
    """The real time, and as much more as a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead

    def pass_seconds(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class CommandLine(Api):
    """One caller with the headers of the command line: errors are plain text."""

    async def __call__(self, method: str, path: str, *args: Any, **options: Any) -> Answer:
        options["headers"] = {**COMMAND_LINE, **(options.get("headers") or {})}
        return await super().__call__(method, path, *args, **options)


class OAuth:
    """The two endpoints of OAuth2, with forms."""

    def __init__(self, base: str) -> None:
        self.api = Api(base)

    async def token(self, client: str | None = CLIENT, **form: str) -> Answer:
        """Ask for tokens, as the command line's client unless another ``Authorization`` is given."""
        return await self.send("token", form, client)

    async def password(self, username: str, password: str = PASSWORD) -> Answer:
        return await self.token(grant_type="password", username=username, password=password)

    async def refresh(self, refresh_token: str) -> Answer:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token)

    async def revoke(self, token: str, client: str | None = CLIENT, **form: str) -> Answer:
        return await self.send("revoke", {"token": token, **form}, client)

    async def send(self, endpoint: str, form: Any, client: str | None, **headers: str) -> Answer:
        """Post a form (a mapping, pairs, or the body itself)."""
        sent = {"Content-Type": FORM, **({"Authorization": client} if client else {}), **headers}
        raw = form if isinstance(form, bytes) else urlencode(form).encode()
        return await self.api.post(f"/rest/oauth2/{endpoint}", raw=raw, headers=sent)


@pytest.fixture
def clock() -> Clock:
    """Stands in for the workspace's clock."""
    return Clock()


@pytest.fixture
def services(services: Any, clock: Clock) -> Any:
    services.settings = dataclasses.replace(services.settings, clock=clock)
    return services


@pytest.fixture
def owner(services: Any, owner: Api) -> Api:
    """After the clock is set: the workspace opens with the first request."""
    return owner


@pytest.fixture
def oauth(owner: Api) -> OAuth:
    return OAuth(owner.base)


@pytest.fixture
def rosa(sign_up: Callable[..., Any], run: Any) -> Api:
    """A researcher with the user name ``rosa`` and a password."""
    return run(sign_up("rosa@lab.example", name="rosa", password=PASSWORD))


@pytest.fixture
def otto(sign_up: Callable[..., Any], run: Any) -> Api:
    return run(sign_up("otto@lab.example", name="otto", password=PASSWORD))


@pytest.fixture
def nora(sign_up: Callable[..., Any], run: Any) -> Api:
    """Somebody who is in no group."""
    return run(sign_up("nora@lab.example", name="nora"))


def as_command_line(caller: Api) -> CommandLine:
    """Return the caller as one whose errors are plain text."""
    return CommandLine(caller.base, caller.authorization, caller.account)


def user_id(caller: Api) -> str:
    """Return a caller's id in this API."""
    number = int(caller.account["id"])
    return "0" if number == 1 else f"0x{number:032x}"


def detail(answer: Answer) -> str:
    """Return the text of an error."""
    return str(answer.json["errors"][0]["detail"])


@pytest.fixture
def browser_cookie(owner: Api, jp_serverapp: Any, run: Any) -> str:
    """What a browser that is logged in to Jupyter sends by itself."""
    status = run(owner.get(f"http://127.0.0.1:{jp_serverapp.port}{jp_serverapp.base_url}api/status"))
    return "; ".join(header.partition(";")[0] for header in status.headers.get_list("Set-Cookie"))


@pytest.fixture
def shelf(researcher: Api, services: Any) -> Shelf:
    """Bundles of the researcher, and their contents."""
    return Shelf(researcher, services)
