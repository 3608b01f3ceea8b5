"""Read the request and response examples out of the CoSphere API document, as data.

``python tests/spec/extract.py PATH/TO/1-cosphere-api.md`` writes ``cosphere.json`` beside this script. No
test needs it to run: it is here so that the data can be made again when the document changes.

Tokens are replaced by the type of the account in them (``Bearer <ADMIN>``), a page of HTML by its type.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).with_name("cosphere.json")

_COMMAND = re.compile(r"^### (?P<command>[A-Z_]+): (?:GET|POST|PUT|DELETE) \S+$")
_TITLE = re.compile(r"^#### (?P<title>(?P<status>\d{3})(?: \([A-Z0-9_]+\))?)$")
_REQUEST = re.compile(r"^(?P<method>[A-Z]+) (?P<path>\S+) HTTP/1\.1$")
_HEADER = re.compile(r"^(?P<name>[A-Z-]+): (?P<value>.+)$")


def _role_instead_of_token(value: str) -> str:
    scheme, token = value.split(" ", 1)
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{scheme} <{claims['type']}>"


def _request(block: list[str]) -> dict[str, Any]:
    first = _REQUEST.match(block[0])
    if first is None:
        raise ValueError(f"not a request line: {block[0]!r}")
    headers = {}
    rest = block[1:]
    while rest and (header := _HEADER.match(rest[0])):
        name, value = header["name"].title(), header["value"]
        headers[name] = _role_instead_of_token(value) if name == "Authorization" else value
        rest = rest[1:]
    body = "\n".join(rest).strip()
    return {**first.groupdict(), "headers": headers, "body": json.loads(body) if body else None}


def _response(block: list[str]) -> Any:
    parsed = json.loads("\n".join(block))
    return {"content_type": "text/html"} if isinstance(parsed, str) else parsed


def extract(document: str) -> list[dict[str, Any]]:
    """Return all examples of the document, in its order."""
    examples: list[dict[str, Any]] = []
    command, heading = "", None
    request: dict[str, Any] | None = None
    lines = iter(document.splitlines())
    for line in lines:
        if found := _COMMAND.match(line):
            command = found["command"]
        elif found := _TITLE.match(line):
            heading = found
        elif line.startswith("```"):
            block = []
            while (inner := next(lines)) != "```":
                block.append(inner)
            if line == "```http":
                request = _request(block)
            elif line == "```json" and request is not None and heading is not None:
                examples.append(
                    {
                        "command": command,
                        "title": heading["title"],
                        **request,
                        "status": int(heading["status"]),
                        "response": _response(block),
                    }
                )
                request = None
    return examples


def main() -> None:
    """Write the examples of the document named on the command line."""
    examples = extract(Path(sys.argv[1]).read_text(encoding="utf-8"))
    EXAMPLES.write_text(json.dumps(examples, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(examples)} examples of {len({e['command'] for e in examples})} commands")


if __name__ == "__main__":
    main()
