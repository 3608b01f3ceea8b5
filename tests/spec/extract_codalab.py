"""Read what the CodaLab API's document shows out of it, as data: its examples, and parameters that stand in tables.

``python tests/spec/extract_codalab.py PATH/TO/4-codalab-api.md`` writes ``codalab.json`` beside this script. No test
needs it to run: it is here so that the data can be made again when the document changes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).with_name("codalab.json")

_HEADING = re.compile(r"^#+ (?P<title>.+)$")
_PARAMETER = re.compile(r"^\| `(?P<name>\w+)\s*`\s*\|\s*(?P<kind>REQUIRED|OPTIONAL|MULTIPLE)\.")


def extract(document: str) -> list[dict[str, Any]]:
    """Return what stands under each heading that shows anything, in the document's order."""
    parts: list[dict[str, Any]] = []
    block: list[str] | None = None
    for line in document.splitlines():
        if line.startswith("```"):
            if block is not None:
                parts[-1]["examples"].append(_example("\n".join(block)))
            block = None if block is not None else []
        elif block is not None:
            block.append(line)
        elif found := _HEADING.match(line):
            parts.append({"heading": found["title"].strip(), "examples": [], "parameters": {}})
        elif found := _PARAMETER.match(line):
            parts[-1]["parameters"][found["name"]] = found["kind"]
    return [part for part in parts if part["examples"] or part["parameters"]]


def _example(text: str) -> Any:
    """Return an example as JSON, or as lines if it is none."""
    return json.loads(text) if text.lstrip().startswith("{") else text.splitlines()


def main() -> None:
    """Write what the document named on the command line shows."""
    found = extract(Path(sys.argv[1]).read_text(encoding="utf-8"))
    EXAMPLES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
