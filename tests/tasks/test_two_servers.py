"""Two servers on one data directory: one of them runs the tasks, each once, and the other one takes over."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from cosphere_jupyter.errors import Unavailable
from cosphere_jupyter.named.spec import Definition
from cosphere_jupyter.services import Services, Settings

LAB = """
import os, time
from cosphere_jupyter.named import TaskContext, task

@task(quick=True)
def note(context: TaskContext, log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{context.key}\\n".encode())
    time.sleep(0.05)
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    folder = tmp_path / "lab"
    info = folder / "noting-1.dist-info"
    info.mkdir(parents=True)
    (folder / "noting.py").write_text(LAB)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noting\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cosphere.tasks]\nnote = noting:note\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))


async def test_each_task_runs_once_whichever_server_has_the_directory(tmp_path, lab):
    log = tmp_path / "begun"
    settings = Settings(data_dir=tmp_path / "workspace", data_folders=(tmp_path,))
    first, second = [Services(settings, logging.getLogger("test")) for _ in range(2)]
    await first.ready()
    owner = await first.accounts.owner()
    created = await first.named.create([Definition("note", {"log": str(log)}) for _ in range(80)], owner)
    keys = [task.key for task in created]
    while not log.exists() or len(log.read_text().split()) < 10:
        with pytest.raises(Unavailable):
            await second.ready()
        await asyncio.sleep(0.02)
    await first.stop()
    before = Counter(log.read_text().split())
    await second.ready()
    found = await second.task_list.wait(keys, None, 120)
    begun = Counter(log.read_text().split())
    assert set(begun) == set(keys) and set(begun.values()) == {1}
    assert 10 <= len(before) < 80
    # What ran when the first one stopped may have had side effects: it is not run again.
    errors = {found[key].state.error for key in keys if found[key].state.status == "error"}
    assert errors <= {"the server stopped while the task was running; not run again because it may have side effects"}
    assert sum(task.state.status == "success" for task in found.values()) >= 78
    await second.stop()
