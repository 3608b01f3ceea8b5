"""What a user of the command line ``cl`` does, from signing in to giving a group a worksheet, by plain HTTP."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
import zipfile

import pytest
from codalab.command_line import NOBODY, PASSWORD, RUN, CommandLine, server_of_rosa_and_otto, signed_in, tar_gz

NO_RIGHT = "does not have sufficient permissions on bundle"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with server_of_rosa_and_otto(tmp_path_factory.mktemp("bundles")) as running:
        yield running


@pytest.fixture(scope="module")
def rosa(server) -> CommandLine:
    return signed_in(server, "rosa")


@pytest.fixture(scope="module")
def otto(server) -> CommandLine:
    return signed_in(server, "otto@lab.example")


@pytest.fixture(scope="module")
def a_txt(rosa) -> str:
    return rosa.upload("a.txt", b"one\ntwo\nthree\n", "a.txt", unpack=0)


@pytest.fixture(scope="module")
def tree(rosa) -> str:
    packed = tar_gz(**{"train__x.csv": "n\n1\n2\n", "train__y.csv": "3\n", "notes.md": "# Notizen: ä\n"})
    return rosa.upload("tree", packed, "tree.tar.gz", is_dir=1)


def test_signing_in(server):
    someone = CommandLine(server.base)
    status, refused = someone.grant(grant_type="password", username="rosa", password="wrong password")
    assert (status, refused["error"]) == (401, "invalid_grant")
    assert someone.refused("GET", "/user") == (401, "User is not authenticated.")
    someone.sign_in("rosa", PASSWORD)
    user = someone.json("GET", "/user")["data"]
    assert (user["type"], user["attributes"]["user_name"], user["attributes"]["email"]) == (
        "users",
        "rosa",
        "rosa@lab.example",
    )
    status, given = someone.grant(grant_type="refresh_token", refresh_token=someone.refresh_token)
    assert status == 200 and len(given["access_token"]) == 30
    someone.token = given["access_token"]
    assert someone.json("GET", "/user")["data"]["id"] == user["id"]


def test_the_home_worksheet_is_there_when_it_is_asked_for(rosa):
    status = rosa.work()
    assert status["name"] == "home-rosa" and status["permission_spec"] == "all"


def test_a_file_is_uploaded_and_read(rosa, a_txt):
    found = rosa.read(a_txt)
    attributes = found["attributes"]
    assert (attributes["state"], attributes["bundle_type"], attributes["permission_spec"]) == (
        "ready",
        "dataset",
        "all",
    )
    assert attributes["metadata"]["data_size"] == 14 and attributes["metadata"]["name"] == "a.txt"
    assert found["meta"]["metadata_type"]["data_size"] == "size" and "name" in found["meta"]["editable_metadata_keys"]
    assert found["relationships"]["host_worksheets"]["data"][0]["id"] == rosa.worksheet
    info = rosa.info(a_txt)
    assert (info["name"], info["type"], info["size"]) == (a_txt, "file", 14)
    assert rosa.cat(a_txt) == "one\ntwo\nthree\n"
    got = rosa.blob(a_txt, Accept_Encoding="gzip")
    assert got.headers["Content-Encoding"] == "gzip" and gzip.decompress(got.body) == b"one\ntwo\nthree\n"
    assert got.headers["X-Codalab-Target-Size"] == "14" and got.headers["Target-Type"] == "file"
    assert rosa.blob(a_txt, query=[("head", 1)]).text == "one\n"
    assert rosa.blob(a_txt, query=[("tail", 1)]).text == "three\n"
    assert rosa.blob(a_txt, Range="bytes=4-6").text == "two"
    past = rosa.blob(a_txt, Range="bytes=14-4000")
    assert (past.status // 100, past.body) == (2, b"")


def test_a_folder_is_uploaded_and_comes_back(rosa, tree):
    info = rosa.info(tree, depth=1)
    assert (info["type"], {each["name"] for each in info["contents"]}) == ("directory", {"train", "notes.md"})
    assert rosa.cat(tree, "notes.md") == "# Notizen: ä\n"
    assert rosa.info(tree, "train/x.csv")["size"] == 6
    got = rosa.blob(tree)
    assert (got.headers["Content-Type"], got.headers["Target-Type"]) == ("application/gzip", "directory")
    with tarfile.open(fileobj=io.BytesIO(got.body)) as archive:
        files = {each.name.removeprefix("./"): archive.extractfile(each).read() for each in archive if each.isfile()}
    assert files == {"train/x.csv": b"n\n1\n2\n", "train/y.csv": b"3\n", "notes.md": "# Notizen: ä\n".encode()}
    assert rosa.blob(tree, Range="bytes=0-9").text == "Range not supported for directory blobs."
    assert rosa.refused("GET", f"/bundles/{tree}/contents/info/none")[0] == 404
    assert rosa.refused("GET", f"/bundles/{tree}/contents/info/../../x")[0] == 404


def test_archives_are_unpacked_and_bad_ones_refused(rosa):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/a.txt", "zipped")
    zipped = rosa.upload("zipped", packed.getvalue(), "zipped.zip")
    assert rosa.cat(zipped, "in/a.txt") == "zipped"
    single = rosa.upload("single", gzip.compress(b"just one"), "single.txt.gz")
    assert rosa.info(single)["type"] == "file" and rosa.cat(single) == "just one"
    kept = rosa.upload("kept", packed.getvalue(), "kept.zip", unpack=0)
    assert rosa.info(kept)["size"] == len(packed.getvalue())
    uuid = rosa.create("dataset", {**dataset("junk")}, [("wait_for_upload", 1)])
    refused = rosa.put(uuid, b"no archive", filename="junk.tar.gz", unpack=1)
    said = "Upload failed: Invalid archive upload: failed to unpack archive."
    assert (refused.status, refused.text) == (400, said)
    assert rosa.wait(uuid)["metadata"]["failure_message"].startswith("Upload failed: Invalid archive")
    assert rosa.put(a_ready(rosa), b"x", filename="x").status == 403
    rosa.rm(zipped, single, kept, uuid)


def dataset(name: str, **metadata):
    return {"name": name, "description": "", "tags": [], "license": "", "source_url": "", **metadata}


def a_ready(rosa) -> str:
    return str(rosa.json("GET", "/bundles", [("keywords", "name=a.txt"), ("keywords", "state=ready")])["data"][0]["id"])


@pytest.fixture(scope="module")
def sorted_run(rosa, a_txt, tree) -> str:
    command = "sort in.txt; cat data/y.csv; echo done >&2; mkdir out; cp in.txt out/copy.txt"
    uuid = rosa.run(command, ("in.txt", a_txt), ("data", tree, "train"), name="sorted", tags=["ml", "übung"])
    rosa.wait(uuid)
    return uuid


def test_a_run_sees_its_dependencies_and_leaves_what_it_wrote(rosa, a_txt, tree, sorted_run):
    found = rosa.read(sorted_run)
    attributes = found["attributes"]
    assert attributes["state"] == "ready", attributes
    assert attributes["metadata"]["exitcode"] == 0 and attributes["metadata"]["run_status"] == "Finished"
    dependencies = {each["child_path"]: each for each in attributes["dependencies"]}
    assert dependencies["in.txt"]["parent_name"] == "a.txt" and dependencies["data"]["parent_path"] == "train"
    assert attributes["args"].startswith(f"run in.txt:{a_txt} data:{tree}/train ")
    assert rosa.cat(sorted_run, "stdout") == "one\nthree\ntwo\n3\n"
    assert rosa.cat(sorted_run, "stderr") == "done\n"
    assert rosa.cat(sorted_run, "out/copy.txt") == "one\ntwo\nthree\n"
    # Where a dependency stood, its parent is what is read.
    assert rosa.info(sorted_run, "in.txt")["resolved_target"] == {"bundle_uuid": a_txt, "subpath": ""}
    assert rosa.cat(sorted_run, "data/x.csv") == "n\n1\n2\n"
    names = {each["name"] for each in rosa.info(sorted_run, depth=1)["contents"]}
    assert names == {"stdout", "stderr", "out"}
    children = rosa.read(a_txt)["relationships"]["children"]["data"]
    assert sorted_run in [each["id"] for each in children]


def test_a_run_that_has_been_made_is_found_by_its_command(rosa, a_txt, tree, sorted_run):
    command = rosa.attributes(sorted_run)["command"]
    wanted = [{"child_path": "in.txt", "parent_uuid": a_txt}, {"child_path": "data", "parent_uuid": tree}]
    query = [("command", command), ("dependencies", json.dumps(wanted))]
    assert [each["id"] for each in rosa.json("GET", "/bundles", query)["data"]] == [sorted_run]


def test_a_run_is_followed_while_it_runs(rosa, a_txt):
    uuid = rosa.run("for n in 1 2 3 4 5; do echo line $n; sleep 0.2; done", ("in.txt", a_txt), name="slow")
    assert rosa.tail(uuid) == "".join(f"line {n}\n" for n in range(1, 6))
    assert rosa.wait(uuid)["state"] == "ready"
    rosa.rm(uuid)


def test_a_running_bundle_can_be_read_written_and_killed(rosa, a_txt):
    command = "echo begun; until [ -s in.put ]; do sleep 0.1; done; cat in.put; sleep 600"
    uuid = rosa.run(command, ("in.txt", a_txt), name="endless")
    running = rosa.wait_for(uuid, "running")
    assert running["state_details"] and running["metadata"]["started"] > 0
    # A parent is read as itself also while the run has only a place for it.
    assert rosa.cat(uuid, "in.txt") == "one\ntwo\nthree\n"
    status, text = rosa.refused("DELETE", "/bundles", (), [{"type": "bundles", "id": uuid}])
    assert status == 400 and text.startswith(f"Can't delete bundles: {uuid}. For run bundles, kill them first.")
    action = {"type": "write", "uuid": uuid, "subpath": "in.put", "string": "written\n"}
    rosa.json("POST", "/bundle-actions", (), [{"type": "bundle-actions", "attributes": action}])
    while rosa.blob(uuid, "stdout").text != "begun\nwritten\n":
        time.sleep(0.1)
    rosa.kill(uuid)
    killed = rosa.wait(uuid, seconds=20)
    assert (killed["state"], killed["metadata"]["failure_message"]) == ("killed", "Kill requested")
    assert rosa.cat(uuid, "stdout") == "begun\nwritten\n"
    status, text = rosa.refused("POST", "/bundle-actions", (), [{"type": "bundle-actions", "attributes": action}])
    assert status == 400 and text.startswith("Cannot execute this action on a bundle that is in the following states")
    rosa.rm(uuid)


def test_what_fails_fails_what_depends_on_it(rosa):
    failed = rosa.run("echo so far; exit 3", name="failing")
    after = rosa.run("true", ("before", failed), name="after")
    allowed = rosa.run("cat before/stdout", ("before", failed), name="allowed", allow_failed_dependencies=True)
    first = rosa.wait(failed)
    assert (first["state"], first["metadata"]["failure_message"], first["metadata"]["exitcode"]) == (
        "failed",
        "Exit code 3",
        3,
    )
    assert rosa.wait(after)["metadata"]["failure_message"].startswith(f"Parent bundles failed: {failed} (Please use")
    assert rosa.wait(allowed)["state"] == "ready" and rosa.cat(allowed, "stdout") == "so far\n"
    missing = rosa.wait(rosa.run("true", ("x", NOBODY), name="missing"))
    assert missing["metadata"]["failure_message"] == f"Missing parent bundles: {NOBODY}"
    slow = rosa.wait(rosa.run("sleep 60", name="slow-one", request_time="1s"))
    assert slow["metadata"]["failure_message"].startswith("Time limit exceeded. (Container uptime 1.")


def test_a_make_copies_and_says_what_is_not_there(rosa, a_txt, tree, sorted_run):
    made = rosa.make(("a", a_txt), ("x.csv", tree, "train/x.csv"), ("copy.txt", sorted_run, "out/copy.txt"))
    assert rosa.wait(made)["state"] == "ready"
    assert rosa.cat(made, "x.csv") == "n\n1\n2\n" and rosa.cat(made, "copy.txt") == rosa.cat(made, "a")
    itself = rosa.make(("", tree, "train"), name="train")
    rosa.wait(itself)
    assert {each["name"] for each in rosa.info(itself, depth=1)["contents"]} == {"x.csv", "y.csv"}
    wrong = rosa.wait(rosa.make(("x", tree, "none"), name="wrong"))
    assert (wrong["state"], wrong["metadata"]["failure_message"]) == ("failed", f"Invalid dependency {tree}/none")


def test_what_stands_in_a_run_is_checked(rosa, a_txt):
    for key, said in [("", "child_path empty"), ("a b", "child_path must match")]:
        dependency = {"child_path": key, "parent_uuid": a_txt, "parent_path": ""}
        attributes = {"bundle_type": "run", "command": "true", "dependencies": [dependency], "metadata": run("x")}
        query = [("worksheet", rosa.worksheet)]
        refused = rosa.refused("POST", "/bundles", query, [{"type": "bundles", "attributes": attributes}])
        assert refused[0] == 400 and refused[1].startswith(said)


def run(name: str):
    return {**RUN, "name": name}


def test_metadata_and_freezing(rosa, a_txt):
    change = {"type": "bundles", "id": a_txt, "attributes": {"metadata": {"description": "Zahlen", "tags": ["ml"]}}}
    changed = rosa.json("PATCH", "/bundles", (), [change])["data"][0]["attributes"]["metadata"]
    assert (changed["description"], changed["tags"], changed["name"]) == ("Zahlen", ["ml"], "a.txt")
    unknown = {"type": "bundles", "id": a_txt, "attributes": {"metadata": {"colour": "red"}}}
    assert rosa.refused("PATCH", "/bundles", (), [unknown]) == (400, "Unexpected metadata key: colour")
    frozen = {"type": "bundles", "id": a_txt, "attributes": {"frozen": "2026-11-21T01:13:41.603579"}}
    rosa.json("PATCH", "/bundles", (), [frozen])
    said = f"Cannot mutate frozen bundle {a_txt}(a.txt)."
    assert rosa.refused("PATCH", "/bundles", (), [change]) == (403, said)
    rosa.json("PATCH", "/bundles", (), [{"type": "bundles", "id": a_txt, "attributes": {"frozen": None}}])
