"""The notebooks of widgets and of many tasks run from top to bottom, and end in something worth looking at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from real_server import RealServer

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WIDGETS, TASKS = "02-the-same-with-widgets.ipynb", "03-many-tasks.ipynb"
VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = [pytest.mark.slow, pytest.mark.notebook]


def run(name: str, server: RealServer) -> dict[str, list[Any]]:
    """Execute a notebook as the server's kernels do; returns the outputs of each cell."""
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    # The kernel is told where running servers leave their files, and no token.
    environment = {name: value for name, value in server.environment.items() if name != "JUPYTER_TOKEN"}
    place = {"metadata": {"path": str(server.root)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place).execute(env=environment)
    saved = nbformat.writes(notebook)
    assert server.token not in saved, "the state of the widgets is saved with the notebook"
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def text(outputs: list[Any]) -> str:
    found = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join(found).strip()


@pytest.fixture(scope="module")
def flights(real: RealServer) -> pd.DataFrame:
    return pd.read_parquet(real.root / "data" / "flights.parquet")


def test_the_notebook_of_widgets(real: RealServer, flights: pd.DataFrame) -> None:
    outputs = run(WIDGETS, real)
    for cell in ("browse", "build", "monitor", "rows"):
        assert VIEW in outputs[cell][0].data
    assert text(outputs["choose"]) == "'flights'"
    wanted = flights[(flights["dep_delay"] >= -60) & (flights["hour"] >= 5)]
    assert text(outputs["submit"]).startswith("'Ready, ")
    assert str(int(wanted["dep_delay"].max())) in text(outputs["sort"])
    by_hour = wanted.groupby(["origin", "hour"])["dep_delay"].mean().unstack()
    shown = outputs["table"][0].data["text/html"]
    assert f">{by_hour.loc['EWR', 19]:.0f}</td>" in shown
    assert shown.count("background: rgba(26, 111, 143, 1.00)") >= 1


def test_the_notebook_of_many_tasks(real: RealServer, flights: pd.DataFrame) -> None:
    outputs = run(TASKS, real)
    assert VIEW in outputs["workspace"][0].data
    assert text(outputs["map"]).endswith("(['Hello Ada', 'Hello Grace', 'Hello Edith'], 24)")
    assert text(outputs["failed"]).startswith("TaskFailed - ")
    assert text(outputs["requests"]).endswith(str(len(flights)))
    assert all(name in text(outputs["download"]) for name in ("flights", "weather", "planes"))
    assert "'error': " in text(outputs["list"]) and "'success': " in text(outputs["list"])
    shown = outputs["table"][0].data["text/html"]
    assert "United Air Lines Inc." in shown and f"{int((flights['carrier'] == 'UA').sum()):,}" in shown
    assert "linear-gradient" in shown


@pytest.mark.parametrize("name", [WIDGETS, TASKS])
def test_notebooks_are_kept_without_outputs(name: str) -> None:
    for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
