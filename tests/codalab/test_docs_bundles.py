"""What ``docs/bundles.md`` shows is sent as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import quote

from support import Api

from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID

TEXT = (Path(__file__).parent.parent.parent / "docs" / "bundles.md").read_text(encoding="utf-8")


async def test_its_examples_work(owner: Api) -> None:
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
    words = shlex.split(blocks.replace("\\\n", " "), comments=True)
    starts = [place for place, word in enumerate(words) if word == "curl"]
    uuid, answers = "", []
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        command = [word.replace("$UUID", uuid).replace("$GROUP", PUBLIC_GROUP_UUID) for word in words[start:end]]
        url = next(word for word in command if word.startswith("$URL")).removeprefix("$URL")
        sent = [command[place + 1] for place, word in enumerate(command) if word in ("-d", "--data-urlencode")]
        if "-G" in command:
            parts = (part.partition("=") for part in sent)
            url += "?" + "&".join(f"{name}={quote(value)}" for name, _, value in parts)
            sent = []
        method = command[command.index("-X") + 1] if "-X" in command else "POST" if sent else "GET"
        answer = await owner(method, url, raw=sent[0].encode() if sent else None)
        assert answer.status == 200, (command, answer.body)
        answers.append(answer.json)
        if not uuid:
            uuid = answer.json["data"][0]["id"]
    assert len(answers) == 11
    for found in (answers[1], answers[2], answers[4]):
        assert [each["id"] for each in found["data"]] == [uuid]
    assert answers[3]["meta"]["result"] == "0"
    assert answers[7]["data"][0]["attributes"]["metadata"]["tags"] == ["forest", "2026"]
    assert answers[9]["meta"]["ids"] == answers[10]["meta"]["ids"] == [uuid]
