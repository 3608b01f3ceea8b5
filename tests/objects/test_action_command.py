"""``jupyter cosphere action …`` as people run it, with and without a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from real_server import RealServer

pytestmark = pytest.mark.slow

JUPYTER = Path(sys.executable).with_name("jupyter")
SCHEMA = {
    "title": "Sample",
    "type": "object",
    "properties": {"name": {"title": "Name", "type": "text"}},
    "required": ["name"],
}


def run(place: RealServer, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    command = [str(JUPYTER), "cosphere", "action", *arguments, f"--data-dir={place.data_dir}"]
    result = subprocess.run(
        command, env=place.environment, capture_output=True, text=True, timeout=120, input=typed, check=False
    )
    return result.returncode, result.stdout, result.stderr


def test_actions_are_created_from_files_whether_the_server_runs_or_not(tmp_path: Path) -> None:
    place = RealServer(tmp_path)
    file = tmp_path / "action.json"
    action = {"name": "Grow a crystal", "type": "sample", "schema": SCHEMA, "description": "In the\noven."}
    file.write_text(json.dumps(action), encoding="utf-8")
    broken = json.dumps({**action, "type": "recipe"})
    try:
        for number in (0, 1):
            code, said, wrong = run(place, "create", str(file))
            assert (code, wrong) == (0, "")
            assert said.startswith(f"Created action {number}: Grow a crystal (sample) in ")
            refused = run(place, "create", "-", typed=broken)
            assert refused == (1, "", "Error: type must be one of sample, measurement, simulation, custom\n")
            code, said, _ = run(place, "list")
            lines = [line.split(maxsplit=1) for line in said.splitlines()]
            assert [line[0] for line in lines] == ["id", *map(str, range(number + 1))]
            assert lines[1][1].endswith("Grow a crystal  In the oven.")
            if number == 0:
                place.start()
        assert place.call("GET", "/api/v1/actions/1").json()["schema"] == SCHEMA
        assert run(place, "create", "-", typed="{")[2].startswith("Error: - is no JSON: ")
        assert run(place, "create", str(tmp_path / "no such file"))[2].endswith(
            "cannot be read: No such file or directory\n"
        )
    finally:
        place.stop()
