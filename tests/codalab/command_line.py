"""What the command line ``cl`` sends and how it reads answers, over plain sockets: headers, order and quirks.

Each request is a connection of its own. What fails is sent twice. Uploads name the whole URL in their first line, and
come in chunks. An answer is JSON only if its type is exactly ``application/json``.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from real_server import RealServer

PASSWORD = "correct horse battery"
NOBODY = "0x" + "0" * 31 + "f"
CLIENT = base64.b64encode(b"codalab_cli_client:").decode()
RUN = {
    "description": "",
    "tags": [],
    "allow_failed_dependencies": False,
    "request_docker_image": "codalab/default-cpu:latest",
    "request_time": "",
    "request_memory": "2g",
    "request_disk": "",
    "request_cpus": 1,
    "request_gpus": 0,
    "request_queue": "",
    "request_priority": 0,
    "request_network": True,
    "exclude_patterns": [],
}
DATASET = {"description": "", "tags": [], "license": "", "source_url": ""}


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class CommandLine:
    """``cl`` of one person. ``base`` is what they say to ``cl work``."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        parts = urlsplit(self.base)
        self.host, self.port, self.prefix = parts.hostname or "", parts.port or 80, parts.path
        self.token = ""
        self.refresh_token = ""
        self.worksheet = ""

    # -- one request ---------------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """One request on a connection of its own, as urllib sends it."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.putrequest(method, f"{self.prefix}{path}", skip_host=True, skip_accept_encoding=True)
            sent = {"Accept-Encoding": "identity", **headers}
            if body is not None:
                sent["Content-Length"] = str(len(body))
            sent |= {"Host": f"{self.host}:{self.port}", "User-Agent": "Python-urllib/3.10", "Connection": "close"}
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def call(self, method: str, path: str, query: Any = (), body: bytes | None = None, **headers: str) -> Answer:
        """A request with the token; one that fails is sent once more."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {self.token}", "X-Requested-With": "XMLHttpRequest", **named}
        url = f"/rest{path}" + (f"?{urlencode(query)}" if query else "")
        answer = self.send(method, url, body, sent)
        return answer if answer.status < 400 else self.send(method, url, body, sent)

    def json(self, method: str, path: str, query: Any = (), data: Any = None) -> Any:
        """A request of JSON:API; what it answers must be what the command line can read."""
        body = None if data is None else json.dumps({"data": data}).encode()
        headers = {} if body is None else {"Content_Type": "application/json; charset=utf-8"}
        answer = self.call(method, path, query, body, **headers)
        assert answer.status == 200, (method, path, answer.status, answer.text)
        assert answer.headers["Content-Type"] == "application/json", (path, answer.headers["Content-Type"])
        document = json.loads(answer.body)
        check_document(document)
        return document

    def refused(self, method: str, path: str, query: Any = (), data: Any = None) -> tuple[int, str]:
        """A request that fails: its status, and the text that is shown as it is."""
        body = None if data is None else json.dumps({"data": data}).encode()
        answer = self.call(method, path, query, body, Content_Type="application/json; charset=utf-8")
        assert answer.status >= 400, answer.text
        assert answer.headers["Content-Type"].startswith("text/"), answer.headers["Content-Type"]
        return answer.status, answer.text

    # -- signing in ----------------------------------------------------------------------------------------------------

    def grant(self, **form: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Basic {CLIENT}", "Content-Type": "application/x-www-form-urlencoded"}
        headers["X-Requested-With"] = "XMLHttpRequest"
        answer = self.send("POST", "/rest/oauth2/token", urlencode(form).encode(), headers)
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(answer.body)

    def sign_in(self, username: str, password: str) -> CommandLine:
        status, given = self.grant(grant_type="password", username=username, password=password, scope="default")
        assert status == 200, given
        # With less left the command line would refresh it before each request.
        assert given["expires_in"] > 600 and given["token_type"] == "Bearer"
        self.token, self.refresh_token = given["access_token"], given["refresh_token"]
        return self

    def work(self, spec: str = "/") -> dict[str, Any]:
        """``cl work``: find a worksheet and stay there."""
        found = self.json("GET", "/worksheets", [("specs", spec)])
        self.worksheet = found["data"][0]["id"]
        status = self.json("GET", f"/worksheets/{self.worksheet}", [("include", "owner,group_permissions,items")])
        # What `cl status` compares with its own version.
        assert all(part.isdigit() for part in status["meta"]["version"].split("."))
        return dict(status["data"]["attributes"])

    # -- bundles -------------------------------------------------------------------------------------------------------

    def create(self, bundle_type: str, metadata: dict[str, Any], query: Any = (), **attributes: Any) -> str:
        resource = {
            "type": "bundles",
            "attributes": {"bundle_type": bundle_type, "command": None, "dependencies": [], "metadata": metadata}
            | attributes,
        }
        made = self.json("POST", "/bundles", [("worksheet", self.worksheet), *query], [resource])
        return str(made["data"][0]["id"])

    def upload(self, name: str, content: bytes, filename: str, unpack: int = 1, is_dir: int = 0) -> str:
        """``cl upload``: make the bundle, ask where to, send, and tell how much that was."""
        uuid = self.create("dataset", {**DATASET, "name": name}, [("wait_for_upload", 1)])
        where = self.json("POST", f"/bundles/{uuid}/locations/", [("need_bypass", 1), ("is_dir", is_dir)])
        assert where["data"][0]["attributes"]["bundle_conn_str"] is None
        sent = self.put(uuid, content, filename=filename, unpack=unpack, state_on_success="ready")
        assert (sent.status, sent.body) == (200, b""), sent.text
        increment = {"disk_used_increment": len(content), "bundle_uuid": uuid}
        self.json("PATCH", "/user/increment_disk_used", (), [
            {"type": "user/increment_disk_used", "attributes": increment}
        ])  # fmt: skip
        user = self.json("GET", "/user")["data"]["attributes"]
        # What is left is told as a share: division by these.
        assert user["disk_quota"] / 1 and user["time_quota"] / 1 and user["disk_used"] >= 0
        return uuid

    def put(self, uuid: str, content: bytes, **query: Any) -> Answer:
        """Send contents: the whole URL as the target, in chunks, and a byte or two while the answer is awaited."""
        asked = {"finalize_on_failure": 0, "finalize_on_success": 1, **query}
        url = f"{self.base}/rest/bundles/{uuid}/contents/blob/?{urlencode(asked)}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.putrequest("PUT", url)
            connection.putheader("Authorization", f"Bearer {self.token}")
            connection.putheader("X-Requested-With", "XMLHttpRequest")
            connection.putheader("Content-Type", "application/octet-stream")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            for start in range(0, len(content), 16384):
                chunk = content[start : start + 16384]
                connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            connection.send(b"0\r\n\r\n")
            connection.send(b"\0")
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def run(self, command: str, *dependencies: tuple[str, ...], name: str = "run", **metadata: Any) -> str:
        """``cl run``: dependencies are (key, parent uuid[, path])."""
        values = {**RUN, "name": name, **metadata}
        return self.create("run", values, command=command, dependencies=parents(*dependencies))

    def make(self, *dependencies: tuple[str, ...], name: str = "make", **metadata: Any) -> str:
        values = {"name": name, "description": "", "tags": [], "allow_failed_dependencies": False, **metadata}
        return self.create("make", values, dependencies=parents(*dependencies))

    def read(self, uuid: str, include: str = "owner,group_permissions,host_worksheets,children") -> dict[str, Any]:
        query = [("include", include), ("include_display_metadata", 1)]
        return dict(self.json("GET", f"/bundles/{uuid}", query)["data"])

    def attributes(self, uuid: str) -> dict[str, Any]:
        return dict(self.read(uuid)["attributes"])

    def info(self, uuid: str, path: str = "", depth: int = 0) -> dict[str, Any]:
        answer = self.json("GET", f"/bundles/{uuid}/contents/info/{quote(path)}", [("depth", depth)])
        return dict(answer["data"])

    def blob(self, uuid: str, path: str = "", query: Any = (), **headers: str) -> Answer:
        return self.call("GET", f"/bundles/{uuid}/contents/blob/{quote(path)}", query, **headers)

    def cat(self, uuid: str, path: str = "") -> str:
        """``cl cat``: ask what it is and where it really lies, then read it there."""
        target = self.info(uuid, path)["resolved_target"]
        answer = self.blob(target["bundle_uuid"], target["subpath"])
        assert answer.status == 200, answer.text
        return answer.text

    def wait(self, uuid: str, seconds: float = 60) -> dict[str, Any]:
        """``cl wait``: ask until it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.attributes(uuid)
            if found["state"] in ("ready", "failed", "killed"):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.1)

    def wait_for(self, uuid: str, *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while (found := self.attributes(uuid))["state"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def tail(self, uuid: str, path: str = "stdout", seconds: float = 60) -> str:
        """``cl wait --tail``: read on from where the last answer ended, also where nothing is yet."""
        text, deadline = "", time.monotonic() + seconds
        while True:
            is_over = self.attributes(uuid)["state"] in ("ready", "failed", "killed")
            while part := self._slice(uuid, path, len(text.encode())):
                text += part
            if is_over:
                return text
            assert time.monotonic() < deadline, text
            time.sleep(0.1)

    def _slice(self, uuid: str, path: str, start: int) -> str:
        answer = self.blob(uuid, path, Range=f"bytes={start}-{start + 4095}")
        if answer.status == 404:
            return ""
        assert answer.status in (200, 206), (answer.status, answer.text)
        return answer.text

    def kill(self, uuid: str) -> None:
        action = {"type": "bundle-actions", "attributes": {"type": "kill", "uuid": uuid}}
        done = self.json("POST", "/bundle-actions", (), [action])
        assert done["data"][0]["attributes"]["uuid"] == uuid

    def search(self, *keywords: str) -> Any:
        """``cl search``: the names that are found, in order; of an aggregate its value."""
        found = self.json("GET", "/bundles", [("include", "owner"), *(("keywords", each) for each in keywords)])
        if "result" in found.get("meta", {}):
            return found["meta"]["result"]
        return [each["attributes"]["metadata"]["name"] for each in found["data"]]

    def rm(self, *uuids: str, **flags: int) -> list[str]:
        query = [(name.replace("_", "-"), value) for name, value in flags.items()]
        data = [{"type": "bundles", "id": uuid} for uuid in uuids]
        return list(self.json("DELETE", "/bundles", query, data)["meta"]["ids"])

    def items(self) -> list[tuple[str, str]]:
        """What stands on the worksheet: type, and value or bundle."""
        found = self.json("GET", f"/worksheets/{self.worksheet}", [("include", "items,items.bundle")])
        rows = [each for each in found.get("included", ()) if each["type"] == "worksheet-items"]
        return [(each["attributes"]["type"], _shown(each)) for each in sorted(rows, key=_sort_key)]


def _sort_key(item: Any) -> Any:
    return item["attributes"]["sort_key"] or 0, int(item["id"])


def _shown(item: Any) -> str:
    bundle = item["relationships"].get("bundle", {}).get("data")
    return str(bundle["id"] if bundle else item["attributes"]["value"])


def parents(*dependencies: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"child_path": key, "parent_uuid": uuid, "parent_path": rest[0] if rest else ""}
        for key, uuid, *rest in dependencies
    ]


def check_document(document: Any) -> None:
    """Raise where the command line would stop with "Invalid or unsupported JSON API document format"."""
    assert isinstance(document, dict)
    if "data" not in document:
        assert "meta" in document
        return
    resources = document["data"] if isinstance(document["data"], list) else [document["data"]]
    for each in [*resources, *document.get("included", ())]:
        if each is None or "type" not in each:
            continue
        for name, relation in each.get("relationships", {}).items():
            assert "data" in relation, name


def tar_gz(**files: str) -> bytes:
    """A folder as the command line packs it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path.replace("__", "/"))
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


@contextmanager
def server_of_rosa_and_otto(folder: Path) -> Iterator[RealServer]:
    """Run a server where two people have accounts, and everyone may start runs."""
    server = RealServer(folder, "--CosphereApp.allow_runs=everyone")
    server.start()
    try:
        for name in ("rosa", "otto"):
            account = {"email": f"{name}@lab.example", "name": name, "password": PASSWORD}
            assert server.call("POST", "/accounts/", account).status_code == 201
        yield server
    finally:
        server.stop()


def signed_in(server: RealServer, name: str) -> CommandLine:
    """The command line of somebody who has signed in and works on their home worksheet."""
    person = CommandLine(server.base).sign_in(name, PASSWORD)
    person.work()
    return person
