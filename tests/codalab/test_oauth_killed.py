"""A server that is killed between a refresh and its reply locks nobody out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_server import RealServer

pytestmark = pytest.mark.crash

PASSWORD = "correct horse battery"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    server = RealServer(tmp_path)
    server.start()
    yield server
    server.stop()


def grant(server: RealServer, **form: str) -> dict[str, Any]:
    answer = httpx.post(f"{server.base}/rest/oauth2/token", data=form, auth=("codalab_cli_client", ""), timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_same_pair_is_given_by_the_next_server(server: RealServer) -> None:
    made = server.call("POST", "/accounts/", {"email": "rosa@lab.example", "name": "rosa", "password": PASSWORD})
    assert made.status_code == 201
    first = grant(server, grant_type="password", username="rosa", password=PASSWORD)
    lost = grant(server, grant_type="refresh_token", refresh_token=first["refresh_token"])
    server.kill()
    server.start()
    again = grant(server, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (again["access_token"], again["refresh_token"]) == (lost["access_token"], lost["refresh_token"])
    for pair in (first, again):
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        assert httpx.get(f"{server.base}/rest/user", headers=bearer, timeout=30).status_code == 200
    assert grant(server, grant_type="refresh_token", refresh_token=again["refresh_token"])["expires_in"] == 3600
