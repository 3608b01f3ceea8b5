"""docs/own-tasks.md does what it says: its package, installed beside a real server, is a task of the workspace."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import httpx
import pytest
from real_server import RealServer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parents[2] / "docs" / "own-tasks.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def table_rows():
    return re.findall(r"^\| `context\.(\w+)", PAGE, re.MULTILINE)


@pytest.fixture
def server(lab, tmp_path):
    module, project = blocks("python")[0], tomllib.loads(blocks("toml")[0])["project"]
    lab.write(re.search(r"one module, `(\w+)\.py`", PAGE)[1], module)
    lab.install(project["name"], project["entry-points"]["cosphere.tasks"], project["version"])
    running = RealServer(tmp_path / "server")
    running.start()
    yield running
    running.stop()


@pytest.mark.slow
def test_the_pages_package_is_a_task_of_a_real_server(server):
    body = json.loads(re.search(r"-d '(.*?)'", blocks("bash")[0], re.DOTALL)[1])
    (status,) = server.call("POST", "/v1/create", body).json()
    (shown,) = json.loads(blocks("json")[0])
    assert (status["status"], set(status)) == (shown["status"], set(shown))
    assert status["result"]["different"] == shown["result"]["different"]
    assert set(status["result"]) == set(shown["result"])
    file = server.call("GET", status["result"]["table"])
    assert file.text == "word,number\nto,2\nbe,2\n"
    assert file.headers["Content-Type"].startswith("text/csv")
    again = server.call("GET", f"/v1/file?task={status['key']}", follow_redirects=True)
    assert again.content == file.content

    wrong = json.loads(blocks("json")[1])
    (refused,) = server.call(
        "POST", "/v1/create", {"tasks": {"task_name": "lab.words", "leest": 2}, "block": True}
    ).json()
    assert {key: refused[key] for key in wrong} == wrong

    by_url = server.call("GET", "/v1/create_file/x.csv?task_name=lab.words&text=a a&least=2", follow_redirects=True)
    assert by_url.text == "word,number\na,2\n"
    run_in_a_notebook(server)


def run_in_a_notebook(server):
    from cosphere_jupyter import Workspace

    code = next(block for block in blocks("python") if "Workspace()" in block)
    with Workspace(url=server.url, token=server.token) as workspace:
        names = {"Workspace": lambda: workspace}
        exec(code.replace("from cosphere_jupyter import Workspace\n", ""), names)
        assert names["task"].result["different"] == 2
        assert httpx.get(names["task"].result["table"], trust_env=False).status_code == 200


def test_the_page_names_all_that_a_context_offers():
    from cosphere_jupyter.named import TaskContext

    inner = {"finish", "close"}
    offered = {name for name in vars(TaskContext) if not name.startswith("_")} - inner
    assert set(table_rows()) == offered | {"key"}


def test_the_pages_function_is_ten_lines():
    assert 8 <= len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 12
