"""``codalab.json`` holds what the CodaLab API's document shows: all of it, and as it stands there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent.parent / "shared" / "spec" / "4-codalab-api.md"


def _data() -> list[dict[str, Any]]:
    return list(json.loads((HERE / "codalab.json").read_text(encoding="utf-8")))


def _extractor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extract_codalab", HERE / "extract_codalab.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_and_parameter_is_there():
    told = [(each["heading"], len(each["examples"]), list(each["parameters"])) for each in _data()]
    assert told == [
        ("Authentication", 1, []),
        ("`POST /rest/oauth2/token`", 2, ["grant_type", "username", "password", "scope"]),
        ("Get bundle info", 1, []),
        ("Search bundles", 0, ["keywords", "specs", "worksheet", "depth"]),
    ]


def test_they_are_the_document_s_own_where_it_lies_beside_the_checkout():
    if DOCUMENT.exists():
        extracted = _extractor().extract(DOCUMENT.read_text(encoding="utf-8"))
        assert json.dumps(extracted, indent=1) == json.dumps(_data(), indent=1)
    else:
        assert len(_data()) == 4
