"""What ``docs/objects.md`` shows of notebooks runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer

from cosphere_jupyter import Quantity, Workspace

pytestmark = pytest.mark.slow

SERVER = "real"
FLIGHTS = "SELECT 'UA' AS carrier FROM range(3)"
TEXT = (Path(__file__).parent.parent.parent / "docs" / "objects.md").read_text(encoding="utf-8")


def test_its_examples_run(ws: Workspace, real: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "spectrum.csv").write_text("1;2\n")
    monkeypatch.chdir(tmp_path)
    ws.catalogue.create(name="flights", source="flights.parquet")
    seen: dict[str, Any] = {"ws": ws}
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/objects.md", "exec"), seen)
    crystal, df = seen["crystal"], seen["df"]
    assert [each["mass"] for each in crystal.versions[:2]] == [Quantity(5, "mg"), Quantity(4.5, "mg")]
    assert (df["mass"].tolist(), df.attrs["units"]["mass"]) == ([4.5], "mg")
    assert crystal.links == {"data": f"cosphere:requests/{seen['request'].id}"}
    assert crystal.follow("data").to_pandas()["carrier"].tolist() == ["UA"] * 3
    assert [each.id for each in ws.objects.linked_to(seen["request"])] == [crystal.id]
    assert [each["mass"] for each in ws.objects.find("mass == 4.5 mg")] == [Quantity(4.5, "mg")] * 2
