"""HTTP at the wire: who is calling, what is tried again, and errors in the server's words."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import (
    ApiError,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ServerUnavailable,
    Workspace,
)
from cosphere_jupyter.client.errors import api_error


def refusing(
    server: WorkspaceServer, status: int, event: str, times: int = 1, retry_after: str = "", **extras: Any
) -> None:
    """Refuse the next calls."""
    left = [times]

    def refuse(handler: Any) -> None:
        if left[0]:
            left[0] -= 1
            if retry_after:
                handler.set_header("Retry-After", retry_after)
            handler.refuse(status, event, **extras)

    server.interceptors.append(refuse)


def breaking(server: WorkspaceServer, times: int, method: str = "") -> None:
    """Close the connection of the next calls without an answer."""
    left = [times]

    def close(handler: Any) -> None:
        if left[0] and method in ("", handler.request.method):
            left[0] -= 1
            handler.request.connection.stream.close()
            handler._finished = True

    server.interceptors.append(close)


def test_two_dots_make_a_token_a_jwt(server: WorkspaceServer):
    with Workspace(server.url, server.token) as ws:
        _ = ws.me
    assert server.seen[-1][2]["Authorization"] == "token jupyter-secret"
    with Workspace(server.url, "a.b.c") as ws:
        _ = ws.me
    assert server.seen[-1][2]["Authorization"] == "Bearer a.b.c"


def test_no_cookie_is_kept(ws: Workspace, server: WorkspaceServer):
    _ = ws.me
    list(ws.requests)
    ws.catalogue.create(name="new", source="x")
    assert not any("Cookie" in headers for _, _, headers in server.seen)


def test_without_a_token_nobody_is_signed_in(server: WorkspaceServer):
    with pytest.raises(NotSignedIn, match=r"could not find auth token.*COSPHERE_TOKEN") as caught:
        Workspace(server.url)
    assert (caught.value.status, caught.value.event) == (401, "COULD_NOT_FIND_AUTH_TOKEN")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidRequest), (403, NotAllowed), (404, NotFound), (503, ServerUnavailable), (500, ApiError)],
)
def test_each_status_has_its_error(ws: Workspace, server: WorkspaceServer, status: int, kind: type[ApiError]):
    refusing(server, status, "SOMETHING_WENT_WRONG", times=99)
    with pytest.raises(kind, match=r"^something went wrong$") as caught:
        list(ws.requests)
    assert (caught.value.status, caught.value.event) == (status, "SOMETHING_WENT_WRONG")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"@event": "E", "errors": {"name": ["is bad.", "is long."], "__all__": ["no."]}},
            "name: is bad. is long.; no.",
        ),
        ({"@event": "E", "errors": ["first", "second"]}, "first; second"),
        ({"@event": "E", "message": "full"}, "full"),
        (
            {"@event": "NOT_CANCELLED_DOWNLOAD_REQEUSTS_DETECTED", "item_id": 5, "not_cancelled_count": 2},
            "not cancelled download reqeusts detected (item_id: 5, not_cancelled_count: 2)",
        ),
        ({"@event": ""}, "HTTP status 400"),
    ],
)
def test_the_message_is_what_the_server_says(body: dict[str, Any], text: str):
    error = api_error(400, body, "http://host/cosphere")
    assert str(error) == text
    assert error.errors == body.get("errors", {})


def test_a_server_without_the_extension_is_told_and_its_page_is_not_shown(server: WorkspaceServer):
    with (
        Workspace(f"{server.url}elsewhere/", server.token) as ws,
        pytest.raises(NotFound, match="Is cosphere_jupyter installed") as caught,
    ):
        _ = ws.me
    assert server.token not in str(caught.value)


def test_a_page_of_another_service_is_no_workspace(ws: Workspace, server: WorkspaceServer):
    server.interceptors.append(lambda handler: handler.finish("<html>fine</html>"))
    with pytest.raises(ApiError, match="not as a workspace does"):
        _ = ws.me


def test_a_redirect_says_where_it_leads(ws: Workspace, server: WorkspaceServer):
    server.interceptors.append(lambda handler: handler.redirect("https://hub.example/login?next=secret"))
    with pytest.raises(ServerUnavailable, match=r"leads to https://hub\.example/login:") as caught:
        _ = ws.me
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_cannot_be_reached():
    with (
        Workspace("http://127.0.0.1:1/", "secret") as ws,
        pytest.raises(ServerUnavailable, match="cannot be reached") as caught,
    ):
        _ = ws.me
    assert caught.value.status is None
    assert "secret" not in str(caught.value)


def test_a_broken_get_is_tried_again(ws: Workspace, server: WorkspaceServer):
    breaking(server, 2)
    assert ws.me.id == 7
    assert len(server.seen) == 3


def test_a_request_is_sent_again_for_equal_ones_are_the_same(ws: Workspace, server: WorkspaceServer):
    table = ws.catalogue["flights"]
    breaking(server, 2, "POST")
    assert table.select().request().id == 1


def test_what_might_happen_twice_is_not_tried_again(ws: Workspace, server: WorkspaceServer):
    _ = ws.me
    table = ws.catalogue["flights"]
    for attempt in (
        lambda: ws.catalogue.create(name="new", source="x"),
        lambda: table.update(source="x"),
        lambda: table.delete(),
    ):
        server.interceptors.clear()
        breaking(server, 1)
        before = len(server.seen)
        with pytest.raises(ServerUnavailable, match="cannot be reached"):
            attempt()
        assert len(server.seen) == before + 1


def test_a_busy_server_is_asked_again_when_it_says(ws: Workspace, server: WorkspaceServer):
    refusing(server, 503, "SERVICE_UNAVAILABLE", times=2, retry_after="0", message="full")
    assert ws.catalogue.create(name="new", source="x").name == "new"
    refusing(server, 503, "SERVICE_UNAVAILABLE", times=99, retry_after="0", message="full")
    with pytest.raises(ServerUnavailable, match=r"^full$"):
        list(ws.requests)


def test_a_workspace_that_is_dropped_leaves_no_connection_open(server: WorkspaceServer):
    # An open socket would be reported as a ResourceWarning, which is an error here.
    ws = Workspace(server.url, server.token)
    _ = ws.me
    del ws
    gc.collect()


def test_a_link_that_does_not_know_its_host_is_taken_to_the_one_that_works(ws: Workspace, server: WorkspaceServer):
    link = "https://inside.example:9999/cosphere/results/x/manifest.json?signature=first"
    assert ws.http._reachable(link) == f"{server.url}cosphere/results/x/manifest.json?signature=first"
    stored = "https://bucket.s3.example/x/part-0.parquet?X-Amz-Signature=abc"
    assert ws.http._reachable(stored) == stored
