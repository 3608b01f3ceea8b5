"""Bundles and worksheets against a real ``jupyter server``, as a user meets them in a notebook."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from real_server import RealServer

from cosphere_jupyter import (
    Bundle,
    BundleFailed,
    BundleTimeout,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ResultUnreadable,
    Worksheet,
    Workspace,
)

pytestmark = pytest.mark.slow
SERVER = "real"
FLIGHTS = "SELECT range AS n, range * 0.5 AS half, 'AA' AS carrier FROM range(1000)"


@pytest.fixture
def numbers(ws: Workspace) -> Bundle:
    return ws.bundles.upload(b"n,word\n1,one\n2,two\n", name="numbers.csv", progress=False)


# Contents


def test_bytes_are_kept_and_read_again(ws: Workspace, numbers: Bundle):
    assert (numbers.name, numbers.type, numbers.state, numbers.size) == ("numbers.csv", "dataset", "ready", 19)
    assert numbers.is_final and numbers.error is None and numbers.command is None and numbers.dependencies == {}
    assert numbers.owner == ws.bundles[numbers.uuid].owner is not None
    assert numbers.created is not None and numbers.created.tzinfo is not None
    assert numbers.read() == b"n,word\n1,one\n2,two\n"
    assert numbers.text().splitlines()[0] == "n,word"
    with numbers.open() as file:
        assert file.readline() == b"n,word\n"
    assert ws.bundles["numbers.csv"] == numbers and ws.bundles[numbers.uuid[:20]] == numbers
    assert {numbers, ws.bundles[numbers.uuid]} == {numbers}


def test_folders_files_and_archives_are_uploaded(ws: Workspace, tmp_path: Path):
    folder = tmp_path / "my data ✓"
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").write_text("ä")
    (folder / "below" / "b.bin").write_bytes(bytes(range(256)) * 1000)
    bundle = ws.bundles.upload(folder, tags=["übung"], description="a <b>folder</b>")
    assert bundle.name == "my-data" and bundle.tags == ("übung",) and bundle.description == "a <b>folder</b>"
    assert bundle.files() == ["a.txt", "below/"] and bundle.files("below") == ["b.bin"]
    assert bundle.text("a.txt") == "ä" and bundle.read("below/b.bin") == bytes(range(256)) * 1000
    assert bundle.info("below/b.bin")["size"] == 256_000
    place = bundle.save(tmp_path)
    assert place == tmp_path / "my-data" and (place / "below" / "b.bin").stat().st_size == 256_000
    assert bundle.save(tmp_path / "copy.txt", path="a.txt").read_text() == "ä"
    single = ws.bundles.upload(folder / "a.txt")
    assert single.name == "a.txt" and single.save(tmp_path).read_text() == "ä"
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(folder / "a.txt", "inside.txt")
    unpacked = ws.bundles.upload(tmp_path / "packed.tar.gz")
    assert unpacked.name == "packed" and unpacked.files() == ["inside.txt"]
    kept = ws.bundles.upload(tmp_path / "packed.tar.gz", name="kept", unpack=False)
    assert kept.read() == (tmp_path / "packed.tar.gz").read_bytes()
    for bundle in (unpacked, kept):
        with pytest.raises((NotFound, IsADirectoryError)):
            bundle.open("nothing")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        unpacked.read()
    with pytest.raises(TypeError, match="bytes need a name"):
        ws.bundles.upload(b"x")


def test_what_cannot_be_sent_or_saved_leaves_nothing_behind(ws: Workspace, tmp_path: Path):
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    with pytest.raises(InvalidRequest, match="Invalid archive upload"):
        ws.bundles.upload(tmp_path / "broken.zip", progress=False)
    assert list(ws.bundles.search("name=broken")) == []
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("x")
    bundle = ws.bundles.upload(tmp_path / "folder", progress=False)
    with pytest.raises(FileExistsError, match="is there already"):
        bundle.save(tmp_path)
    with pytest.raises(NotFound, match="not found"):
        bundle.save(tmp_path / "new", path="nothing")
    assert sorted(each.name for each in tmp_path.iterdir() if "folder" in each.name or "." in each.name[:1]) == [
        "folder"
    ]
    with pytest.raises(FileNotFoundError):
        ws.bundles.upload(tmp_path / "missing")


def test_rows_become_dataframes(ws: Workspace, numbers: Bundle, tmp_path: Path):
    frame = numbers.to_pandas()
    assert frame["word"].tolist() == ["one", "two"]
    assert frame.attrs["cosphere"]["bundle"] == numbers.uuid
    table = pd.DataFrame({"x": range(10), "y": [n / 3 for n in range(10)]})
    kept = ws.bundles.upload(table, name="table", progress=False)
    assert kept.to_pandas(dtype_backend="numpy").equals(table)
    for part in range(12):
        (tmp_path / "parts").mkdir(exist_ok=True)
        pd.DataFrame({"part": [part]}).to_parquet(tmp_path / "parts" / f"part-{part}.parquet")
    (tmp_path / "parts" / "manifest.json").write_text("{}")
    parts = ws.bundles.upload(tmp_path / "parts", progress=False)
    assert parts.to_pandas(progress=False)["part"].tolist() == list(range(12))
    assert parts.to_pandas("part-3.parquet")["part"].tolist() == [3]
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "readme.txt").write_text("no rows")
    with pytest.raises(ResultUnreadable, match=r"readme\.txt"):
        ws.bundles.upload(tmp_path / "mixed").to_pandas()


def test_hostile_archives_stay_where_they_are_unpacked(tmp_path: Path):
    from cosphere_jupyter.client.bundle_contents import unpack

    for number, name in enumerate(["../escaped", "/tmp/escaped-from-a-bundle", "a/../../escaped"]):
        archive, folder = tmp_path / f"{number}.tar.gz", tmp_path / f"folder{number}"
        folder.mkdir()
        with tarfile.open(archive, "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        if not name.startswith("/"):
            with pytest.raises(ResultUnreadable):
                unpack(archive, folder)
        else:
            unpack(archive, folder)
        assert not (tmp_path / "escaped").exists() and not Path("/tmp/escaped-from-a-bundle").exists()


def test_bundles_are_found_described_shared_and_deleted(ws: Workspace, numbers: Bundle):
    numbers.update(tags=["raw", "größe"], description="counted")
    found = ws.bundles.search("tags=größe .mine")
    assert numbers in found and found[0].description == "counted" and len(found[:1]) == 1
    assert ws.bundles.search(".mine", ".count") >= 1
    assert numbers in list(ws.bundles)
    assert numbers.share().uuid == numbers.uuid
    frozen = numbers.freeze()
    with pytest.raises(NotAllowed, match="Cannot mutate frozen bundle"):
        frozen.update(description="late")
    frozen.unfreeze().delete()
    with pytest.raises(NotFound, match=rf"Bundle {numbers.uuid} not found"):
        numbers.refresh()
    with pytest.raises(NotFound, match="doesn't match any bundles"):
        _ = ws.bundles["no-such-bundle"]
    with pytest.raises(InvalidRequest, match="Invalid bundle_spec"):
        _ = ws.bundles["a b"]


# Runs


def test_a_command_runs_on_bundles_and_what_it_leaves_is_one(ws: Workspace, numbers: Bundle):
    run = ws.run("wc -l < data > count; echo done", {"data": numbers}, tags=["x"], time="1h")
    assert run.type == "run" and run.command == "wc -l < data > count; echo done" and run.name == "run-wc"
    assert run.wait(timeout=60, progress=False) is run
    assert (run.state, run.text("count").strip(), run.text("stdout")) == ("ready", "3", "done\n")
    assert run.dependencies == {"data": numbers.uuid} and run.parents == [numbers]
    both = ws.make({"count": (run, "count"), "numbers": numbers, "again": f"{run.uuid}/stdout"}).wait(timeout=60)
    assert both.files() == ["again", "count", "numbers"] and both.text("count").strip() == "3"
    assert list(both.ancestors) == [run, numbers]


def test_what_fails_says_why_and_what_takes_long_can_be_killed(ws: Workspace):
    failing = ws.run("echo no >&2; exit 3")
    with pytest.raises(BundleFailed, match="Exit code 3") as caught:
        failing.wait(timeout=60, progress=False)
    assert caught.value.bundle is failing and failing.error == "Exit code 3" and failing.text("stderr") == "no\n"
    slow = ws.run("sleep 600", name="sleeper")
    with pytest.raises(BundleTimeout, match="sleeper is still"):
        slow.wait(timeout=0.3, progress=False)
    slow.kill()
    with pytest.raises(BundleFailed, match="Kill requested"):
        slow.wait(timeout=60, progress=False)
    assert slow.state == "killed"
    with pytest.raises(TypeError, match="a run has no 'tiem'"):
        ws.run("true", tiem="1h")


# From a request to a bundle


def test_the_rows_of_a_request_are_kept_and_lead_back_to_it(ws: Workspace):
    ws.catalogue.create(name="flights", source="flights.parquet")
    request = ws.catalogue["flights"].select("n", "carrier").where("n < 10").request()
    kept = request.freeze("few-flights", tags=["2013"])
    assert (kept.name, kept.state, kept.tags) == ("few-flights", "ready", ("2013",))
    frame = kept.to_pandas(progress=False)
    assert frame.to_dict("list") == request.to_pandas(progress=False).to_dict("list") and len(frame) == 10
    assert kept.request is not None and kept.request.id == request.id and kept.request.spec == request.spec
    assert kept.origin is not None and frame.attrs["cosphere"]["origin"] == kept.origin
    assert kept.origin["catalogue_item"] == "flights" and kept.origin["rows"] == 10
    assert kept.origin["rows_hash"] == request.freeze("again").origin["rows_hash"]
    # What is made of it leads back, too.
    run = ws.run("ls data", {"data": kept}).wait(timeout=60, progress=False)
    assert [each.request and each.request.id for each in run.ancestors] == [request.id]
    assert "flights" in kept._repr_html_()
    with pytest.raises(NotFound, match="there is no download request 424242"):
        ws.bundles.freeze(424242, "nothing")


async def test_coroutines_wait_without_holding_the_loop(ws: Workspace):
    run = ws.run("sleep 600")
    waiting = asyncio.ensure_future(run.wait_async(progress=False))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await asyncio.to_thread(run.kill)
    with pytest.raises(BundleFailed, match="Kill requested"):
        await waiting


# Worksheets


def test_a_worksheet_shows_what_was_done_and_of_what(ws: Workspace, numbers: Bundle):
    page = ws.worksheets.create("what-was-done", title="Größe <script>", tags=["draft"])
    page.add("# Results & <b>more</b>", "", numbers, "% display contents / maxlines=2", numbers, "// secret", page)
    assert [each.type for each in page.items] == [
        *("markup", "markup", "bundle", "directive", "bundle", "directive", "worksheet")
    ]
    assert page.bundles[0] == page.items[2].bundle == numbers and page.items[6].uuid == page.uuid
    assert page.source.splitlines()[2] == f"[dataset numbers.csv]{{{numbers.uuid}}}"
    assert [each["mode"] for each in page.blocks] == [
        *("markup_block", "table_block", "contents_block", "subworksheets_block")
    ]
    shown = page._repr_html_()
    assert "<script>" not in shown and "<b>more" not in shown and "secret" not in shown
    for text in ("Größe &lt;script&gt;", "numbers.csv", "n,word", "1,one", "&lt;b&gt;more&lt;/b&gt;", "draft"):
        assert text in shown, text
    assert "2,two" not in shown
    page.source += "\n// to be continued\n{numbers.csv}"
    assert page.items[-1].uuid == numbers.uuid and len(page.items) == 9
    stale = ws.worksheets[page.uuid]
    page.add("somebody else's line")
    with pytest.raises(InvalidRequest, match="was updated concurrently!"):
        stale.source = "mine"
    assert stale.refresh().update(title="T", tags=["ü"]).title == "T" and stale.tags == ("ü",)
    assert (page.permission, page.owner) == ("all", numbers.owner)
    [found] = ws.worksheets.search("what-was-done")
    assert (found.name, found.title, found.tags, found.owner) == ("what-was-done", "T", ("ü",), page.owner)
    with pytest.raises(TypeError, match="not int"):
        page.add(5)
    with pytest.raises(InvalidRequest, match="not empty"):
        page.delete()
    page.delete(force=True)
    with pytest.raises(NotFound):
        page.refresh()
    assert ws.bundles[numbers.uuid] == numbers


def test_everybody_has_a_home_and_uploads_may_stand_on_worksheets(ws: Workspace):
    home = ws.worksheets.home
    assert isinstance(home, Worksheet) and home.name.startswith("home-") and home == ws.worksheets[home.name]
    bundle = ws.bundles.upload(b"x", name="here", worksheet=home.name, progress=False)
    assert bundle in home.refresh().bundles
    bundle.delete(force=True)


def test_whoever_is_not_known_is_told_so(real: RealServer):
    with pytest.raises(NotSignedIn), Workspace(real.url, "", sign_in=False) as stranger:
        stranger.bundles.upload(b"x", name="x")


def test_representations_are_escaped_and_ask_nothing(ws: Workspace, monkeypatch: pytest.MonkeyPatch):
    nasty = "<img src=x onerror=alert(1)>"
    bundle = ws.bundles.upload(b"x", name="nasty", description=nasty, tags=[nasty], progress=False)
    page = ws.worksheets.create("nasty", title=nasty)
    page.add(nasty, "% display contents /", bundle, bundle)
    shown: list[Any] = [ws.bundles, ws.worksheets, bundle, ws.bundles.search("nasty"), page]
    shown.append(ws.worksheets.search("nasty"))
    monkeypatch.setattr(ws.http, "_send", lambda *_: pytest.fail("a representation asks the server"))
    for each in shown:
        assert "<img" not in each._repr_html_() and "onerror" not in repr(each)
    assert nasty.replace("<", "&lt;").replace(">", "&gt;") in page._repr_html_()
    assert json.dumps(page.blocks)
