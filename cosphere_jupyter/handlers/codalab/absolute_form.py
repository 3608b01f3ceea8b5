"""Requests whose first line names the whole URL, as uploads of the CodaLab command line do (RFC 9112, 3.2.2).

Tornado routes on what stands there, and finds nothing. What names a path of ours is rewritten before it looks.
"""

from __future__ import annotations

import re
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, RequestHandler

_ABSOLUTE = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@]+)(?P<path>/[^?]*)(?P<query>\?.*)?", re.IGNORECASE)


class AbsoluteForm(Matcher):
    """Matches nothing; it only turns URLs below ``mount`` into paths."""

    def __init__(self, mount: str) -> None:
        self._mount = mount

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Rewrite a request; always None, so that routing goes on."""
        found = _ABSOLUTE.fullmatch(request.uri or "")
        if found is not None and found["path"].startswith(self._mount):
            request.uri = found["path"] + (found["query"] or "")
            request.path = found["path"]
            # Whom a URL names is whom it is for, whatever the header says.
            request.host = request.headers["Host"] = found["host"]
            request.host_name = re.sub(r":\d*$", "", found["host"]).lower()
        return None


def accept_absolute_form(application: Application, mount: str) -> None:
    """Let an application serve such requests below ``mount``, a path with slashes at both ends."""
    application.default_router.rules.insert(0, Rule(AbsoluteForm(mount), RequestHandler))
