"""``iffsamples.json`` holds what the iffSamples API's document shows: all of it, and as it stands there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent.parent / "shared" / "spec" / "3-iffsamples-api.rst"


def _data() -> list[dict[str, Any]]:
    return list(json.loads((HERE / "iffsamples.json").read_text(encoding="utf-8")))


def _extractor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extract_iffsamples", HERE / "extract_iffsamples.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_status_field_and_example_is_there():
    version = "/api/v1/objects/(int:object_id)/versions/"
    told = [(each["method"], each["path"], each["statuses"], list(each["sent"])) for each in _data()]
    assert told == [
        ("GET", "/api/v1/objects/", [200], []),
        ("GET", "/api/v1/objects/(int:object_id)", [302, 403, 404], []),
        ("GET", f"{version}(int:version_id)", [200, 403, 404], []),
        ("POST", "/api/v1/objects/", [201, 400], ["version_id", "action_id", "schema", "data"]),
        ("POST", version, [201, 400, 403, 404], ["object_id", "version_id", "action_id", "schema", "data"]),
    ]
    assert all(len(each["examples"]) == 2 for each in _data())


def test_they_are_the_document_s_own_where_it_lies_beside_the_checkout():
    if DOCUMENT.exists():
        assert _extractor().extract(DOCUMENT.read_text(encoding="utf-8")) == _data()
    else:
        assert len(_data()) == 5
