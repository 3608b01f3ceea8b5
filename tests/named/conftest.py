"""Web servers, and packages of a lab whose functions are tasks."""

from __future__ import annotations

import importlib
import sys
import textwrap

import pytest
from named.web import Web


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
