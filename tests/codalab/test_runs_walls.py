"""What a command cannot do to its parents and to the workspace, and what it can leave behind that is hard to handle."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from codalab.runs import Bench
from support import Api

from cosphere_jupyter.bundles import run_child, run_files
from cosphere_jupyter.errors import ExecutionError

# Somebody who is not root, for whom the same must hold.
NOBODY = 65534

# The interpreter itself may lie where only root can reach it.
AS_USER = """
import __future__, ctypes, json, os, resource, signal, sys, typing
user, launcher = int(sys.argv[1]), compile(open(sys.argv[2]).read(), sys.argv[2], "exec")
if user != os.getuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    ctypes.CDLL(None).prctl(4, 1)  # as a program has it that was started by this user
sys.argv = sys.argv[2:]
exec(launcher, {"__name__": "__main__"})
"""
DEEP = """python3 -c '
import os
for n in range(1100):
    os.mkdir("d" * 20)
    os.chdir("d" * 20)
open("bottom", "w").close()'
"""


@pytest.fixture
def bench(services, owner: Api) -> Bench:
    return Bench(services, owner)


@pytest.fixture
def lab():
    """A folder that everybody can reach, with a workspace in it, and the launcher."""
    folder = Path(tempfile.mkdtemp(prefix="walls-"))
    for name in ("workspace/keys", "workspace/run/work/in", "workspace/run/temporary", "workspace/parent", "runtime"):
        (folder / name).mkdir(parents=True)
    (folder / "workspace/keys/key").write_text("secret")
    (folder / "runtime/token").write_text("secret")
    (folder / "workspace/parent/a").write_text("A\n")
    shutil.copy(run_child.LAUNCHER, folder / "launch.py")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("user", sorted({os.getuid(), NOBODY if os.getuid() == 0 else os.getuid()}))
def test_nobody_writes_through_a_wall_or_sees_over_it(lab, user):
    """Root neither; whoever else starts the server has the same walls."""
    run = lab / "workspace/run"
    command = f"""
        cat in/a
        for what in 'echo x > in/a' 'echo x > in/new' 'rm -r in' 'mv in out' 'chmod 777 in/a' 'umount in' \\
            'mount -o remount,rw,bind in' 'unshare -rm mount -o remount,rw,bind in' 'unshare -rm umount in' \\
            'touch {lab}/workspace/new' 'umount {lab}/workspace' 'cat {lab}/workspace/keys/key' \\
            'cat {lab}/runtime/token' 'cat {lab}/workspace/parent/a' 'kill -9 {os.getpid()}'; do
            (eval "$what") >/dev/null 2>&1 && echo "$what"
        done
        ls {lab}/workspace; ls /proc | grep -c '^[0-9]'; echo private > ../temporary/t
    """
    launch = {
        "work": str(run / "work"),
        "temporary": str(run / "temporary"),
        "command": command,
        "environment": {"PATH": os.environ["PATH"]},
        "walls": True,
        "hidden": [str(lab / "workspace"), str(lab / "runtime"), str(lab / "none")],
        "mounts": [[str(lab / "workspace/parent"), "in"]],
        "file_bytes": None,
        "data_bytes": None,
        "report": str(run / "ended.json"),
    }
    (lab / "launch.json").write_text(json.dumps(launch))
    for path in [lab, *lab.rglob("*")]:
        os.chown(path, user, user if user == NOBODY else -1)
    start = [sys.executable, "-I", "-S", "-c", AS_USER, str(user), str(lab / "launch.py")]
    probe = subprocess.run([*start, "--probe", str(run / "temporary")], timeout=60)
    if probe.returncode != 0:
        pytest.skip("this machine lets nobody make namespaces")
    done = subprocess.run([*start, str(lab / "launch.json")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (run / "work/stdout").read_text().splitlines()
    assert lines[:-1] == ["A", "run"] and int(lines[-1]) < 20, lines
    assert (lab / "workspace/parent/a").read_text() == "A\n" and (run / "temporary/t").exists()
    assert json.loads((run / "ended.json").read_text())["exitcode"] == 0


@pytest.mark.slow
async def test_folders_that_are_too_deep_fail_the_run_and_are_removed(bench):
    ended = await bench.done(DEEP)
    said = "It wrote folders that are nested more than 200 deep, or too long a path."
    assert (ended.state, ended.metadata["failure_message"], ended.location) == ("failed", said, None)
    assert await bench.has_tidied()
    # Not kept: no matter.
    kept = await bench.done(f"echo kept; {DEEP}", metadata={"exclude_patterns": ["d*"]})
    assert (kept.state, bench.names(kept)) == ("ready", ["stderr", "stdout"])


@pytest.mark.slow
async def test_what_a_run_was_killed_over_may_be_odd_and_the_workspace_still_opens(bench):
    runs = bench.services.runs
    lost = await bench.store("run", state="running", task_key="GONE", command="x")
    work = runs._place.folders.make(lost.uuid) / "work"
    subprocess.run(["/bin/bash", "-c", DEEP], cwd=work, check=True, timeout=60)
    await runs.stop()
    await runs.begin(1)
    ended = await bench.ended(lost)
    assert (ended.state, ended.location) == ("failed", None) and await bench.has_tidied()


async def test_names_and_rights_of_any_kind_are_stored_and_shown(bench, owner):
    command = r"""
        touch $'\xff\xfe' $'new\nline' "'quo\"ted" -- -rf ' lead' 'ü̈'; mkdir $'d\x01'
        ln -s /etc/passwd passwd; ln -s . loop; ln -s none broken
        echo own > stdin; chmod 4755 stdin; truncate -s 100G sparse; chmod 0 .
    """
    ended = await bench.done(command, metadata={"exclude_patterns": ["sparse"]})
    assert ended.state == "ready", dict(ended.metadata)
    assert len(bench.names(ended)) == 13
    assert not stat.S_ISUID & (bench.contents(ended) / "stdin").stat().st_mode
    info = await owner.get(f"/rest/bundles/{ended.uuid}/contents/info/?depth=2")
    assert info.status == 200, info.body
    assert len(info.json["data"]["contents"]) == 13
    link = await owner.get(f"/rest/bundles/{ended.uuid}/contents/blob/passwd")
    assert link.status == 403 and b"root:" not in link.body
    whole = await owner.get(f"/rest/bundles/{ended.uuid}/contents/blob/")
    assert whole.status == 200, whole.body


@pytest.mark.slow
def test_folders_of_any_shape_are_removed(tmp_path):
    """Deep, and wide at each level; without the rights to enter, and with links to what must stay."""
    stays, here = tmp_path / "stays", os.getcwd()
    stays.mkdir()
    (stays / "file").write_text("here")
    folder = tmp_path / "folder"
    folder.mkdir()
    try:
        os.chdir(folder)
        for n in range(1100):
            os.symlink(stays, "link")
            os.makedirs(f"beside/{n}")
            os.mkdir("d" * 20)
            os.chmod("beside", 0)
            os.chdir("d" * 20)
    finally:
        os.chdir(here)
    run_files.remove(folder)
    assert [each.name for each in tmp_path.iterdir()] == ["stays"] and (stays / "file").read_text() == "here"


def test_sources_of_dependencies_stay_in_the_parent(tmp_path):
    root = tmp_path / "parent"
    (root / "in").mkdir(parents=True)
    (root / "in/a").write_text("A")
    (tmp_path / "secret").write_text("S")
    (root / "up").symlink_to("..")
    (root / "in/near").symlink_to("a")
    (root / "loop").symlink_to("loop")
    assert run_files.find_source(str(root), "0x1", "in//./near") == root / "in/a"
    assert run_files.find_source(str(root), "0x1", "/in/") == root / "in"
    for path in ["up/secret", "../secret", "in/../../secret", "up", "loop", "in/a/x", "x\0", "none", "in/" + "x" * 300]:
        with pytest.raises(ExecutionError, match="Invalid dependency 0x1/"):
            run_files.find_source(str(root), "0x1", path)
    with pytest.raises(ExecutionError, match="Invalid dependency 0x1"):
        run_files.find_source(None, "0x1", "")
