"""What docs/worksheets.md says of bundles and worksheets is what happens."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from real_server import RealServer

from cosphere_jupyter import Workspace

pytestmark = pytest.mark.slow
SERVER = "real"
FLIGHTS = "SELECT range AS n, range * 0.5 AS half FROM range(1000)"
PAGE = (Path(__file__).parents[2] / "docs" / "worksheets.md").read_text()


def test_the_code_of_the_page_runs(ws: Workspace, real: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "numbers.csv").write_text("n,word\n2,two\n1,one\n")
    monkeypatch.chdir(tmp_path)
    ws.catalogue.create(name="trips", source="flights.parquet")
    names = {"ws": ws}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/worksheets.md", "exec"), names)
    assert (tmp_path / "copy.csv").read_text().startswith("n,word")
    page = ws.worksheets["paper"]
    assert page.source.endswith("// to be continued") and "numbers.csv" in page._repr_html_()
    # The calls over HTTP, by the name that a worksheet is found with.
    script = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[0]
    head = f"set -e\nURL={real.base}\nAUTH='Authorization: token {real.token}'\n"
    made, rest = script.split("\n", 1)
    uuid = "UUID=$(" + made + " | grep -o '0x[0-9a-f]*' | head -1)\n"
    done = subprocess.run(["bash", "-c", head + uuid + rest], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "errors" not in done.stdout, done.stdout + done.stderr
    assert '"mode":"table_block"' in done.stdout and "# Title" in done.stdout
