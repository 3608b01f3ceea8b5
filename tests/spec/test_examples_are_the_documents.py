"""``cosphere.json`` holds the document's examples: all of them, and as they stand there."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
DOCUMENT = CHECKOUT.parent / "shared" / "spec" / "1-cosphere-api.md"

COUNTS = {
    "ATTACH_ACCOUNT_TO_AUTH_REQUEST": 3,
    "CREATE_AUTH_REQUEST": 1,
    "CREATE_AUTH_TOKEN": 2,
    "RENDER_AUTH_REQUEST_AUTHENTICATE_UI": 1,
    "BULK_READ_CATALOGUEITEMS": 1,
    "CREATE_CATALOGUEITEM": 3,
    "DELETE_CATALOGUEITEM": 3,
    "READ_CATALOGUEITEM": 2,
    "UPDATE_CATALOGUEITEM": 3,
    "WITH_SAMPLE_AND_DISTRIBUTION_UPDATE_CATALOGUEITEM": 2,
    "BULK_READ_DOWNLOADREQUESTS": 1,
    "DELETE_DOWNLOADREQUEST": 2,
    "ESTIMATE_SIZE_OF_DOWNLOAD_REQUEST": 1,
    "READ_DOWNLOADREQUEST": 2,
    "READ_OR_CREATE_DOWNLOADREQUEST": 4,
}


def _examples() -> list[dict[str, Any]]:
    return json.loads((HERE / "cosphere.json").read_text(encoding="utf-8"))


def _extractor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extract", HERE / "extract.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_31_examples_are_there():
    assert sum(COUNTS.values()) == 31
    assert Counter(example["command"] for example in _examples()) == COUNTS


def test_they_are_the_document_s_own_where_it_lies_beside_the_checkout():
    if DOCUMENT.exists():
        extracted = _extractor().extract(DOCUMENT.read_text(encoding="utf-8"))
        # As text: 1 and 1.0 are two values here, though Python calls them equal.
        assert json.dumps(extracted, indent=1) == json.dumps(_examples(), indent=1)
    else:
        assert len(_examples()) == 31


def test_each_example_is_whole():
    for example in _examples():
        assert set(example) == {"command", "title", "method", "path", "headers", "body", "status", "response"}
        assert example["title"].startswith(str(example["status"]))
        if example["response"] != {"content_type": "text/html"}:
            assert example["title"] == f"{example['status']} ({example['response']['@event']})"


def test_no_token_came_along():
    text = (HERE / "cosphere.json").read_text(encoding="utf-8")
    assert "eyJ" not in text
    assert {e["headers"].get("Authorization") for e in _examples()} == {None, "Bearer <ADMIN>"}
