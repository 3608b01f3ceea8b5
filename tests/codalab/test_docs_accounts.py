"""What ``docs/codalab.md`` shows of signing in, users and groups is sent as it stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from codalab.conftest import CLIENT, FORM
from support import Api

TEXT = (Path(__file__).parent.parent.parent / "docs" / "codalab.md").read_text(encoding="utf-8")
SECTIONS = ("Signing in", "Users", "Groups")


def commands() -> Iterator[list[str]]:
    """The words of each curl command of these sections, in their order."""
    for title in SECTIONS:
        section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        for block in re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
            words = shlex.split(block.replace("\\\n", " "))
            starts = [place for place, word in enumerate(words) if word == "curl"]
            for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
                yield words[start:end]


async def test_its_examples_work(owner: Api) -> None:
    password = re.search(r"'password=([^']+)'", TEXT)
    assert password is not None
    made = await owner.post("/accounts/", {"email": "rosa@lab.example", "name": "rosa", "password": password[1]})
    assert made.status == 201
    variables = {"$ACCESS": "", "$REFRESH": ""}
    count = 0
    for words in commands():
        url = next(word for word in words if word.startswith("$URL")).removeprefix("$URL")
        bodies = [words[place + 1] for place, word in enumerate(words) if word in ("-d", "--data-urlencode")]
        body = "&".join(bodies).replace("$REFRESH", variables["$REFRESH"]) if bodies else None
        method = words[words.index("-X") + 1] if "-X" in words else "GET" if body is None else "POST"
        authorization = CLIENT if "-u" in words else f"Bearer {variables['$ACCESS']}"
        answer = await owner.of(authorization)(
            method, url, raw=None if body is None else body.encode(), headers={"Content-Type": FORM} if body else None
        )
        assert answer.status == (204 if method == "DELETE" else 200), (words, answer.body)
        if "access_token" in answer.body.decode():
            variables = {"$ACCESS": answer.json["access_token"], "$REFRESH": answer.json["refresh_token"]}
        if url.endswith("/revoke"):
            # The walk goes on with a sign-in of its own.
            form = f"grant_type=password&username=rosa&password={password[1]}".encode()
            again = await owner.of(CLIENT).post("/rest/oauth2/token", raw=form, headers={"Content-Type": FORM})
            variables["$ACCESS"] = again.json["access_token"]
        count += 1
    assert count == 13
