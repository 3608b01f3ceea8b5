"""Read what the Downloads API's document shows out of it, as data: objects, commands, statuses and examples.

``python tests/spec/extract_downloads.py PATH/TO/2-downloads-api.txt`` writes ``downloads.json`` beside this script. No
test needs it to run: it is here so that the data can be made again when the document changes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).with_name("downloads.json")

_COMMAND = re.compile(r"^(?P<method>GET|POST) (?P<path>/api/\S+)$")
_OBJECT = re.compile(r"^(?P<name>Download(?:Request|Response))$")
_FIELD = re.compile(r"^ +• (?P<name>\w+) (?P<type>\w+)$")
_STATUS = re.compile(r"^ +• (?P<status>\d{3}) (?P<words>(?:[A-Z][A-Za-z]+ ?)+?) if ")
_PARAMETER = re.compile(r"^ +• (?P<name>\w+) (?P<type>\w+) Required$")


def extract(document: str) -> dict[str, Any]:
    """Return ``objects`` and ``commands`` of the document, in its order."""
    objects: dict[str, dict[str, Any]] = {}
    commands: list[dict[str, Any]] = []
    lines = document.splitlines()
    for number, line in enumerate(lines):
        later = [text.strip() for text in lines[number + 1 :] if text.strip()]
        if found := _COMMAND.match(line):
            commands.append({**found.groupdict(), "statuses": {}, "parameters": [], "request": None, "response": None})
        elif found := _STATUS.match(line):
            commands[-1]["statuses"][found["status"]] = found["words"]
        elif found := _PARAMETER.match(line):
            commands[-1]["parameters"].append(found["name"])
        elif not commands and (found := _OBJECT.match(line)):
            objects[found["name"]] = {}
        elif not commands and (found := _FIELD.match(line)):
            field = {"type": found["type"], "is_required": later[0].startswith("Required")}
            objects[list(objects)[-1]][found["name"]] = field
        elif line in ("Example Request", "Example Response"):
            body = "".join(later[: later.index("}") + 1])
            commands[-1][line.split()[1].lower()] = json.loads(body)
            if later[later.index("}") + 1].startswith("curl"):
                commands[-1]["headers"] = dict(re.findall(r"-H ['\"]([\w-]+): ([^'\"]+)['\"]", "\n".join(later[:12])))
    return {"objects": objects, "commands": commands}


def main() -> None:
    """Write what the document named on the command line shows."""
    found = extract(Path(sys.argv[1]).read_text(encoding="utf-8"))
    EXAMPLES.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(found['commands'])} commands, {len(found['objects'])} objects")


if __name__ == "__main__":
    main()
