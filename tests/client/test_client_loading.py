"""From a result to a DataFrame: types, order, categories, and memory that is short."""

from __future__ import annotations

import datetime
import json
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from client.flights import ROWS, START, ask, downloads
from client.workspace_server import WorkspaceServer, column

from cosphere_jupyter import ResultTooLarge, Workspace
from cosphere_jupyter.client import download, loading

# Frames


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("files", [1, 3])
def test_a_frame_holds_the_very_rows_with_arrow_types(ws: Workspace, server: WorkspaceServer, files: int, cache: bool):
    server.will_answer("flights", ROWS, files)
    request = ask(ws)
    for _ in range(2):
        df = request.to_pandas(cache=cache)
        assert [str(kind) for kind in df.dtypes] == [
            *("category", "int64[pyarrow]", "double[pyarrow]", "timestamp[us][pyarrow]"),
        ]
        assert df["carrier"].cat.categories.tolist() == ["UA", "AA"]
        assert df["dep_delay"].isna().sum() == 1
        back = pa.table({name: pa.Array.from_pandas(df[name]) for name in df.columns})
        assert back.column("carrier").to_pylist() == ROWS.column("carrier").to_pylist()
        assert back.drop_columns(["carrier"]).cast(ROWS.schema.remove(0)).equals(ROWS.drop_columns(["carrier"]))


def test_a_frame_of_the_second_load_equals_that_of_the_first(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS, 2)
    request = ask(ws)
    first = request.to_pandas()
    asked = len(server.seen)
    second = request.to_pandas()
    assert second.equals(first)
    # Nothing was asked of the server.
    assert len(server.seen) == asked


@pytest.mark.parametrize("cache", [True, False])
def test_numpy_gives_classic_types_that_can_be_written_to(ws: Workspace, server: WorkspaceServer, cache: bool):
    server.will_answer("flights", ROWS)
    request = ask(ws)
    for _ in range(2):
        df = request.to_pandas("numpy", cache=cache)
        assert [str(kind) for kind in df.dtypes] == ["category", "float64", "float64", "datetime64[us]"]
        df.loc[0, "air_time"] = 5.0
        df["dep_delay"].to_numpy()
        df.iloc[1, 1] = 7
        assert (df.loc[0, "air_time"], df.iloc[1, 1]) == (5.0, 7)
    single = ws.catalogue["flights"].select("air_time").request().to_pandas("numpy", cache=cache)
    single.loc[0, "air_time"] = 5.0
    arrow = ask(ws).to_pandas(cache=cache)
    arrow.loc[0, "dep_delay"] = 5
    assert request.to_pandas(cache=cache)["dep_delay"].isna()[0]


def test_an_unknown_backend_is_refused_before_anything_is_loaded(ws: Workspace):
    with pytest.raises(ValueError, match="'pyarrow' or 'numpy'"):
        ask(ws).to_pandas("polars")  # type: ignore[arg-type]


def test_the_columns_come_in_the_order_they_were_asked_for(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    assert list(ask(ws, "time hour", "carrier").to_pandas().columns) == ["time hour", "carrier"]
    # The stored request of somebody else may have another order; the result is the same.
    assert ask(ws, "carrier", "time hour").to_arrow().column_names == ["carrier", "time hour"]
    assert ws.requests[1].to_arrow().column_names == ["time hour", "carrier"]


def test_a_frame_remembers_where_it_came_from(ws: Workspace, server: WorkspaceServer, tmp_path: Path):
    server.will_answer("flights", ROWS)
    query = ws.catalogue["flights"].select("carrier", "dep_delay").where("dep_delay > 3")
    df = query.to_pandas()
    expected = {
        "request": 1,
        "catalogue_item": "flights",
        "spec": query.spec,
        "rows": 1000,
        "result": "result-flights",
        "url": ws.url,
    }
    assert df.attrs == {"cosphere": expected}
    assert json.loads(json.dumps(df.attrs)) == df.attrs
    assert df.copy().head().attrs == df.attrs
    df.to_parquet(tmp_path / "df.parquet")
    assert pd.read_parquet(tmp_path / "df.parquet").attrs == df.attrs


def test_texts_become_categories_only_where_the_catalogue_says_enum(ws: Workspace, server: WorkspaceServer):
    server.add_item("plain", [column("carrier", "STRING", is_enum=False), column("dep_delay", is_enum=True)])
    server.will_answer("plain", ROWS.select(["carrier", "dep_delay"]))
    df = ws.catalogue["plain"].select().to_pandas()
    assert [str(kind) for kind in df.dtypes] == ["string[pyarrow]", "int64[pyarrow]"]


@pytest.mark.parametrize(("texts", "index"), [(126, pa.int8()), (127, pa.int16()), (40_000, pa.int32())])
def test_categories_of_several_files_become_one_with_small_codes(
    ws: Workspace, server: WorkspaceServer, texts: int, index: pa.DataType
):
    words = [f"w{number}" for number in range(texts)]
    table = pa.table({"carrier": words + words[::-1]})
    server.will_answer("flights", table, files=4, row_group_size=5000)
    request = ask(ws, "carrier")
    for _ in range(2):
        arrow = request.to_arrow()
        assert arrow.schema.field("carrier").type == pa.dictionary(index, pa.string())
        df = request.to_pandas()
        assert len(df["carrier"].cat.categories) == texts
        assert df["carrier"].tolist() == words + words[::-1]


def test_results_that_duckdb_wrote_are_read(ws: Workspace, server: WorkspaceServer):
    folder = server.folder / "result-duck"
    folder.mkdir(parents=True)
    columns = "range AS dep_delay, 'c' || range % 3 AS carrier, range / 2 AS air_time"
    path = folder / "part-0.parquet"
    duckdb.sql(f"COPY (SELECT {columns} FROM range(300000)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    size = path.stat().st_size
    files = [{"name": path.name, "rows": 300_000, "bytes": size}]
    schema = [{"name": name, "type": "?"} for name in ("dep_delay", "carrier", "air_time")]
    manifest = {"id": "duck", "rows": 300_000, "bytes": size, "files": files, "schema": schema}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    server.outcomes["flights"] = lambda request: server.finish(request, "result-duck")
    df = ask(ws, "carrier", "dep_delay").to_pandas()
    assert df["dep_delay"].sum() == 300_000 * 299_999 // 2
    assert df["carrier"].value_counts().to_dict() == {"c0": 100_000, "c1": 100_000, "c2": 100_000}


def test_a_small_file_gives_the_same_table_as_a_big_one(
    ws: Workspace, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch
):
    server.will_answer("flights", ROWS)
    small = ask(ws).to_arrow(cache=False)
    monkeypatch.setattr(loading, "SMALL_FILE", 0)
    big = ask(ws).to_arrow(cache=False)
    assert small.schema.equals(big.schema)
    assert small.equals(big)


@pytest.mark.parametrize("smallest", [0, loading.SMALL_FILE])
def test_old_int96_times_become_microseconds(
    ws: Workspace, server: WorkspaceServer, smallest: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loading, "SMALL_FILE", smallest)
    old = pa.table({"time hour": pa.array([datetime.datetime(1600, 1, 1), START], pa.timestamp("us"))})
    server.will_answer("flights", old, use_deprecated_int96_timestamps=True)
    assert ask(ws, "time hour").to_arrow().column(0).to_pylist() == [datetime.datetime(1600, 1, 1), START]


@pytest.mark.parametrize("files", [0, 1])
def test_a_result_without_rows_is_an_empty_frame(ws: Workspace, server: WorkspaceServer, files: int):
    server.will_answer("flights", ROWS.slice(0, 0), files)
    df = ask(ws).to_pandas()
    assert len(df) == 0
    assert list(df.columns) == ROWS.column_names
    assert str(df["dep_delay"].dtype) == "int64[pyarrow]"
    assert len(ask(ws).to_pandas("numpy")) == 0


def test_folders_that_look_like_partitions_are_no_columns(ws: Workspace, server: WorkspaceServer):
    server.publish("dep_delay=late", ROWS)
    server.outcomes["flights"] = lambda request: server.finish(request, "dep_delay=late")
    server.shows_folder = True
    assert ask(ws).to_arrow(cache=False).column("dep_delay").equals(ROWS.column("dep_delay"))


# The folder itself


def test_files_that_this_machine_sees_are_not_downloaded(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS, 2)
    server.shows_folder = True
    assert ask(ws).to_arrow().num_rows == 1000
    assert downloads(server) == []


@pytest.mark.parametrize("damage", ["no folder", "another id", "another size", "no json"])
def test_a_folder_that_is_not_the_result_is_not_read(
    ws: Workspace, server: WorkspaceServer, damage: str, tmp_path: Path
):
    server.will_answer("flights", ROWS)
    request = ask(ws)
    manifest = request._result()
    folder = tmp_path / "seen"
    if damage != "no folder":
        folder.mkdir()
        for path in (server.folder / "result-flights").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    if damage == "another id":
        (folder / "manifest.json").write_text('{"id": "other"}')
    if damage == "no json":
        (folder / "manifest.json").write_text("{")
    if damage == "another size":
        (folder / "part-0.parquet").write_bytes(b"PAR1")
    request._manifest = download.Manifest(**{**vars(manifest), "folder": str(folder)})
    assert request.to_arrow().num_rows == 1000
    assert downloads(server) == ["part-0.parquet"]


# Downloads


def test_a_frame_that_does_not_fit_is_refused_with_what_helps(
    ws: Workspace, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch
):
    server.will_answer("flights", ROWS)
    request = ask(ws)
    monkeypatch.setattr(loading, "available_memory", lambda: 10_000)
    for cache in (True, False):
        with pytest.raises(ResultTooLarge, match=r"10 kB are free.*fewer columns or rows.*to_arrow\(\)") as caught:
            request.to_pandas(cache=cache)
        assert isinstance(caught.value, MemoryError)


def test_arrow_maps_what_does_not_fit_into_memory(
    ws: Workspace, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch
):
    server.will_answer("flights", ROWS, 3)
    request = ask(ws)
    monkeypatch.setattr(loading, "available_memory", lambda: 10_000)
    monkeypatch.setattr(loading, "BATCH_ROWS", 100)
    pa_before = pa.total_allocated_bytes()
    table = request.to_arrow()
    assert table.cast(ROWS.schema).equals(ROWS)
    # Its memory is the file's.
    assert pa.total_allocated_bytes() - pa_before < ROWS.nbytes / 2
    with pytest.raises(ResultTooLarge):
        request.to_arrow(cache=False)
    # Now that it is mapped a frame of it needs no memory either.
    assert len(request.to_pandas()) == 1000
    with pytest.raises(ResultTooLarge, match="needs no copy"):
        request.to_pandas("numpy")


def test_the_size_in_memory_is_measured_when_texts_might_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    table = pa.table({"text": [f"{number}-{'x' * 500}" for number in range(2000)], "n": range(2000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=500)
    rough = loading._needed(table.schema, 2000, [tmp_path / "t.parquet"])
    assert rough < table.nbytes / 5
    monkeypatch.setattr(loading, "available_memory", lambda: 10**6)
    assert loading._needed(table.schema, 2000, [tmp_path / "t.parquet"]) == pytest.approx(table.nbytes, rel=0.05)


def test_the_free_memory_is_known():
    import psutil

    assert 0 < loading.available_memory() <= psutil.virtual_memory().total


# Several at once


def test_threads_of_one_kernel_download_a_result_once(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS, 2)
    request = ask(ws)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(request.to_arrow(progress=False))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [table.num_rows for table in results] == [1000] * 4
    assert sorted(downloads(server)) == ["part-0.parquet", "part-1.parquet"]


def test_numbers_do_not_change_on_their_way(ws: Workspace, server: WorkspaceServer):
    numbers = pa.table({"dep_delay": [2**63 - 1, -(2**63), 0, None], "air_time": [0.1, -0.0, 1e308, np.nan]})
    server.will_answer("flights", numbers)
    df = ask(ws, "dep_delay", "air_time").to_pandas()
    assert df["dep_delay"][0] == 2**63 - 1
    assert df["dep_delay"][1] == -(2**63)
    assert df["dep_delay"].isna().tolist() == [False, False, False, True]
    assert df["air_time"][2] == 1e308
