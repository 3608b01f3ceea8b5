"""Web servers, and packages of a lab whose functions are tasks."""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
from pathlib import Path

import pytest
from named.web import Web

from cosphere_jupyter.named.spec import Definition


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def make_web():
    made = []

    def make(host="127.0.0.1", port=0):
        made.append(Web(host, port))
        return made[-1]

    yield make
    for server in made:
        server.close()


class Lab:
    """A folder on the path into which packages are installed, as pip leaves them."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def write(self, module, code):
        """Write a module."""
        path = self.folder / f"{module}.py"
        path.write_text(textwrap.dedent(code))
        importlib.invalidate_caches()
        return path

    def install(self, name, entries, version="1.0"):
        """Install a distribution with these entry points of the group ``cosphere.tasks``."""
        info = self.folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{task} = {entry}" for task, entry in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[cosphere.tasks]", *lines, ""]))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    made = Lab(tmp_path / "lab")
    monkeypatch.syspath_prepend(str(made.folder))
    monkeypatch.setenv("PYTHONPATH", str(made.folder))
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if str(made.folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


class Desk:
    """Creates named tasks and waits for them, as the faces do."""

    def __init__(self, services, account):
        self.services = services
        self.account = account

    async def create(self, name, /, **params):
        (task,) = await self.services.named.create([Definition(name, params)], self.account)
        return task

    async def ended(self, key, seconds=30):
        task = (await self.services.task_list.wait([key], self.account, seconds))[key]
        assert task.state.is_final, task
        return task

    async def run(self, name, /, **params):
        return await self.ended((await self.create(name, **params)).key)

    async def result(self, name, /, **params):
        task = await self.run(name, **params)
        assert task.state.status == "success", task.state.error
        return await self.services.task_list.result_of(task)

    async def error(self, name, /, **params):
        task = await self.run(name, **params)
        assert task.state.status == "error", task.state.result
        return task.state.error

    def files(self, task):
        """The folder of a task's output files."""
        return self.services.store.folder(task.result_name)


@pytest.fixture
def desk(services, jp_serverapp, run):
    run(services.ready())
    return Desk(services, run(services.accounts.owner()))


@pytest.fixture
def lab_desk(lab, services, jp_serverapp, run):
    """A desk in a workspace where every function of ``lab_tasks.py`` is the task ``lab.<its name>``."""
    code = (Path(__file__).parent / "lab_tasks.py").read_text()
    lab.write("lab_tasks", code)
    names = [*re.findall(r"^(?:async )?def (\w+)", code, re.MULTILINE), "missing"]
    lab.install("lab-tasks", {f"lab.{name}": f"lab_tasks:{name}" for name in names})
    run(services.ready())
    return Desk(services, run(services.accounts.owner()))
