"""What ``docs/runs.md`` shows is sent as it stands there."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from support import Api

TEXT = (Path(__file__).parent.parent.parent / "docs" / "runs.md").read_text(encoding="utf-8")


async def start(owner: Api, body: str) -> str:
    made = await owner.post("/rest/bundles?detached=1", raw=body.encode())
    assert made.status == 200, made.body
    return str(made.json["data"][0]["id"])


async def reaches(owner: Api, uuid: str, *states: str) -> Any:
    while True:
        found = (await owner.get(f"/rest/bundles/{uuid}")).json["data"]["attributes"]
        if found["state"] in states:
            return found
        assert found["state"] not in ("ready", "failed", "killed"), found
        await asyncio.sleep(0.05)


async def test_its_examples_work(owner: Api) -> None:
    run, kill = re.findall(r"-d '(.*?)'", TEXT, re.DOTALL)
    uuid = await start(owner, run)
    assert (await reaches(owner, uuid, "ready"))["metadata"]["request_time"] == "10m"
    written = await owner.get(f"/rest/bundles/{uuid}/contents/blob/stdout")
    assert written.status == 200 and written.body.decode().splitlines()[1].endswith(f"{uuid}/work")
    longer = await start(owner, run.replace(json.loads(run)["data"][0]["attributes"]["command"], "sleep 100"))
    await reaches(owner, longer, "running")
    assert (await owner.post("/rest/bundle-actions", raw=kill.replace("<id>", longer).encode())).status == 200
    await reaches(owner, longer, "killed")


async def test_its_states_and_settings_are_those_that_there_are() -> None:
    from cosphere_jupyter.app import CosphereApp
    from cosphere_jupyter.bundles.records import ACTIVE_STATES, FINAL_STATES

    for name in re.findall(r"\b(?:allow_runs|run_\w+_limit)\b", TEXT):
        assert CosphereApp.class_traits()[name].metadata.get("config"), name
    for state in (*ACTIVE_STATES, *FINAL_STATES, "created", "staged"):
        assert re.search(rf"\b{state}\b", TEXT), state
