"""The table that tests of results ask for, and how they do."""

from __future__ import annotations

import datetime

import pyarrow as pa
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import Workspace
from cosphere_jupyter.client.requests import Request

START = datetime.datetime(2013, 1, 1)
ROWS = pa.table(
    {
        "carrier": ["UA", None, "AA", "UA"] * 250,
        "dep_delay": pa.array([None, *range(999)], pa.int64()),
        "air_time": [each / 3 for each in range(1000)],
        "time hour": pa.array([START + datetime.timedelta(hours=each) for each in range(1000)], pa.timestamp("us")),
    }
)


def ask(ws: Workspace, *columns: str) -> Request:
    """Ask for columns of the table."""
    return ws.catalogue["flights"].select(*columns).request()


def downloads(server: WorkspaceServer) -> list[str]:
    """Return the names of the files that were fetched."""
    return [path.rpartition("/")[2] for path in server.paths("/results/") if path.endswith(".parquet")]
