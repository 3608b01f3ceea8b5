"""Callers that are not who they should be: forged tokens, and a browser with Jupyter's own cookies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import jwt
import pytest
from support import Api


@pytest.fixture
def key(owner: Api, tmp_path: Path) -> bytes:
    """The key that the workspace signs its tokens with."""
    return (tmp_path / "workspace" / "keys" / "jwt.key").read_bytes()


@pytest.fixture
def forge(key: bytes) -> Callable[..., str]:
    """Sign a token for an account as the workspace would; a claim that is None is left out."""

    def make(account: dict[str, Any], algorithm: str = "HS256", key: bytes | None = key, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "id": account["id"],
            "email": account["email"],
            "type": account["type"],
            "epoch": 0,
            "iss": "cosphere",
            "iat": now,
            "exp": now + 600,
            **claims,
        }
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(payload, key, algorithm=algorithm)

    return make


@dataclass
class Browser:
    """What a browser that is logged in to Jupyter sends by itself, and the XSRF token that only its pages know."""

    cookie: str
    xsrf: str


@pytest.fixture
def browser(owner: Api, jp_serverapp: Any, run: Callable[..., Any]) -> Browser:
    jupyter = f"http://127.0.0.1:{jp_serverapp.port}{jp_serverapp.base_url}"
    page = run(owner.of(None).get(f"{jupyter}login"))
    assert page.status == 200
    logged_in = run(owner.get(f"{jupyter}api/status"))
    cookies: SimpleCookie = SimpleCookie()
    for header in page.headers.get_list("Set-Cookie") + logged_in.headers.get_list("Set-Cookie"):
        cookies.load(header)
    assert "_xsrf" in cookies and len(cookies) == 2, cookies
    return Browser(
        "; ".join(f"{name}={morsel.coded_value}" for name, morsel in cookies.items()), cookies["_xsrf"].value
    )
