"""What lies in bundles: the rows of ``contents/info`` of the API's semantics, over HTTP, and where no path leads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from codalab.bytes_of import COMMAND_LINE, CONTENTS, Shelf, give, tar_of, told, tree, unpacked
from codalab.hostile import PATHS
from support import Api


async def test_info_tells_files_folders_and_links_down_to_a_depth(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    answer = await shelf.info(uuid)
    assert answer.headers["Content-Type"] == "application/json"
    size = answer.json["data"]["size"]
    assert answer.json == {
        "data": {
            "name": uuid,
            "type": "directory",
            "size": size,
            "perm": 0o700,
            "resolved_target": {"bundle_uuid": uuid, "subpath": ""},
        },
        "meta": {"version": "0.2.0"},
    }
    assert isinstance(size, int)
    one = (await shelf.info(uuid, depth=1)).json["data"]["contents"]
    assert {(each["name"], each["type"], each.get("link"), "contents" in each) for each in one} == {
        ("a.txt", "file", None, False),
        ("sub", "directory", None, False),
        ("link", "link", "a.txt", False),
        ("dirlink", "link", "sub", False),
        ("loop", "link", "loop", False),
    }
    assert all("resolved_target" not in each for each in one)
    sub = (await shelf.info(uuid, "sub/", depth=7)).json["data"]
    assert (sub["name"], sub["resolved_target"]) == ("sub", {"bundle_uuid": uuid, "subpath": "sub"})
    deep, inner = sorted(sub["contents"], key=lambda each: str(each["name"]))
    assert (inner["name"], inner["type"], inner["size"], inner["perm"]) == ("inner", "file", 3, 0o644)
    assert [each["name"] for each in deep["contents"]] == ["x.csv"]
    file = (await shelf.info(uuid, "sub//./deep/../inner", depth=3)).json["data"]
    assert (file["name"], file["size"], "contents" in file) == ("inner", 3, False)
    assert file["resolved_target"] == {"bundle_uuid": uuid, "subpath": "sub/inner"}
    link = (await shelf.info(uuid, "link")).json["data"]
    assert (link["type"], link["link"]) == ("link", "a.txt")


async def test_the_root_of_a_file_is_named_by_the_uuid(shelf: Shelf) -> None:
    uuid = await shelf.filled(b"12345", "five.bin")
    data = (await shelf.info(uuid, depth=3)).json["data"]
    assert (data["name"], data["type"], data["size"], data["perm"]) == (uuid, "file", 5, 0o644)
    assert told(await shelf.info(uuid, "x")) == (404, f"Path 'x' in bundle {uuid} not found")


async def test_what_info_refuses(shelf: Shelf, anybody: Api, sign_up: Any) -> None:
    uuid = await tree(shelf)
    other = await sign_up("otto@lab.example", name="otto")
    assert told(await shelf.info(uuid, depth=-1)) == (400, "Depth must be at least 0")
    assert told(await shelf.info(uuid, depth="x")) == (400, "Invalid int 'x'")
    assert told(await shelf.info(uuid, "nothing/here")) == (404, f"Path 'nothing/here' in bundle {uuid} not found")
    outside = f"{uuid}/../x is not inside the bundle."
    assert told(await shelf.info(uuid, "../x")) == (404, outside)
    assert told(await shelf.info(uuid, "sub/../../x"))[0] == 404
    have_none = f"does not have sufficient permissions on bundle {uuid} (have none, need read)."
    assert told(await shelf.info(uuid, caller=anybody)) == (403, f"User public(None) {have_none}")
    status, text = told(await shelf.info(uuid, caller=other))
    assert status == 403 and text.startswith("User otto(0x") and text.endswith(have_none)
    unknown = f"0x{'ab' * 16}"
    assert have_none.replace(uuid, unknown) in told(await shelf.info(unknown, caller=other))[1]
    # The root's path ends in a slash, and uuids are written in one way.
    assert (await shelf.caller.get(f"{CONTENTS.format(uuid=uuid)}/info", headers=COMMAND_LINE)).status == 404
    assert (await shelf.info(uuid.upper())).status == 404


async def test_bundles_without_contents_say_why(shelf: Shelf) -> None:
    for state in ("created", "staged", "starting", "preparing"):
        uuid = await shelf.bundle(bundle_type="run", command="date", state=state)
        text = f"Bundle {uuid} hasn't started running yet, files not available"
        assert told(await shelf.info(uuid)) == (404, text), state
        assert told(await shelf.blob(uuid, "stdout")) == (404, text), state
    for state in ("uploading", "ready", "failed"):
        uuid = await shelf.bundle(state=state)
        assert told(await shelf.info(uuid)) == (404, f"Path '' in bundle {uuid} not found"), state
        assert (await shelf.blob(uuid)).status == 404, state


async def test_a_path_of_a_dependency_leads_into_the_parent(shelf: Shelf, sign_up: Any) -> None:
    from cosphere_jupyter.bundles.records import Dependency

    file = await shelf.filled(b"from the parent", "in.txt", name="numbers")
    folder = await tree(shelf)
    gone = f"0x{'ab' * 16}"
    parents = [Dependency("in.txt", file), Dependency("data/all", folder), Dependency("part", folder, "sub")]
    child = await shelf.bundle(state="ready", dependencies=[*parents, Dependency("lost", gone)])
    grandchild = await shelf.bundle(state="ready", dependencies=[Dependency("run", child)])

    def target(uuid: str, subpath: str) -> dict[str, str]:
        return {"bundle_uuid": uuid, "subpath": subpath}

    for path, expected in {
        "in.txt": target(file, ""),
        "data/all": target(folder, ""),
        "data/all/sub/inner": target(folder, "sub/inner"),
        "part/deep/x.csv": target(folder, "sub/deep/x.csv"),
    }.items():
        assert (await shelf.info(child, path)).json["data"]["resolved_target"] == expected, path
        deeper = await shelf.info(grandchild, f"run/{path}")
        assert deeper.json["data"]["resolved_target"] == expected, path
    assert (await shelf.blob(grandchild, "run/in.txt")).body == b"from the parent"
    assert told(await shelf.info(child, "part/nothing"))[0] == 404
    assert told(await shelf.info(child, "data"))[0] == 404
    assert told(await shelf.info(child, "part/../../x"))[0] == 404
    assert told(await shelf.info(child, "lost"))[0] == 403
    # Who may read the child may not read the parent by that.
    other = await sign_up("otto@lab.example")
    await give(shelf, child, other)
    status, text = told(await shelf.blob(child, "in.txt", caller=other))
    assert status == 403 and f"bundle {file} (have none, need read)" in text


async def test_bundles_of_everyone_are_anybodys_to_read_and_a_bad_credential_is_still_bad(
    shelf: Shelf, anybody: Api
) -> None:
    uuid = await tree(shelf)
    await give(shelf, uuid, None)
    assert (await shelf.info(uuid, caller=anybody)).status == 200
    assert (await shelf.blob(uuid, "a.txt", caller=anybody)).body == b"hello\n"
    assert told(await shelf.blob(uuid, caller=anybody.of("Bearer wrong"))) == (401, "User is not authenticated.")


# -- what others may do to a folder while it is read -----------------------------------------------------------------


async def test_a_running_bundle_is_read_as_it_is_now(shelf: Shelf, tmp_path: Path, monkeypatch: Any) -> None:
    work = tmp_path / "run"
    work.mkdir()
    (work / "stdout").write_bytes(b"one\n")
    (work / "out").symlink_to("/etc")
    os.mkfifo(work / "pipe")
    os.mkdir(bytes(work) + b"/caf\xe9")
    uuid = await shelf.bundle(bundle_type="run", command="date", state="running")
    monkeypatch.setattr(shelf.services.bundle_contents, "live", lambda bundle: work if bundle.uuid == uuid else None)
    assert (await shelf.blob(uuid, "stdout")).body == b"one\n"
    (work / "stdout").write_bytes(b"one\ntwo\n")
    rest = await shelf.blob(uuid, "stdout", headers={"Range": "bytes=4-100", "Accept-Encoding": "identity"})
    assert (rest.body, "Etag" in rest.headers) == (b"two\n", False)
    kinds = {each["name"]: each["type"] for each in (await shelf.info(uuid, depth=1)).json["data"]["contents"]}
    assert kinds == {"stdout": "file", "out": "link", "pipe": "other", "caf\ufffd": "directory"}
    # Neither does a pipe make anybody wait, nor is a link followed.
    assert told(await shelf.blob(uuid, "pipe")) == (403, "Cannot download files of this type (other).")
    assert (await shelf.blob(uuid, "out/passwd")).status == 404
    assert (await shelf.info(uuid, "out/passwd")).status == 404
    assert unpacked(await shelf.blob(uuid))["out"] == "/etc"


async def test_contents_that_go_away_between_two_looks_are_missing(shelf: Shelf, monkeypatch: Any) -> None:
    uuid = await tree(shelf)
    contents = shelf.services.bundle_contents
    find, location = contents.find, (await shelf.stored(uuid)).location

    async def find_and_remove(*args: Any) -> Any:
        target = await find(*args)
        contents.store.delete(location)
        return target

    for path, ask in (("", shelf.blob), ("sub", shelf.blob), ("a.txt", shelf.blob), ("sub", shelf.info)):
        monkeypatch.setattr(contents, "find", find_and_remove)
        answer = await ask(uuid, path)
        assert told(answer) == (404, f"Path '{path}' in bundle {uuid} not found"), path
        monkeypatch.undo()
        restored = await shelf.stored(await tree(shelf))
        contents.store.path(restored.location).rename(contents.store.path(location))


async def test_no_path_leads_out_of_a_bundle(shelf: Shelf) -> None:
    uuid = await shelf.filled(tar_of(("a.txt", b"mine"), ("sub/inner", b"mine")), "x.tar.gz")
    folder = shelf.services.bundle_contents.store.path((await shelf.stored(uuid)).location)
    # Nothing of ours makes these, but a run may.
    (folder / "out").symlink_to("/etc")
    (folder / "dirlink").symlink_to("sub")
    (folder / "link").symlink_to("a.txt")
    (folder / "loop").symlink_to("loop")
    assert len(PATHS) >= 60
    for path in PATHS:
        answer = await shelf.info(uuid, path)
        assert answer.status in (200, 400, 404), path
        if answer.status == 200:
            found = answer.json["data"]["resolved_target"]
            assert found["bundle_uuid"] == uuid and not {"..", "out/passwd"} & {found["subpath"]}, path
        blob = await shelf.blob(uuid, path)
        if blob.status == 200 and blob.headers["Target-Type"] == "file":
            assert blob.body == b"mine", path
        else:
            assert blob.status in (200, 400, 403, 404), path
        assert "root:" not in blob.body.decode(errors="replace"), path


async def test_names_that_are_no_utf8_are_bad_requests(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    for path in ("%ff", "a.txt%ff", "%c0%ae%c0%ae/x", "%ed%a0%80"):
        answer = await shelf.caller.get(f"{CONTENTS.format(uuid=uuid)}/info/{path}", headers=COMMAND_LINE)
        assert answer.status in (400, 404), path
