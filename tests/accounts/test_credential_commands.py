"""``jupyter cosphere secret …`` and ``apikey …`` as people run them, with a server and without."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from accounts.test_command_line import JUPYTER, Result, assert_failed, assert_said
from real_server import RealServer

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RealServer]:
    place = RealServer(tmp_path)
    yield place
    place.stop()


def run(place: RealServer, *arguments: str) -> Result:
    return subprocess.run(
        [str(JUPYTER), "cosphere", *arguments, f"--data-dir={place.data_dir}"],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def made(place: RealServer, *arguments: str) -> str:
    """Make a credential: nothing but its text on standard output, for scripts."""
    result = run(place, *arguments)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert re.fullmatch(r"cs_[a-z0-9]{8}_[A-Za-z0-9]{40}\n", result.stdout)
    return result.stdout.strip()


def table(place: RealServer, group: str) -> list[list[str]]:
    result = run(place, group, "list")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return [re.split(r"  +", line) for line in result.stdout.splitlines()]


def create(place: RealServer, credential: str, task: str = "hello", **headers: str) -> int:
    scheme = "Api-Key" if "Referer" in headers else "Secret"
    body = {"tasks": {"task_name": task, "name": "John"}}
    headers = {"Authorization": f"{scheme} {credential}", **headers}
    return httpx.post(f"{place.base}/v1/create", json=body, headers=headers, timeout=60, trust_env=False).status_code


@pytest.mark.parametrize("served", [pytest.param(True, id="a server"), pytest.param(False, id="no server")])
def test_credentials_are_made_listed_and_revoked(place: RealServer, served: bool) -> None:
    if served:
        place.start()
    run(place, "account", "create", "rosa@lab.example")
    secret, hers = made(place, "secret", "create"), made(place, "secret", "create", "--account=rosa@lab.example")
    pages = ["--referer=https://Lab.example", "--referer", "http://localhost:3000"]
    key = made(place, "apikey", "create", *pages, "--task=hello", "--task", "image.info")
    open_key = made(place, "apikey", "create", "--referer=https://lab.example", "--account=rosa@lab.example")
    ids = [text.split("_")[1] for text in (secret, hers, key, open_key)]
    header, first, second = table(place, "secret")
    assert header == ["id", "account", "last used", "state"]
    assert (first[0], second) == (ids[0], [ids[1], "rosa@lab.example", "never", "good"])
    header, third, fourth = table(place, "apikey")
    assert header == ["id", "account", "referers", "tasks", "last used", "state"]
    assert third[2:] == ["https://lab.example, http://localhost:3000", "hello, image.info", "never", "good"]
    assert fourth[1:4] == ["rosa@lab.example", "https://lab.example", "all"]
    assert_failed(run(place, "secret", "revoke", ids[2]), "there is no such secret")
    assert_said(run(place, "secret", "revoke", hers), f"Revoked secret {ids[1]}")
    assert_said(run(place, "apikey", "revoke", ids[3]), f"Revoked apikey {ids[3]}")
    if not served:
        place.start()
    page = {"Referer": "https://lab.example/app"}
    assert [create(place, secret), create(place, hers)] == [200, 401]
    assert [create(place, key, **page), create(place, open_key, **page)] == [200, 401]
    assert create(place, key, "fail", **page) == 403
    _, first, second = table(place, "secret")
    assert (first[-2] != "never", first[-1], second[-1]) == (True, "good", "revoked")


def test_commands_that_are_written_wrongly_say_how_to_write_them(place: RealServer) -> None:
    assert_failed(
        run(place, "apikey", "create"),
        "referers: name at least one origin whose pages may use the key, as https://lab.example",
    )
    assert_failed(
        run(place, "apikey", "create", "--referer=lab.example"),
        "referers: 'lab.example' is no origin: write scheme and host, as https://lab.example",
    )
    assert_failed(run(place, "secret", "create", "--account=nobody@lab.example"), "no such account")
    assert_failed(run(place, "secret", "revoke"), "usage: jupyter cosphere secret revoke ID")
    assert_failed(run(place, "secret", "list", "all"), "usage: jupyter cosphere secret list")
    for group in ("secret", "apikey"):
        result = subprocess.run(
            [str(JUPYTER), "cosphere", group], env=place.environment, capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 1 and "\nrevoke\n" in result.stdout
