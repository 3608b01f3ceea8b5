"""Asking for downloads over HTTP, and reading what they hold."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest
from support import Answer, Api

# An empty text stands in quotes and NULL does not: both can be told apart.
AS_WRITTEN = pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""])
LINES_IN_VALUES = pyarrow.csv.ParseOptions(newlines_in_values=True)


class Downloads:
    """What tests do with downloads as one caller."""

    async def ask(self, api: Api, download_type: str, **info: Any) -> dict[str, Any]:
        """Create a download and return it as it was answered."""
        body = {"download": {"download_type": download_type, "info": info}}
        answer = await api.post("/api/downloads", body)
        assert answer.status == 201, answer.body
        return dict(answer.json["download"])

    async def settled(self, api: Api, download: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """Wait until a download is done or failed."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            answer = await api.get(f"/api/downloads/{download['id']}?wait=10")
            assert answer.status == 200, answer.body
            found = dict(answer.json["download"])
            if found["state"] in ("done", "failed"):
                return found
            assert asyncio.get_running_loop().time() < deadline, found

    async def done(self, api: Api, download_type: str, **info: Any) -> dict[str, Any]:
        """Create a download and return it when it is done."""
        download = await self.settled(api, await self.ask(api, download_type, **info))
        assert download["state"] == "done", download
        return download

    async def file(self, api: Api, download: dict[str, Any]) -> Answer:
        """Fetch the file: by the download's relative URL with the credential, then by the link without one."""
        found = await api.get(origin(api) + download["url"])
        assert found.status == 302, found.body
        answer = await api.of(None).get(origin(api) + found.headers["Location"])
        assert answer.status == 200, answer.body
        return answer

    async def table(self, api: Api, download_type: str, **info: Any) -> pa.Table:
        """Return what the file of a new download holds."""
        answer = await self.file(api, await self.done(api, download_type, **info))
        return self.read(answer.body, info.get("format", "csv"))

    @staticmethod
    def read(content: bytes, format: str) -> pa.Table:
        """Return a file's content as a table."""
        if format == "parquet":
            return pa.parquet.read_table(io.BytesIO(content))
        if format == "arrow":
            return pa.ipc.open_file(io.BytesIO(content)).read_all()
        return pa.csv.read_csv(io.BytesIO(content), parse_options=LINES_IN_VALUES, convert_options=AS_WRITTEN)


def origin(api: Api) -> str:
    return api.base.partition("/a%40b")[0]


@pytest.fixture
def downloads() -> Downloads:
    return Downloads()
