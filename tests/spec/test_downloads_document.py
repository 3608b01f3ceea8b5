"""``downloads.json`` holds what the Downloads API's document shows: all of it, and as it stands there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent.parent / "shared" / "spec" / "2-downloads-api.txt"


def _data() -> dict[str, Any]:
    return dict(json.loads((HERE / "downloads.json").read_text(encoding="utf-8")))


def _extractor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extract_downloads", HERE / "extract_downloads.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_status_and_field_is_there():
    data = _data()
    told = {(each["method"], each["path"]): set(each["statuses"]) for each in data["commands"]}
    assert told == {
        ("GET", "/api/downloads/:id"): {"200", "403", "404"},
        ("POST", "/api/downloads"): {"201", "403", "422"},
        ("GET", "/api/downloads/:id/file"): {"302", "403", "404"},
    }
    assert {name: list(fields) for name, fields in data["objects"].items()} == {
        "DownloadRequest": ["download_type", "info"],
        "DownloadResponse": ["id", "download_type", "user_id", "state", "url"],
    }


def test_they_are_the_document_s_own_where_it_lies_beside_the_checkout():
    if DOCUMENT.exists():
        assert _extractor().extract(DOCUMENT.read_text(encoding="utf-8")) == _data()
    else:
        assert len(_data()["commands"]) == 3
