"""The public names, what importing them costs, and which way the client's imports point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cosphere_jupyter
from cosphere_jupyter.client import errors

CLIENT = Path(errors.__file__).parent
HEAVY = ("pandas", "pyarrow", "sqlalchemy", "boto3", "duckdb", "httpx", "numpy", "jupyter_server", "tornado")


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import cosphere_jupyter; cosphere_jupyter.__version__") & set(HEAVY)


def test_naming_the_public_classes_loads_nothing_heavy():
    names = "from cosphere_jupyter import *; from cosphere_jupyter.client import Workspace, Filter"
    assert not loaded_by(names) & set(HEAVY)


def test_the_client_imports_nothing_of_the_servers_rooms():
    for path in CLIENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                # `ws.browse()`, `request.preview()` and the like are shorthands for the widgets.
                if path.name in ("workspace.py", "requests.py") and (node.module or "").startswith("widgets."):
                    continue
                assert node.module == "_version", f"{path.name} imports {node.module}"
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not (node.module or "").startswith("cosphere_jupyter"), path.name
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("cosphere_jupyter") for alias in node.names), path.name


def test_the_client_runs_without_the_server_being_importable():
    code = """
import importlib.abc
class No(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('jupyter_server', 'sqlalchemy', 'duckdb', 'sqlglot', 'alembic', 'tornado', 'jwt'):
            raise ImportError(name)
sys.meta_path.insert(0, No())
from cosphere_jupyter import Workspace
Workspace('http://127.0.0.1:1/', 't').close()
"""
    assert "httpx" in loaded_by(code)


def test_every_public_name_is_there_and_no_other():
    assert cosphere_jupyter.__all__ == sorted(cosphere_jupyter.__all__)
    for name in cosphere_jupyter.__all__:
        assert getattr(cosphere_jupyter, name) is not None
    assert set(cosphere_jupyter.__all__) <= set(dir(cosphere_jupyter))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = cosphere_jupyter.Nonsense


def test_the_error_tree_is_the_one_that_is_drawn():
    drawn = re.findall(r"── (\w+)", errors.__doc__ or "")
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert {*drawn, "CosphereError"} == classes
    assert classes <= set(cosphere_jupyter.__all__)
    for name in ("NotSignedIn", "NotAllowed", "NotFound", "InvalidRequest", "ServerUnavailable"):
        assert issubclass(getattr(errors, name), errors.ApiError)
    assert all(issubclass(getattr(errors, name), errors.CosphereError) for name in classes)
    assert issubclass(errors.UnknownTable, KeyError)
    assert issubclass(errors.RequestTimeout, TimeoutError)


def test_jupyter_is_told_where_the_extension_is():
    from cosphere_jupyter.app import CosphereApp

    assert cosphere_jupyter._jupyter_server_extension_points() == [
        {"module": "cosphere_jupyter.app", "app": CosphereApp}
    ]


def test_every_module_of_the_client_stays_readable():
    for path in CLIENT.glob("*.py"):
        assert len(path.read_text().splitlines()) < 400, path.name
