"""One process owns a data directory; everybody else learns who."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap

from cosphere_jupyter.database.filesystem import is_network, mount_type
from cosphere_jupyter.database.ownership import Ownership


def test_the_second_one_learns_where_the_first_is(tmp_path):
    first, second = Ownership(tmp_path), Ownership(tmp_path)
    assert first.acquire({"pid": 1, "url": "http://first/"})
    assert not second.acquire({"pid": 2, "url": "http://second/"})
    assert second.owner() == {"pid": 1, "url": "http://first/"}


def test_the_card_is_private(tmp_path):
    Ownership(tmp_path).acquire({"pid": 1})
    assert stat.S_IMODE((tmp_path / "owner.json").stat().st_mode) == 0o600


def test_after_release_the_next_one_gets_it(tmp_path):
    first, second = Ownership(tmp_path), Ownership(tmp_path)
    first.acquire({"pid": 1})
    first.release()
    assert second.owner() == {}
    assert second.acquire({"pid": 2})


def test_a_killed_owner_leaves_the_directory_free(tmp_path):
    program = """
        import sys, time
        from pathlib import Path
        from cosphere_jupyter.database.ownership import Ownership
        ownership = Ownership(Path(sys.argv[1]))
        print(ownership.acquire({"pid": 1}), flush=True)
        time.sleep(60)
    """
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"True\n"
    mine = Ownership(tmp_path)
    assert not mine.acquire({"pid": 2})
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert mine.acquire({"pid": 2})


def test_network_file_systems_are_told_from_local_ones(tmp_path):
    for kind in ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "fuse.sshfs", "fuse", "9p"):
        assert is_network(kind), kind
    for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", ""):
        assert not is_network(kind), kind
    assert not is_network(mount_type(tmp_path))


def test_the_type_of_a_file_system_is_that_of_the_innermost_mount():
    assert mount_type("/proc/self") == "proc"
