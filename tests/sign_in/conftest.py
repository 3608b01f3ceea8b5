"""A clock that tests turn, an issuer on this machine, and the steps of a sign-in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sign_in.issuer import Issuer, Key
from support import Answer, Api

CREATE = "/accounts/auth_requests/"
ATTACH = "/accounts/auth_requests/attach_account/"
PASSWORD = "/accounts/auth_requests/attach_password/"
REDEEM = "/accounts/auth_tokens/"


class Clock:
    """The real time, and as much more as a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead

    def pass_seconds(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def issuer_keys() -> list[Key]:
    return [Key("rsa-1"), Key("ec-1", "ES256")]


@pytest.fixture
def issuer(jp_asyncio_loop: Any, issuer_keys: list[Key]) -> Generator[Issuer, None, None]:
    issuer = Issuer(keys=list(issuer_keys))

    async def start() -> Any:
        return issuer.start()

    server = jp_asyncio_loop.run_until_complete(start())
    yield issuer
    server.stop()
    jp_asyncio_loop.run_until_complete(server.close_all_connections())


@pytest.fixture
def providers(issuer: Issuer) -> list[dict[str, Any]]:
    """What the workspace is configured with; tests override it."""
    return [issuer.provider]


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any], providers: list[dict[str, Any]]) -> dict[str, Any]:
    jp_server_config["CosphereApp"]["oidc_providers"] = providers
    return jp_server_config


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


class Steps:
    """The steps of a sign-in, as a program and a page take them."""

    def __init__(self, api: Api, services: Any, issuer: Issuer) -> None:
        self.api = api
        self.services = services
        self.issuer = issuer

    async def create(self, body: Any = None) -> str:
        answer = await self.api.post(CREATE, body)
        assert answer.status == 201, answer.body
        return str(answer.json["request_uuid"])

    def nonce(self, request_uuid: str) -> str:
        return str(self.services.openid.nonce(request_uuid))

    def token(self, request_uuid: str, **changes: Any) -> str:
        return self.issuer.token(self.nonce(request_uuid), **changes)

    async def attach(self, request_uuid: str, token: str | None = None, email: str = "rosa@lab.example") -> Answer:
        token = self.token(request_uuid) if token is None else token
        return await self.api.post(ATTACH, {"request_uuid": request_uuid, "oauth_token": token, "email": email})

    async def attach_password(self, request_uuid: str, email: str, password: str) -> Answer:
        return await self.api.post(PASSWORD, {"request_uuid": request_uuid, "email": email, "password": password})

    async def redeem(self, request_uuid: str, **more: Any) -> Answer:
        return await self.api.post(REDEEM, {"request_uuid": request_uuid, **more})

    async def me(self, answer: Answer) -> dict[str, Any]:
        assert answer.status == 201, answer.body
        me = await self.api.of(f"Bearer {answer.json['token']}").get("/accounts/me")
        assert me.status == 200, me.body
        return dict(me.json)


@pytest.fixture
def steps(anybody: Api, services: Any, issuer: Issuer, clock: Clock, run: Callable[..., Any]) -> Steps:
    run(services.ready())
    return Steps(anybody, services, issuer)


@pytest.fixture
def page_of(anybody: Api) -> Callable[..., Any]:
    async def get(request_uuid: str, **options: Any) -> Answer:
        return await anybody.get(f"{CREATE}{request_uuid}/authenticate/ui/", **options)

    return get
