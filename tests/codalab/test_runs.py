"""Runs: a command in a clean folder, its parents beside it, what is left of it in the end."""

from __future__ import annotations

import os
import time

import psutil
import pytest
from codalab.runs import Bench
from support import Api

from cosphere_jupyter.bundles.run_child import has_walls


@pytest.fixture
def secrets(monkeypatch) -> None:
    for name in ("JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "COSPHERE_TOKEN"):
        monkeypatch.setenv(name, "hidden-from-commands")
    monkeypatch.setenv("LC_TIME", "C")


@pytest.fixture
def walls(tmp_path) -> bool:
    """Whether this machine lets commands have walls."""
    empty = tmp_path / "empty"
    empty.mkdir()
    return has_walls(str(empty))


@pytest.fixture
def bench(secrets, services, owner: Api) -> Bench:
    return Bench(services, owner)


def test_patterns_of_any_number_of_folders_are_matched_at_once():
    from cosphere_jupyter.bundles.run_files import _matches

    deep = ["d"] * 150 + ["f"]
    assert not _matches(deep, ["**"] * 60 + ["x"])
    assert _matches(deep, ["**"] * 60 + ["f"]) and _matches(deep, ["d", "**", "d", "**"])
    assert _matches(["a"], ["**", "a", "**"]) and _matches(["a", "b"], ["**"])
    assert not _matches(["a"], ["a", "b"]) and not _matches(["a", "b"], ["a"]) and not _matches(["a"], ["**", "b"])


async def test_a_command_runs_to_its_end_and_what_it_wrote_is_the_bundle(bench):
    made = await bench.run("echo hello; echo oh >&2; mkdir out; echo 7 > out/n")
    assert (made.state, made.metadata["staged_status"]) == ("staged", "Waiting for a free slot of this server.")
    ended = await bench.ended(made)
    assert (ended.state, ended.metadata.get("exitcode")) == ("ready", 0), dict(ended.metadata)
    assert bench.names(ended) == ["out", "out/n", "stderr", "stdout"]
    assert (bench.text(ended), bench.text(ended, "stderr"), bench.text(ended, "out/n")) == ("hello\n", "oh\n", "7\n")
    assert (ended.data_size, ended.content_type) == (6 + 3 + 2, "directory")
    assert ended.data_hash is not None and len(ended.data_hash) == 42
    assert "failure_message" not in ended.metadata and "staged_status" not in ended.metadata
    facts = ended.metadata
    assert facts["run_status"] == "Finished" and facts["remote"] == os.uname().nodename
    assert facts["time"] > 0 and facts["time_user"] >= 0 and facts["time_system"] >= 0 and facts["memory_max"] > 2**20
    assert facts["started"] <= facts["last_updated"] <= time.time() + 1
    assert await bench.has_tidied()


async def test_a_command_that_fails_says_so_and_keeps_what_it_wrote(bench):
    ended = await bench.done("echo before; exit 3")
    assert (ended.state, ended.metadata["exitcode"]) == ("failed", 3)
    assert ended.metadata["failure_message"] == "Exit code 3"
    assert bench.text(ended) == "before\n"
    no_such = await bench.done("kein-befehl-ü")
    assert (no_such.state, no_such.metadata["failure_message"]) == ("failed", "Exit code 127")
    assert "kein-befehl-ü" in bench.text(no_such, "stderr")


async def test_the_environment_of_a_command_is_clean(bench):
    ended = await bench.done("env; echo; pwd; ls -A; cat /proc/self/environ >/dev/null; cat; umask")
    lines = bench.text(ended).splitlines()
    values = dict(line.split("=", 1) for line in lines[: lines.index("")])
    assert "hidden-from-commands" not in bench.text(ended)
    assert values["CODALAB"] == "true" and values["LC_TIME"] == "C"
    assert values["HOME"] == values["PWD"] == lines[lines.index("") + 1]
    allowed = {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "TMPDIR", "CODALAB", "COSPHERE_TASKS_OF", "LANG", "TZ"}
    allowed |= {"LANGUAGE", "TERM", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV"}
    assert {name for name in values if not name.startswith("LC_")} <= allowed
    # The folder was empty but for what the shell itself had opened.
    assert lines[lines.index("") + 2 : -1] == ["stderr", "stdout"]


async def test_commands_of_several_lines_with_comments_and_other_scripts_work(bench):
    ended = await bench.done("echo ά # a comment\ncat <<'END'\nзавтра (1\nEND\necho last # no newline")
    assert (ended.state, bench.text(ended)) == ("ready", "ά\nзавтра (1\nlast\n"), dict(ended.metadata)


async def test_parents_stand_at_their_keys_read_only_and_are_not_part_of_the_bundle(bench, walls):
    one = await bench.dataset("just text\n")
    tree = await bench.dataset({"train/a.txt": "A\n", "train/deep/b.txt": "B\n", "top.txt": "T\n"})
    command = """
        cat one.txt nested/deeper/data/a.txt a.txt deep/b.txt
        (echo x > one.txt) 2>/dev/null && echo written-file
        (echo x > nested/deeper/data/new) 2>/dev/null && echo written-new
        (echo x >> deep/b.txt) 2>/dev/null && echo written-merged
        rm -rf one.txt nested/deeper/data deep 2>/dev/null && echo removed
        chmod -R 777 nested/deeper/data one.txt 2>/dev/null && echo changed
        mount -o remount,rw,bind one.txt 2>/dev/null && echo remounted
        umount one.txt 2>/dev/null && echo unmounted
        unshare -rm mount -o remount,rw,bind nested/deeper/data 2>/dev/null && echo remounted-within
        ls -A nested/deeper; echo out > nested/out.txt; true
    """
    dependencies = [("one.txt", one.uuid), ("nested/deeper/data", tree.uuid, "train"), (".", tree.uuid, "train")]
    ended = await bench.done(command, *dependencies)
    assert ended.state == "ready", dict(ended.metadata)
    said = bench.text(ended).splitlines()
    # Copies, where there are no walls, may be removed.
    assert said == ["just text", "A", "A", "B", "data"] or (not walls and said[:4] == ["just text", "A", "A", "B"])
    assert bench.names(ended) == ["nested", "nested/out.txt", "stderr", "stdout"]
    assert bench.contents(one).read_text() == "just text\n"
    assert sorted(bench.names(tree)) == ["top.txt", "train", "train/a.txt", "train/deep", "train/deep/b.txt"]
    assert bench.text(tree, "train/deep/b.txt") == "B\n"


async def test_parts_of_parents_that_are_not_there_fail_the_run(bench):
    parent = await bench.dataset({"a": "1"})
    (bench.contents(parent) / "out").symlink_to("/etc")
    for key, path, said in [
        ("in", "none", f"Invalid dependency {parent.uuid}/none"),
        ("in", "../other", f"Invalid dependency {parent.uuid}/../other"),
        ("in", "out", f"Invalid dependency {parent.uuid}/out"),
        ("../in", "", "A dependency's key leads out of the run: ../in"),
    ]:
        ended = await bench.done("true", (key, parent.uuid, path))
        assert (ended.state, ended.metadata["failure_message"]) == ("failed", said)
    assert await bench.has_tidied()


async def test_two_parents_cannot_want_the_same_place(bench):
    parent = await bench.dataset({"a": "1"})
    ended = await bench.done("true", ("in", parent.uuid), ("in/a", parent.uuid, "a"))
    assert ended.metadata["failure_message"] == "Two dependencies want the same place: in and in/a"


async def test_what_shall_not_be_kept_and_what_is_no_file_goes(bench):
    command = """
        mkdir -p cache/x keep; touch cache/x/big a.tmp keep/b.tmp keep/c.txt
        ln -s /etc away; ln -s keep/c.txt near; mkfifo pipe
        chmod 0 keep/c.txt; mkdir -p shut/in && touch shut/in/file && chmod 0 shut
    """
    patterns = ["cache", "*.tmp", "away/*", "**/c.none", "../*", "/"]
    ended = await bench.done(command, metadata={"exclude_patterns": patterns})
    assert ended.state == "ready", dict(ended.metadata)
    wanted = ["away", "keep", "keep/b.tmp", "keep/c.txt", "near", "shut", "shut/in", "shut/in/file", "stderr", "stdout"]
    assert bench.names(ended) == wanted
    assert os.path.exists("/etc/passwd")
    deep = await bench.done("mkdir -p x/y; touch x/y/z.tmp x/w.tmp", metadata={"exclude_patterns": ["**/*.tmp"]})
    assert bench.names(deep) == ["stderr", "stdout", "x", "x/y"]


async def test_nothing_that_a_command_started_outlives_it(bench):
    command = "setsid nohup sleep 987 >/dev/null 2>&1 & (sleep 988 &) ; python3 -c 'import os; os.setsid()' ; echo $$"
    ended = await bench.done(command)
    assert ended.state == "ready", dict(ended.metadata)
    assert [
        each
        for each in psutil.process_iter(["cmdline"])
        if each.info["cmdline"] in (["sleep", "987"], ["sleep", "988"])
    ] == []


async def test_a_command_does_not_see_the_workspace_s_own_folder(bench, walls):
    folder = bench.services.settings.data_dir
    ended = await bench.done(
        f"ls {folder}; cat {folder}/keys/* {folder}/cosphere.sqlite | wc -c; ls /proc | grep -c '^[0-9]'"
    )
    lines = bench.text(ended).splitlines()
    assert (lines[:2] == ["bundles", "0"] and int(lines[2]) < 20) is walls


async def test_a_run_can_be_read_while_it_runs_and_written_into(bench):
    made = await bench.run("echo first; until [ -s sub/go ]; do mkdir -p sub; sleep 0.05; done; cat sub/go")
    running = await bench.reaches(made, lambda found: found.state == "running")
    assert running.metadata["run_status"] == "Running job in container."
    folder = bench.services.runs.live_folder(running)
    while not (folder / "sub").is_dir():
        time.sleep(0.02)
    assert (folder / "stdout").read_text() == "first\n"
    await bench.services.runs.write(running, "sub/go", "gogogo\n")
    ended = await bench.ended(made)
    assert (ended.state, bench.text(ended)) == ("ready", "first\ngogogo\n")
    assert bench.services.runs.live_folder(ended) is None


async def test_nothing_is_written_beside_a_running_bundle_or_into_its_parents(bench):
    from cosphere_jupyter.bundles.problems import Refused

    parent = await bench.dataset({"a": "1"})
    made = await bench.run("ln -s /tmp away; mkfifo pipe; touch ready; sleep 60", ("in/data", parent.uuid))
    running = await bench.reaches(made, lambda found: found.state == "running")
    while not (bench.services.runs.live_folder(running) / "ready").exists():
        time.sleep(0.02)
    wrong = [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "away/x",
        "away",
        "pipe",
        "in/data/a",
        "in/data",
        "in",
        "none/x",
        "x\0",
    ]
    for path in wrong:
        with pytest.raises(Refused):
            await bench.services.runs.write(running, path, "text")
    with pytest.raises(Refused, match="at most"):
        await bench.services.runs.write(running, "x", "t" * (2**20 + 1))
    await bench.services.runs.kill(running)
    ended = await bench.ended(made)
    with pytest.raises(Refused, match="Cannot execute this action"):
        await bench.services.runs.write(ended, "x", "text")
    assert bench.text(parent, "a") == "1"


async def test_only_those_who_may_start_runs(bench, researcher):
    from cosphere_jupyter.errors import AccessDenied

    with pytest.raises(AccessDenied, match=r"may not start runs on this server.*CosphereApp\.allow_runs"):
        await bench.run("true", account=researcher)
    attributes = {"bundle_type": "run", "command": "true", "metadata": {"name": "r", "description": "", "tags": []}}
    body = {"data": [{"type": "bundles", "attributes": attributes}]}
    said = "User rosa may not start runs on this server: its operator has not allowed it (CosphereApp.allow_runs)."
    refused = await researcher.post("/rest/bundles?detached=1", body, headers={"X-Requested-With": "XMLHttpRequest"})
    assert (refused.status, refused.body.decode()) == (403, said)
    assert (await researcher.get("/rest/bundles?keywords=.mine&keywords=.count")).json["meta"]["result"] == 0
    parent = await bench.dataset("text", account=researcher)
    made = await bench.ended(await bench.make(("x", parent.uuid), account=researcher))
    assert made.state == "ready"


async def test_a_limit_that_cannot_be_read_fails_the_run(bench):
    for key in ("request_time", "request_memory", "request_disk"):
        ended = await bench.done("true", metadata={key: "lots"})
        assert ended.state == "failed" and ended.metadata["failure_message"].startswith(f"{key}: 'lots' is no ")


async def test_what_a_run_uses_is_charged_to_its_owner(bench):
    from cosphere_jupyter.bundles.usage import read_usage

    async def usage():
        return await bench.services.database.read(lambda connection: read_usage(connection, 1))

    before = await usage()
    ended = await bench.done("head -c 5000 /dev/zero > zeros; sleep 0.3")
    after = await usage()
    assert after.disk_used - before.disk_used == ended.data_size == 5000
    assert after.time_used - before.time_used == pytest.approx(ended.metadata["time"]) and ended.metadata["time"] > 0.3


async def test_tasks_named_run_are_made_for_bundles_only(bench, owner):
    """Whoever names the bundle of somebody else in a task of their own meets nothing of it."""
    made = await bench.run("touch begun; sleep 60")
    running = await bench.reaches(made, lambda found: found.state == "running")
    asked = await owner.post("/v1/create", {"tasks": [{"task_name": "run", "uuid": made.uuid}]})
    assert asked.status == 200 and asked.json[0]["status"] == "error", asked.body
    assert bench.services.runs.live_folder(running) is not None
    assert (await bench.read(made)).state == "running"
    await bench.services.runs.kill(running)
    assert (await bench.ended(made)).state == "killed"
