"""Rows of the table of routes: contents of bundles. A final slash is part of the root's path."""

from __future__ import annotations

from ...bundles.ids import UUID_PATTERN
from ..access import Access, Route
from .blobs import BlobHandler
from .contents import InfoHandler
from .freeze import FreezeHandler
from .uploads import BlobRootHandler

CONTENTS = rf"rest/bundles/(?P<uuid>{UUID_PATTERN})/contents"

CONTENT_ROUTES: tuple[Route, ...] = (
    Route(rf"{CONTENTS}/info/(?P<path>.*)", InfoHandler, {"GET": Access.PUBLIC}),
    Route(rf"{CONTENTS}/blob/", BlobRootHandler, {"GET": Access.PUBLIC, "PUT": Access.ACCOUNT}),
    Route(rf"{CONTENTS}/blob/(?P<path>.+)", BlobHandler, {"GET": Access.PUBLIC}),
    # Ours: a request's result as a bundle.
    Route(r"rest/bundles/freeze/?", FreezeHandler, {"POST": Access.ACCOUNT}),
)
