"""``jupyter cosphere account …`` as people run it: processes, exit codes, and one sentence for what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_server import RealServer

pytestmark = pytest.mark.slow

JUPYTER = Path(sys.executable).with_name("jupyter")


Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


def commands_of(place: RealServer) -> Run:
    """Run account commands on the data directory of ``place``, whether it has been started or not."""

    def run(*arguments: str, typed: str = "") -> Result:
        return subprocess.run(
            [str(JUPYTER), "cosphere", "account", *arguments, f"--data-dir={place.data_dir}"],
            env=place.environment,
            capture_output=True,
            text=True,
            timeout=120,
            input=typed,
        )

    return run


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RealServer]:
    place = RealServer(tmp_path)
    yield place
    place.stop()


def assert_said(result: Result, *lines: str) -> None:
    assert (result.returncode, result.stderr) == (0, ""), (result.returncode, result.stdout, result.stderr)
    said = [line.partition(" in /")[0] if line.startswith("Created") else line for line in result.stdout.splitlines()]
    assert said == list(lines)


def assert_failed(result: Result, text: str) -> None:
    """Exit code 1, one sentence on standard error, nothing on standard output."""
    assert (result.returncode, result.stdout) == (1, ""), (result.returncode, result.stdout, result.stderr)
    assert result.stderr.splitlines() == [f"Error: {text}"]


def administer(run: Run) -> str:
    """The life of two accounts on the command line; returns a token of the one who stays."""
    options = ["--type=ADMIN", "--name=Ada L.", "--disk-quota=1.5GB", "--password=analytical"]
    assert_said(run("create", "ada@lab.example", *options), "Created account 2: ada@lab.example (ADMIN)")
    assert_said(run("create", "rosa@lab.example"), "Created account 3: rosa@lab.example (RESEARCHER)")
    token = run("token", "ada@lab.example")
    assert (token.returncode, token.stderr) == (0, ""), token.stderr
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", token.stdout)
    assert_said(run("disable", "rosa@lab.example"), "Disabled account rosa@lab.example")
    listed = run("list")
    assert (listed.returncode, listed.stderr) == (0, ""), listed.stderr
    header, owner, ada, rosa = [re.split(r"  +", line) for line in listed.stdout.splitlines()]
    assert header == ["id", "email", "name", "type", "disk quota", "state"]
    assert (owner[0], owner[3:]) == ("1", ["ADMIN", "-", "active"])
    assert ada == ["2", "ada@lab.example", "Ada L.", "ADMIN", "1.5 GB", "active"]
    assert rosa == ["3", "rosa@lab.example", "-", "RESEARCHER", "-", "disabled"]
    return token.stdout.strip()


def refuse(run: Run) -> None:
    """What the rules forbid is said in their own words."""
    wrong = {
        ("create", "ada@lab.example"): "email: account with this email already exists.",
        ("token", "nobody@lab.example"): "no such account",
        ("token", "rosa@lab.example"): "account is disabled",
    }
    for arguments, text in wrong.items():
        assert_failed(run(*arguments), text)


def test_accounts_are_administered_while_no_server_runs_and_the_server_knows_them(place: RealServer) -> None:
    run = commands_of(place)
    token = administer(run)
    refuse(run)
    assert_said(run("enable", "rosa@lab.example"), "Enabled account rosa@lab.example")
    assert run("token", "rosa@lab.example").returncode == 0
    assert_failed(run("enable", "nobody@lab.example"), "no such account")
    assert not (place.data_dir / "owner.json").exists(), "nobody owns the directory any more"
    place.start()
    answer = place.call("GET", "/accounts/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["email"]) == (200, "ada@lab.example")


def test_accounts_are_administered_while_a_server_runs_and_take_effect_at_once(place: RealServer) -> None:
    run = commands_of(place)
    place.start()
    bearer = {"Authorization": f"Bearer {administer(run)}"}
    refuse(run)
    assert place.call("GET", "/accounts/me", headers=bearer).json()["email"] == "ada@lab.example"
    assert_said(run("disable", "ada@lab.example"), "Disabled account ada@lab.example")
    refused = place.call("GET", "/accounts/me", headers=bearer)
    assert (refused.status_code, refused.json()["@event"]) == (401, "AUTH_TOKEN_MISSING_ACCOUNT")
    owner = place.call("GET", "/accounts/me").json()["email"]
    assert_failed(run("disable", owner), "last admin detected")
    assert_said(run("enable", "ada@lab.example"), "Enabled account ada@lab.example")
    assert place.call("GET", "/accounts/me", headers=bearer).status_code == 401, "what was void stays void"
    bearer = {"Authorization": f"Bearer {run('token', 'ada@lab.example').stdout.strip()}"}
    assert place.call("GET", "/accounts/me", headers=bearer).json()["email"] == "ada@lab.example"
    # The server was killed: the directory is nobody's, and the commands work on it as before.
    place.kill()
    assert_said(run("create", "later@lab.example"), "Created account 4: later@lab.example (RESEARCHER)")


def test_a_password_can_come_through_a_pipe(place: RealServer) -> None:
    run = commands_of(place)
    said = "Created account 2: ada@lab.example (RESEARCHER)"
    assert_said(run("create", "ada@lab.example", "--password=-", typed="analytical\nand more\n"), said)
    assert_failed(run("create", "rosa@lab.example", "--password=-", typed=""), "no password was given")
    weak = "password: This password is too common."
    assert_failed(run("create", "rosa@lab.example", "--password=-", typed="password\n"), weak)
    place.start()
    request = place.call("POST", "/accounts/auth_requests/").json()["request_uuid"]
    signing_in = {"request_uuid": request, "email": "ada@lab.example", "password": "analytical"}
    assert place.call("POST", "/accounts/auth_requests/attach_password/", signing_in).status_code == 200


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(True, id="a server"),
        pytest.param(False, id="no server"),
    ],
)
def test_commands_that_run_at_the_same_time_all_succeed(place: RealServer, served: bool) -> None:
    run = commands_of(place)
    if served:
        place.start()
    emails = [f"{number}@lab.example" for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda email: run("create", email), emails))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4
    listed = run("list").stdout
    for email in emails:
        assert listed.count(email) == 1, listed


def test_commands_that_are_written_wrongly_say_how_to_write_them(place: RealServer) -> None:
    usage = "usage: jupyter cosphere account "
    wrong = {
        ("create",): usage + "create EMAIL [--name NAME] [--type ADMIN|RESEARCHER] [--password P] [--disk-quota SIZE]",
        ("disable", "a@lab.example", "b@lab.example"): usage + "disable EMAIL",
        ("list", "everything"): usage + "list",
        ("create", "a@lab.example", "--disk-quota=plenty"): (
            "'plenty' is no size: write for example 500MB, 10GiB or a number of bytes"
        ),
    }
    run = commands_of(place)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda arguments: run(*arguments), wrong))
    boss = run("create", "a@lab.example", "--type=BOSS")
    for result, text in zip(results, wrong.values(), strict=True):
        assert_failed(result, text)
    assert boss.returncode == 1 and "'RESEARCHER', 'ADMIN'" in boss.stderr and "Traceback" not in boss.stderr
    assert not place.data_dir.exists(), "nothing was opened for any of this"


def test_without_a_command_the_commands_are_listed(place: RealServer) -> None:
    result = subprocess.run(
        [str(JUPYTER), "cosphere", "account"], env=place.environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for command in ("create", "list", "token", "disable", "enable"):
        assert f"\n{command}\n" in result.stdout, result.stdout
