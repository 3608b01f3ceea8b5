"""Fixtures: a real Jupyter server with the extension, real data in its root directory, callers of each kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Api


@pytest.fixture
def jp_server_config(tmp_path: Path) -> dict[str, Any]:
    return {
        "ServerApp": {
            # Its websocket has no access marker, which would be reported as if it were ours.
            "jpserver_extensions": {"cosphere_jupyter": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
            "reraise_server_extension_failures": True,
        },
        "CosphereApp": {"data_dir": str(tmp_path / "workspace"), "max_tasks": 2},
    }


@pytest.fixture
def root(jp_root_dir: Path) -> Path:
    """The server's root directory: the one data folder."""
    return jp_root_dir


@pytest.fixture
def services(jp_serverapp: Any) -> Any:
    return jp_serverapp.web_app.settings["cosphere_services"]


@pytest.fixture
def run(jp_asyncio_loop: Any) -> Callable[..., Any]:
    """Run a coroutine on the server's own loop, for fixtures and tests that are not async themselves."""
    return jp_asyncio_loop.run_until_complete


@pytest.fixture
def owner(jp_serverapp: Any, http_server: Any, run: Any) -> Api:
    """The personal server's owner, by Jupyter's own token."""
    base = f"http://127.0.0.1:{jp_serverapp.port}{jp_serverapp.base_url}cosphere"
    api = Api(base, f"token {jp_serverapp.identity_provider.token}")
    api.account = run(api.get("/accounts/me")).json
    return api


@pytest.fixture
def sign_up(owner: Api) -> Callable[..., Any]:
    """Make an account and return its caller, by JWT."""

    async def make(email: str, type: str = "RESEARCHER", **values: Any) -> Api:
        created = await owner.post("/accounts/", {"email": email, "type": type, **values})
        assert created.status == 201, created.body
        token = (await owner.post(f"/accounts/{created.json['id']}/auth_tokens/")).json["token"]
        return Api(owner.base, f"Bearer {token}", created.json)

    return make


@pytest.fixture
def admin(sign_up: Callable[..., Any], run: Any) -> Api:
    return run(sign_up("ada@lab.example", "ADMIN"))


@pytest.fixture
def researcher(sign_up: Callable[..., Any], run: Any) -> Api:
    return run(sign_up("rosa@lab.example"))


@pytest.fixture
def anybody(owner: Api) -> Api:
    return owner.of(None)


@pytest.fixture
def numbers(root: Path) -> Path:
    """A Parquet file of 1,000 rows: n from 0, half (n / 2), word ('even' or 'odd'), day, flag (null every tenth)."""
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    start = datetime.datetime(2013, 1, 1)
    path = root / "numbers.parquet"
    table = pa.table(
        {
            "n": pa.array(range(1000), pa.int64()),
            "half": pa.array([n / 2 for n in range(1000)]),
            "word": ["odd" if n % 2 else "even" for n in range(1000)],
            "day": pa.array([start + datetime.timedelta(days=n) for n in range(1000)], pa.timestamp("us")),
            "flag": [None if n % 10 == 0 else n % 3 == 0 for n in range(1000)],
        }
    )
    pq.write_table(table, path)
    return path


@pytest.fixture
def numbers_item(owner: Api, numbers: Path, run: Any) -> dict[str, Any]:
    """The catalogue item of ``numbers``."""
    body = {
        "name": "numbers",
        "executor_type": "DUCKDB",
        "source": "numbers.parquet",
        "maintained_by_id": owner.account["id"],
    }
    created = run(owner.post("/catalogue/items/", body))
    assert created.status == 201, created.body
    return created.json


@pytest.fixture(scope="session")
def big_parquet(tmp_path_factory: Any) -> Path:
    """A Parquet file of 12 million incompressible rows: a request for all of it runs for seconds on one thread."""
    import duckdb

    path = tmp_path_factory.mktemp("big") / "big.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT range AS n, random() AS x, random() AS y, random() AS z FROM range(12_000_000)) "
            f"TO '{path}' (FORMAT parquet, COMPRESSION snappy)"
        )
    return path
