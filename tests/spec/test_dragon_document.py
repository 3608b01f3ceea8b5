"""``dragon.json`` holds the examples of the tasks API's document: all of them, and as they stand there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent.parent / "shared" / "spec" / "5-dragon-tasks-api.rst"


def _data() -> dict[str, Any]:
    return dict(json.loads((HERE / "dragon.json").read_text(encoding="utf-8")))


def _extractor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extract_dragon", HERE / "extract_dragon.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_18_examples_are_there():
    assert len(_data()) == 18
    assert tuple(_data()) == _extractor().NAMES


def test_they_are_the_document_s_own_where_it_lies_beside_the_checkout():
    if DOCUMENT.exists():
        extracted = _extractor().extract(DOCUMENT.read_text(encoding="utf-8"))
        assert json.dumps(extracted, indent=1) == json.dumps(_data(), indent=1)
    else:
        assert len(_data()["create_stream response"]) == 5
