"""A result of a download request as CSV, Parquet and Arrow: the same rows, whatever their types and number."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from support import Api

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.exports import child

UTC = datetime.timezone.utc
TEXTS = ["plain", "", None, "ümläut ✓ 漢字 🙂", 'say "no", now', "two\nlines", "=1+1", "@x", "＝1", "\tx", "NULL"]


async def result_of(api: Api, root: Path, table: pa.Table, owner: Api) -> int:
    """Catalogue a table, ask for all of it, and return the id of the finished request."""
    pq.write_table(table, root / "odd.parquet")
    body = {"executor_type": "DUCKDB", "source": "odd.parquet", "maintained_by_id": owner.account["id"]}
    item = (await owner.post("/catalogue/items/", {"name": "odd", **body})).json
    spec = {"columns": [column["name"] for column in item["spec"]], "filters": []}
    asked = await api.post("/downloader/requests/", {"catalogue_item_id": item["id"], "spec": spec})
    assert asked.status == 201, asked.body
    request = await api.settled(asked.json["id"])
    assert request["task"]["status"] == "success", request["task"]
    return int(request["id"])


def odd_table() -> pa.Table:
    count = len(TEXTS)
    day, hour = datetime.datetime(2013, 1, 1, 5, 17, 0, 123456), datetime.timedelta(hours=1)
    return pa.table(
        {
            "text": TEXTS,
            "number": pa.array([None if n == 3 else n - 5 for n in range(count)], pa.int64()),
            "real": [None if n == 4 else n / 3 for n in range(count)],
            "flag": [None if n == 5 else n % 2 == 0 for n in range(count)],
            "at": pa.array([None if n == 6 else day + n * hour for n in range(count)], pa.timestamp("us")),
            "money": pa.array([None if n == 7 else decimal.Decimal(n) / 4 for n in range(count)], pa.decimal128(9, 2)),
            "=name": ["x"] * count,
        }
    )


async def test_the_rows_are_the_result_s_in_each_format(
    owner: Api, researcher: Api, root: Path, downloads: Any
) -> None:
    table = odd_table()
    request_id = await result_of(researcher, root, table, owner)
    uri = (await researcher.get(f"/downloader/requests/{request_id}")).json["download_uri"]
    stored = pq.read_table(io.BytesIO((await researcher.of(None).get(uri)).body))
    assert stored.to_pylist() == table.to_pylist()
    files = {}
    for format in ("csv", "parquet", "arrow"):
        download = await downloads.done(researcher, "download_request", id=request_id, format=format)
        answer = files[format] = await downloads.file(researcher, download)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="download_request-{request_id}.{format}"'
    assert files["csv"].headers["Content-Type"] == "text/csv; charset=utf-8"
    assert files["parquet"].headers["Content-Type"] == "application/vnd.apache.parquet"
    assert files["arrow"].headers["Content-Type"] == "application/vnd.apache.arrow.file"
    assert downloads.read(files["parquet"].body, "parquet").equals(stored)
    assert downloads.read(files["arrow"].body, "arrow").equals(stored)
    # Arrow's own reader tells NULL and the empty text apart; what CSV cannot say is the type of numbers.
    rows = downloads.read(files["csv"].body, "csv").cast(table.schema).to_pylist()
    assert rows == table.to_pylist()
    frame = pd.read_csv(io.BytesIO(files["csv"].body), keep_default_na=False, parse_dates=["at"])
    assert frame["text"].tolist() == ["" if text is None else text for text in TEXTS]
    assert frame["at"].dropna().tolist() == [each for each in table.column("at").to_pylist() if each is not None]


async def test_texts_that_a_spreadsheet_would_run_are_disarmed_where_that_is_asked_for(
    owner: Api, researcher: Api, root: Path, downloads: Any
) -> None:
    request_id = await result_of(researcher, root, odd_table(), owner)
    plain = await downloads.table(researcher, "download_request", id=request_id)
    guarded = await downloads.table(researcher, "download_request", id=request_id, format="csv", spreadsheet=True)
    armed = {"=1+1", "@x", "＝1", "\tx"}
    assert plain.column("text").to_pylist() == TEXTS
    assert guarded.column("text").to_pylist() == [f"'{text}" if text in armed else text for text in TEXTS]
    assert plain.column_names[-1] == "=name" and guarded.column_names[-1] == "'=name"
    # A negative number is a number.
    assert guarded.column("number").to_pylist()[0] == -5


async def test_a_result_that_is_not_there_is_refused_in_clear_words(
    owner: Api, researcher: Api, services: Any, numbers_item: Any, downloads: Any
) -> None:
    async def refusal(info: Any) -> str:
        body = {"download": {"download_type": "download_request", "info": info}}
        answer = await researcher.post("/api/downloads", body)
        assert answer.status == 422, answer.body
        [text] = answer.json["errors"]
        return str(text)

    for wrong in ({}, {"id": None}, {"id": "7"}, {"id": 0}, {"id": -1}, {"id": True}, {"id": 1.5}, {"id": 2**53}):
        assert await refusal(wrong) == "download.info.id: the id of a download request is required"
    assert await refusal({"id": 4242}) == "download.info.id: there is no download request 4242 that you wait for"
    spec = {"columns": ["n"], "filters": []}
    others = (await owner.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})).json
    assert "there is no download request" in await refusal({"id": others["id"]})
    await owner.settled(others["id"])
    await services.tasks.stop()
    spec = {"columns": ["word"], "filters": []}
    body = {"catalogue_item_id": numbers_item["id"], "spec": spec}
    mine = (await researcher.post("/downloader/requests/", body)).json
    text = "download.info.id: this download request is not finished; wait for it first"
    assert await refusal({"id": mine["id"]}) == text
    await researcher.delete(f"/downloader/requests/{mine['id']}")
    assert "there is no download request" in await refusal({"id": mine["id"]})


async def test_a_result_that_expired_is_refused_and_fails_what_was_asked_for_before(
    owner: Api, researcher: Api, root: Path, services: Any, downloads: Any
) -> None:
    request_id = await result_of(researcher, root, odd_table(), owner)
    name = (await researcher.get(f"/downloader/requests/{request_id}")).json["blob_name"]
    text = "the result of this download request is gone; ask for it again"
    # Its files go: the record says so first, and here it does not yet.
    services.store.delete(name)
    failed = await downloads.settled(
        researcher, await downloads.ask(researcher, "download_request", id=request_id, format="arrow")
    )
    assert (failed["state"], failed["url"], failed["error"]) == ("failed", None, text)
    missing = await researcher.get(f"/api/downloads/{failed['id']}/file")
    assert missing.status == 404
    far = datetime.datetime.now(UTC) + datetime.timedelta(days=365)
    assert await services.retention.expire(far) == [name]
    body = {"download": {"download_type": "download_request", "info": {"id": request_id}}}
    refused = await researcher.post("/api/downloads", body)
    assert (refused.status, refused.json) == (422, {"errors": [f"download.info.id: {text}"]})
    # What was made before stays: it is a file of its own.
    assert not services.store.exists(name)


async def test_a_download_outlives_the_result_that_it_was_made_of(
    owner: Api, researcher: Api, root: Path, services: Any, downloads: Any
) -> None:
    table = odd_table()
    request_id = await result_of(researcher, root, table, owner)
    download = await downloads.done(researcher, "download_request", id=request_id, format="parquet")
    far = datetime.datetime.now(UTC) + datetime.timedelta(days=365)
    assert len(await services.retention.expire(far)) == 1
    answer = await downloads.file(researcher, download)
    assert downloads.read(answer.body, "parquet").to_pylist() == table.to_pylist()


# -- the work itself ---------------------------------------------------------------------------------------------------


def convert(parts: list[Path], target: Path, spreadsheet: bool = False) -> dict[str, Any]:
    params = {"parts": [str(part) for part in parts], "file": str(target), "spreadsheet": spreadsheet}
    return child.convert(params, lambda _: None)


def test_every_type_that_a_result_may_have_has_a_text(tmp_path: Path, downloads: Any) -> None:
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    values: dict[str, tuple[pa.DataType, Any, Any]] = {
        "bytes": (pa.binary(), b"\xff\x00a", "ff0061"),
        "list": (pa.list_(pa.int64()), [1, None, 2], "[1, null, 2]"),
        "struct": (pa.struct({"a": pa.string(), "d": pa.date32()}), {"a": "ü", "d": datetime.date(2020, 1, 2)}, None),
        "map": (pa.map_(pa.string(), pa.int32()), [("a", 1)], '[["a", 1]]'),
        "time": (pa.time64("us"), datetime.time(1, 2, 3), None),
        "date": (pa.date32(), datetime.date(2020, 1, 2), None),
        "zoned": (pa.timestamp("us", "UTC"), moment, None),
        "span": (pa.duration("us"), datetime.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
        "word": (pa.dictionary(pa.int32(), pa.string()), "=d", "=d"),
        "large": (pa.large_string(), "long", "long"),
        "decimal": (pa.decimal128(10, 2), decimal.Decimal("1.50"), None),
        "nothing": (pa.null(), None, None),
    }
    table = pa.table({name: pa.array([value, None], kind) for name, (kind, value, _) in values.items()})
    pq.write_table(table, tmp_path / "part-0.parquet")
    made = convert([tmp_path / "part-0.parquet"], tmp_path / "out.csv")
    content = (tmp_path / "out.csv").read_bytes()
    assert (made["file"], made["rows"], made["size"]) == ("out.csv", 2, len(content))
    first, second = downloads.read(content, "csv").to_pylist()
    for name, (_, _, text) in values.items():
        assert second[name] is None, name
        if text is not None:
            assert first[name] == text, name
    assert json.loads(first["struct"]) == {"a": "ü", "d": "2020-01-02"}
    assert (first["time"], first["date"]) == ("01:02:03.000000", datetime.date(2020, 1, 2))
    assert (first["zoned"].astimezone(UTC), first["decimal"]) == (moment, 1.5)


def test_a_result_of_several_files_is_one_file_in_their_order(tmp_path: Path, downloads: Any) -> None:
    parts = []
    for number in range(3):
        parts.append(tmp_path / f"part-{number}.parquet")
        rows = range(number * 70_000, (number + 1) * 70_000)
        table = pa.table({"n": pa.array(rows, pa.int64()), "t": [f"t{n}" for n in rows]})
        pq.write_table(table, parts[-1], row_group_size=9000)
    for format in ("csv", "parquet", "arrow"):
        made = convert(parts, tmp_path / f"out.{format}")
        table = downloads.read((tmp_path / f"out.{format}").read_bytes(), format)
        assert made["rows"] == 210_000
        assert table.column("n").to_pylist() == list(range(210_000)), format
        assert table.column("t").to_pylist()[-1] == "t209999"
    # Row groups of a sensible size, though the parts had small ones.
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups <= 3


def test_a_single_parquet_file_is_not_written_again(tmp_path: Path) -> None:
    part = tmp_path / "part-0.parquet"
    pq.write_table(pa.table({"n": [1, 2]}), part)
    made = convert([part], tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").samefile(part)
    assert made["rows"] == 2


def test_where_files_have_one_name_only_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError("no second names on this file system")

    monkeypatch.setattr("os.link", refuse)
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "part-0.parquet")
    convert([tmp_path / "part-0.parquet"], tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "part-0.parquet").read_bytes()


def test_an_empty_result_keeps_its_columns(tmp_path: Path, downloads: Any) -> None:
    part = tmp_path / "part-0.parquet"
    pq.write_table(pa.table({"n": pa.array([], pa.int64()), "t": pa.array([], pa.string())}), part)
    for format in ("csv", "parquet", "arrow"):
        made = convert([part], tmp_path / f"out.{format}")
        table = downloads.read((tmp_path / f"out.{format}").read_bytes(), format)
        assert (made["rows"], table.num_rows, table.column_names) == (0, 0, ["n", "t"])


def test_what_cannot_be_read_is_said_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "part-0.parquet").write_bytes(b"PAR1 no parquet at all PAR1")
    with pytest.raises(ExecutionError, match="the result cannot be read") as broken:
        convert([tmp_path / "part-0.parquet"], tmp_path / "out.csv")
    assert str(tmp_path) not in str(broken.value)
    with pytest.raises(ExecutionError, match="is gone; ask for it again"):
        convert([tmp_path / "part-1.parquet"], tmp_path / "out.csv")


PEAK = r"""
import json, re, sys
from pathlib import Path
import pyarrow.parquet, pyarrow.csv, pyarrow.ipc, pyarrow.compute
from cosphere_jupyter.exports import child, sinks
peak = lambda: int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
made = child.convert(json.loads(sys.argv[1]), lambda _: None)
print(json.dumps([before, peak(), made["rows"], made["size"]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_a_big_result_takes_little_memory(big_parquet: Path, tmp_path: Path, format: str) -> None:
    """12 million rows, 370 MB as Arrow, twice: what the process needs beyond its libraries stays below 150 MiB."""
    parts = [str(big_parquet), str(big_parquet)]
    params = {"parts": parts, "file": str(tmp_path / f"out.{format}"), "spreadsheet": False}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, json.dumps(params)], capture_output=True, text=True, timeout=240, check=True
    )
    before, peak, rows, size = json.loads(done.stdout)
    assert rows == 24_000_000
    needed = (peak - before) / 1024
    print(f"{format}: {size / 1e6:.0f} MB written, peak {peak / 1024:.0f} MiB, {needed:.0f} MiB of it for the data")
    assert needed < 150, (before, peak)
