"""What a handler makes of strange paths, bodies and queries: an answer in the envelope, and never a 500."""

from __future__ import annotations

import json
from typing import Any

from support import Answer, Api, column

UNREADABLE = {"@event": "BODY_JSON_DID_NOT_PARSE", "@type": "error"}
ITEM = {"name": "iot", "executor_type": "ATHENA", "maintained_by_id": 1, "spec": [column()]}


def assert_refused(answer: Answer, what: Any) -> None:
    """An error that the caller made, said in the envelope."""
    assert 400 <= answer.status < 500, (what, answer.status, answer.body[:500])
    assert answer.headers["Content-Type"] == "application/json", what
    assert answer.json["@type"] == "error", what
    assert answer.headers.get_list("Set-Cookie") == [], what


async def test_paths_that_nothing_serves_get_a_json_404_without_jupyters_token(owner: Api, jp_serverapp: Any) -> None:
    token = jp_serverapp.identity_provider.token.encode()
    paths = [
        "",
        "/",
        "/catalogue",
        "/catalogue/",
        "/catalogue/items/one",
        "/catalogue/items/1/",
        "/catalogue/items/-1",
        "/catalogue/items/1.0",
        "/catalogue/items/%31%20",
        "/catalogue/items/\u0661".encode().decode("latin-1"),
        "/catalogue//items/",
        "/catalogue/items/../items/",
        "/catalogue/items/%2e%2e/%2e%2e/%2e%2e/login",
        "/Catalogue/items/",
        "/accounts/me/",
        "/downloader/requests/1/2",
        "/results/",
        "/results/ab/x/KEY-1/manifest.json",
        f"/results/ab/{'ab' * 32}/KEY-1/..%2f..%2f..%2fkeys%2fjwt.key",
        f"/results/ab/{'ab' * 32}/KEY-1/%2e%2e/manifest.json",
        "/%00",
        "/" + "x" * 5000,
        "//evil.example/",
    ]
    for caller in (owner, owner.of(None)):
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                answer = await caller(method, path, raw=b"{}" if method == "POST" else None)
                what = (method, path, answer.body[:200])
                assert answer.status == 404, what
                assert answer.json == {"@event": "COULD_NOT_FIND_PATH", "@type": "error"}, what
                assert token not in answer.body, what
                assert answer.headers.get_list("Set-Cookie") == [], what


async def test_ids_beyond_every_number_are_ids_that_nothing_has(owner: Api) -> None:
    numbers = ["0", "00", "9007199254740991", "9007199254740992", str(2**63 - 1), str(2**63), str(2**64), "9" * 5000]
    for number in numbers:
        for path, event in {
            f"/catalogue/items/{number}": "COULD_NOT_FIND_CATALOGUEITEM",
            f"/downloader/requests/{number}": "COULD_NOT_FIND_DOWNLOADREQUEST",
            f"/accounts/{number}": "COULD_NOT_FIND_ACCOUNT",
        }.items():
            answer = await owner.get(path)
            assert (answer.status, answer.event) == (404, event), path[:60]
        for path in (f"/catalogue/items/{number}", f"/downloader/requests/{number}"):
            assert (await owner.delete(path)).status == 404, path[:60]
        body = {key: ITEM[key] for key in ("spec", "executor_type", "maintained_by_id")}
        assert (await owner.put(f"/catalogue/items/{number}", body)).status == 404, number[:60]


async def test_bodies_that_are_not_json_are_unreadable(owner: Api) -> None:
    text = json.dumps(ITEM)
    bodies = {
        "half": text[:-1].encode(),
        "two": (text + text).encode(),
        "single quotes": b"{'name': 'iot'}",
        "trailing comma": b'{"name": "iot",}',
        "comment": b"{} // no",
        "not UTF-8": b'{"name": "\xff\xfe"}',
        "a lone continuation": b"\x80",
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"),
        "a byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "NUL": b"\0",
        "control character in text": b'{"name": "a\nb"}',
        "form": b"name=iot&executor_type=ATHENA",
        "5,000 levels": b"[" * 5000 + b"]" * 5000,
        "5,000 levels of objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "a number of 5,000 digits": b'{"maintained_by_id": ' + b"9" * 5000 + b"}",
    }
    for path in ("/catalogue/items/", "/downloader/requests/", "/accounts/"):
        for name, raw in bodies.items():
            answer = await owner.post(path, raw=raw)
            assert answer.status == 400, (path, name)
            expected = {**UNREADABLE, "@authorizer": {"account_id": owner.account["id"]}}
            assert answer.json == expected, (path, name)


async def test_an_empty_body_counts_as_an_empty_object_and_other_values_are_no_dictionary(owner: Api) -> None:
    required = ["This field is required."]
    for raw in (b"", b" \n\t", b"{}"):
        answer = await owner.post("/downloader/requests/", raw=raw)
        assert answer.event == "BODY_DID_NOT_VALIDATE", raw
        assert answer.errors == {"spec": required, "catalogue_item_id": required}, raw
    for value, kind in {"[]": "list", '"x"': "str", "5": "int", "5.5": "float", "true": "bool", "[{}]": "list"}.items():
        for path in ("/catalogue/items/", "/downloader/requests/", "/accounts/"):
            answer = await owner.post(path, raw=value.encode())
            assert answer.event == "BODY_DID_NOT_VALIDATE", (path, value)
            text = f"Invalid data. Expected a dictionary, but got {kind}."
            assert answer.errors == {"non_field_errors": [text]}, (path, value)
    answer = await owner.post("/catalogue/items/", raw=b"null")
    assert answer.errors == {"non_field_errors": ["No data provided"]}


async def test_the_content_type_does_not_matter_and_unknown_fields_are_ignored(owner: Api) -> None:
    types = [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "text/html; charset=utf-16",
        "nonsense",
        "",
    ]
    for number, kind in enumerate(types):
        body = {**ITEM, "name": f"typed {number}", "id": 77, "created_by": None, "@type": "x", "is_admin": True}
        answer = await owner.post("/catalogue/items/", body, headers={"Content-Type": kind})
        assert answer.status == 201, (kind, answer.body)
        assert answer.json["id"] != 77
        assert answer.json["created_by"]["id"] == owner.account["id"]


async def test_of_a_key_that_stands_twice_the_last_counts(owner: Api) -> None:
    text = json.dumps(ITEM)
    answer = await owner.post("/catalogue/items/", raw=f'{{"name": "first", {text[1:-1]}, "name": "last"}}'.encode())
    assert (answer.status, answer.json["name"]) == (201, "last")
    answer = await owner.get("/catalogue/items/?query=nothing&query=last&limit=x&limit=1")
    assert [item["name"] for item in answer.json["items"]] == ["last"]


# What no field may turn into an unexpected error. JSON text, because Python cannot write all of it.
HOSTILE = {
    "null": "null",
    "true": "true",
    "nothing": '""',
    "blank": '"   "',
    "NaN": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "1e999": "1e999",
    "30 digits": "1" * 30,
    "minus 30 digits": "-" + "1" * 30,
    "4,000 digits": "1" * 4000,
    "2**63": str(2**63),
    "2**64": str(2**64),
    "1e30": "1e30",
    "NUL": '"a\\u0000b"',
    "lone surrogate": '"\\ud800"',
    "lone low surrogate": '"x\\udfffy"',
    "surrogate pair": '"\\ud83d\\ude00"',
    "newline": '"a\\r\\nSet-Cookie: x=1"',
    "long": '"' + "x" * 100_000 + '"',
    "list": "[]",
    "list of lists": "[[]]",
    "object": "{}",
    "key with NUL": '{"a\\u0000": 1}',
    "key with lone surrogate": '{"\\ud800": 1}',
    "[null]": "[null]",
    "[NaN]": "[NaN]",
    "[30 digits]": "[" + "1" * 30 + "]",
    "[surrogate]": '["\\udc00"]',
    "63 levels": "[" * 63 + "]" * 63,
    "65 levels": "[" * 65 + "]" * 65,
    "900 levels": "[" * 900 + "]" * 900,
    "980 levels of objects": '{"a":' * 980 + "1" + "}" * 980,
    "SQL": '"\'; DROP TABLE catalogue_items; --"',
    "markup": '"<script>alert(1)</script>"',
    "override": '"\\u202e\\ufeff"',
}


def written(fields: dict[str, Any], name: str, value: str) -> bytes:
    """Return JSON text of ``fields`` with one field's value written by hand."""
    others = {key: other for key, other in fields.items() if key != name}
    return f'{json.dumps(others)[:-1]}{", " if others else ""}"{name}": {value}}}'.encode()


async def test_no_value_of_any_field_is_answered_with_an_unexpected_error(
    owner: Api, admin: Api, numbers_item: dict[str, Any]
) -> None:
    request_spec = {"columns": ["n"], "filters": []}
    filter_ = {"name": "word", "operator": "=", "value": "even"}
    account = {"email": "x@lab.example", "name": "x", "type": "ADMIN", "password": "long enough", "disk_quota": 5}
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/catalogue/items/", {**ITEM, "sample": []}),
        ("POST", "/catalogue/items/", {**ITEM, "executor_type": "DUCKDB", "source": "numbers.parquet"}),
        ("PUT", f"/catalogue/items/{numbers_item['id']}", ITEM),
        (
            "PUT",
            f"/catalogue/items/{numbers_item['id']}",
            {**ITEM, "executor_type": "DUCKDB", "source": "none.csv", "spec": [column("n", "INTEGER")]},
        ),
        ("POST", "/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": request_spec}),
        ("POST", "/accounts/", account),
        ("PUT", f"/accounts/{admin.account['id']}", {**account, "is_active": True}),
    ]
    for method, path, fields in bodies:
        # A local item's data are looked at, which takes its time; its other fields are the same as those above.
        for name in ["source"] if "source" in fields else fields:
            for what, value in HOSTILE.items():
                if name in ("password", "name") and what in ("long", "4,000 digits"):
                    continue
                answer = await owner(method, path, raw=written(fields, name, value))
                assert answer.status < 500, (method, path, name, what, answer.status, answer.body[:300])
                assert answer.json["@event"], (method, path, name, what)
    # The same inside a spec.
    inside = {
        "column": (lambda name, value: {**ITEM, "spec": [{**column("c"), name: value}]}, column("c")),
        "distribution": (
            lambda name, value: {**ITEM, "spec": [column("c", distribution=[{"value": 1.5, "count": 1, name: value}])]},
            {"value": 1, "count": 1},
        ),
    }
    marker = "\u2603"
    for kind, (build, names) in inside.items():
        for name in names:
            for what, value in HOSTILE.items():
                text = json.dumps({**build(name, marker), "name": f"{kind} {name} {what}"})
                answer = await owner.post("/catalogue/items/", raw=text.replace('"\\u2603"', value).encode())
                assert answer.status in (201, 400), (kind, name, what, answer.body[:300])
    for name in filter_:
        for what, value in HOSTILE.items():
            spec = {**request_spec, "filters": [{**filter_, name: marker}]}
            text = json.dumps({"catalogue_item_id": numbers_item["id"], "spec": spec})
            answer = await owner.post("/downloader/requests/", raw=text.replace('"\\u2603"', value).encode())
            assert answer.status in (200, 201, 400), (name, what, answer.body[:300])
    for name in ("columns", "filters", "randomize_ratio", "seed"):
        for what, value in HOSTILE.items():
            text = json.dumps({"catalogue_item_id": numbers_item["id"], "spec": {**request_spec, name: marker}})
            answer = await owner.post("/downloader/requests/", raw=text.replace('"\\u2603"', value).encode())
            assert answer.status in (200, 201, 400), (name, what, answer.body[:300])


async def test_no_query_is_answered_with_an_unexpected_error(owner: Api, numbers_item: dict[str, Any]) -> None:
    values = [
        "",
        "%20",
        "%00",
        "%ff",
        "%ed%a0%80",
        "%F0%9F%98%80",
        "%",
        "%zz",
        "1" * 30,
        "-1",
        "1e3",
        "NaN",
        "x" * 2000,
        "%26a%20%7Cb%20" * 100,
        "~a%20%7Cb%20%26" * 90,
        "%7C%20" * 500,
        "%27%3B--",
        "%25_%5C",
        "a;b",
        "[]",
    ]
    paths = {
        "/catalogue/items/": ["query", "has_samples", "limit", "offset", "name", "other"],
        "/accounts/": ["limit", "offset"],
        "/downloader/requests/": ["limit", "offset"],
        f"/catalogue/items/{numbers_item['id']}": ["anything"],
        "/downloader/requests/424242": ["wait"],
    }
    for path, names in paths.items():
        for name in names:
            for value in values:
                answer = await owner.get(f"{path}?{name}={value}")
                what = (path, name, value[:60], answer.status, answer.body[:300])
                assert answer.status in (200, 400, 404), what
                if answer.status != 200:
                    assert_refused(answer, what)
    for query in ("?", "?&&&", "?=", "?limit", "?limit=&limit=1", "?" + "a=1&" * 500):
        answer = await owner.get(f"/catalogue/items/{query}")
        assert answer.status in (200, 400), query[:60]


async def test_a_page_is_asked_for_in_numbers_within_bounds(owner: Api) -> None:
    least = "Ensure this value is greater than or equal to {}."
    most = "Ensure this value is less than or equal to {}."
    cases = {
        "limit=x": {"limit": ["A valid integer is required."]},
        "limit=": {"limit": ["A valid integer is required."]},
        "limit=1.5": {"limit": ["A valid integer is required."]},
        "limit=0": {"limit": [least.format(1)]},
        "limit=10001": {"limit": [most.format(10_000)]},
        "offset=-1": {"offset": [least.format(0)]},
        "offset=9007199254740993": {"offset": [most.format(2**53)]},
        "limit=0&offset=-1": {"limit": [least.format(1)], "offset": [least.format(0)]},
    }
    for path in ("/catalogue/items/", "/downloader/requests/", "/accounts/"):
        for query, errors in cases.items():
            answer = await owner.get(f"{path}?{query}")
            assert (answer.status, answer.event) == (400, "QUERY_DID_NOT_VALIDATE"), (path, query)
            assert answer.errors == errors, (path, query)
        assert (await owner.get(f"{path}?limit=10000&offset=9007199254740992")).status == 200, path


async def test_a_body_beyond_the_limit_is_refused(owner: Api) -> None:
    answer = await owner.post("/catalogue/items/", raw=b" " * (16 * 1024 * 1024 + 1))
    assert (answer.status, answer.event) == (413, "BODY_TOO_LARGE")
    large = {**ITEM, "name": "large", "spec": [column(f"column {n}", note="x" * 90) for n in range(5000)]}
    answer = await owner.post("/catalogue/items/", large)
    assert answer.status == 201
    assert answer.json["spec"] == large["spec"]


async def test_an_error_of_the_server_tells_nothing_of_the_server(owner: Api, services: Any, jp_serverapp: Any) -> None:
    """The catalogue's room is taken away: whatever fails, the caller learns that it failed and no more."""
    catalogue = services.catalogue
    del services.catalogue
    try:
        answer = await owner.get("/catalogue/items/")
    finally:
        services.catalogue = catalogue
    assert (answer.status, answer.event) == (500, "GENERIC_ERROR_OCCURRED")
    assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    assert answer.errors == ["an unexpected error; the server's log tells more"]
    for secret in ("Traceback", "catalogue'", "cosphere_jupyter", jp_serverapp.root_dir):
        assert secret not in answer.body.decode()
