"""Read the examples out of the tasks API's document, as data.

``python tests/spec/extract_dragon.py PATH/TO/5-dragon-tasks-api.rst`` writes ``dragon.json`` beside this script: JSON
as JSON, streams as a list of lines, addresses and headers as text. No test needs it to run: it is here so that the data
can be made again when the document changes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).with_name("dragon.json")

# What the document's blocks are, in its order.
NAMES = (
    "secret in the body",
    "secret in the header",
    "api key in the body",
    "api key in the header",
    "400 without tasks",
    "task definition",
    "status",
    "create request",
    "create response",
    "create_file request",
    "create_file 404",
    "create_file 400",
    "create_file in a page",
    "create_stream request",
    "create_stream response",
    "status address",
    "status_stream address",
    "file address",
)
_TRAILING_COMMA = re.compile(r",(\s*[\]}])")


def blocks(document: str) -> Iterator[str]:
    """Yield the literal blocks: what is indented more than the line before that ends with ``::``."""
    lines = document.splitlines()
    for number, line in enumerate(lines):
        if not line.rstrip().endswith("::") and not line.strip().startswith(".. code-block::"):
            continue
        if line.startswith(".. highlight"):
            continue
        indent = len(line) - len(line.lstrip())
        # "* text::" stands two deeper than its bullet.
        indent += 2 if line.lstrip().startswith("* ") else 0
        found = []
        for each in lines[number + 1 :]:
            if each.strip() and len(each) - len(each.lstrip()) <= indent:
                break
            found.append(each.strip())
        if text := "\n".join(found).strip():
            yield text


def value_of(text: str) -> Any:
    """Return JSON as what it is, JSON by the line as a list, everything else as text."""
    for attempt in (text, _TRAILING_COMMA.sub(r"\1", text)):
        try:
            return json.loads(attempt)
        except ValueError:
            continue
    if text.startswith("["):
        return [json.loads(line) for line in text.splitlines()]
    return text


def extract(document: str) -> dict[str, Any]:
    """Return all examples of the document by their names."""
    values = [value_of(text) for text in blocks(document)]
    return dict(zip(NAMES, values, strict=True))


def main() -> None:
    """Write the examples of the document named on the command line."""
    examples = extract(Path(sys.argv[1]).read_text(encoding="utf-8"))
    EXAMPLES.write_text(json.dumps(examples, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(examples)} examples")


if __name__ == "__main__":
    main()
