"""What ``docs/contents.md`` shows is run as it stands there, by curl and a shell."""

from __future__ import annotations

import asyncio
import json
import re
import tarfile
from pathlib import Path
from typing import Any

from codalab.bytes_of import Shelf, tar_of
from support import Api

TEXT = (Path(__file__).parent.parent.parent / "docs" / "contents.md").read_text(encoding="utf-8")


async def sh(command: str, folder: Path, **environment: str) -> str:
    """Run a command as the page has it, and return what it prints."""
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", command, cwd=folder, env={"PATH": "/usr/bin:/bin", **environment}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await shell.communicate()
    assert shell.returncode == 0, command
    return out.decode()


async def test_its_examples_work(owner: Api, services: Any, numbers_item: dict[str, Any], tmp_path: Path) -> None:
    packed = tar_of(("data/oak.csv", b"height\n1\n2\n3\n"))
    (tmp_path / "trees.tar.gz").write_bytes(packed)
    spec = {"columns": ["n"], "filters": []}
    request = await owner.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})
    await owner.settled(request.json["id"])
    blocks = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    # Each command begins a line; what is indented belongs to the one before.
    commands = [each for block in blocks[1:] for each in re.split(r"\n(?=curl)", block.strip())]
    place = {"AUTH": f"Authorization: {owner.authorization}", "BUNDLES": f"{owner.base}/rest/bundles"}
    said: list[str] = []
    for command in commands:
        said.append(await sh(command, tmp_path, **place))
        if len(said) == 1:
            place["UUID"] = json.loads(said[0])["data"][0]["id"]
    _, sent, tree, file, whole, part, lines, _, frozen = said
    assert sent == ""
    assert json.loads(tree)["data"]["contents"][0]["contents"][0]["name"] == "oak.csv"
    assert json.loads(file)["data"]["size"] == 13
    assert (whole, part, lines) == ("height\n1\n2\n3\n", "height\n1\n2", "height\n1\n....3\n")
    with tarfile.open(tmp_path / "trees.tar.gz") as tar:
        assert tar.getnames() == ["data", "data/oak.csv"]
    origin = json.loads(frozen)["data"][0]["attributes"]["origin"]
    said_of = re.findall(r"`(\w+)`", TEXT[TEXT.index("`origin` of the answer") : TEXT.index("## Size")])
    assert set(origin) - {"bytes"} == set(said_of) - {"origin"}
    stored = await Shelf(owner, services).stored(place["UUID"])
    assert (stored.state, stored.data_size) == ("ready", 13)


async def test_its_limits_are_those_that_there_are() -> None:
    from cosphere_jupyter.bundles import archives, tree, unpacking

    assert f"{archives.SUSPICIOUS_RATIO}\ntimes" in TEXT and f"{archives.SUSPICIOUS_SIZE // 2**20} MiB" in TEXT
    assert tree.MOST_ENTRIES == 1_000_000 and "a million entries" in TEXT
    assert unpacking.MEMORY == 2 * 2**30 and "2 GiB\nof memory" in TEXT
    assert all(f"`{suffix}`" in TEXT for suffix in archives.SUFFIXES)
