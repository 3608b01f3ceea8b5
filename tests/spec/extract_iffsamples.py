"""Read what the iffSamples API's document shows out of it, as data: commands, statuses, fields and examples.

``python tests/spec/extract_iffsamples.py PATH/TO/3-iffsamples-api.rst`` writes ``iffsamples.json`` beside this script.
No test needs it to run: it is here so that the data can be made again when the document changes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).with_name("iffsamples.json")

_COMMAND = re.compile(r"^\.\. http:(?P<method>get|post):: (?P<path>/\S+)$")
_SOURCE = re.compile(r"^( +)\.\. sourcecode:: http$")
_FIELD = re.compile(r"^ +:(?P<way>[<>])json (?P<type>\w+) (?P<name>\w+): (?P<words>.*)$")
_STATUS = re.compile(r"^ +:statuscode (?P<status>\d{3}): ")


def extract(document: str) -> list[dict[str, Any]]:
    """Return the commands of the document, in its order."""
    commands: list[dict[str, Any]] = []
    lines = document.splitlines()
    for number, line in enumerate(lines):
        if found := _COMMAND.match(line):
            command = {"method": found["method"].upper(), "path": found["path"]}
            commands.append({**command, "examples": [], "sent": {}, "shown": {}, "statuses": []})
        elif found := _SOURCE.match(line):
            commands[-1]["examples"].append(_message(lines[number + 2 :], len(found[1]) + 4))
        elif found := _FIELD.match(line):
            fields = commands[-1]["sent" if found["way"] == "<" else "shown"]
            is_optional = "optional" in found["words"]
            fields[found["name"]] = {"type": found["type"], "is_optional": is_optional}
        elif found := _STATUS.match(line):
            commands[-1]["statuses"].append(int(found["status"]))
    return commands


def _message(lines: list[str], indent: int) -> dict[str, Any]:
    """Return the HTTP message that stands at the beginning of lines: first line, headers, JSON or None."""
    own: list[str] = []
    for line in lines:
        if line.strip() and not line.startswith(" " * indent):
            break
        own.append(line[indent:])
    head, _, body = "\n".join(own).partition("\n\n")
    first, *headers = head.splitlines()
    return {
        "first_line": first,
        "headers": dict(header.split(": ", 1) for header in headers if header),
        "body": json.loads(body) if body.strip() else None,
    }


def main() -> None:
    """Write what the document named on the command line shows."""
    found = extract(Path(sys.argv[1]).read_text(encoding="utf-8"))
    EXAMPLES.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(found)} commands")


if __name__ == "__main__":
    main()
