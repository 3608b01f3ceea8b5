"""Rows of the table of routes for worksheets."""

from __future__ import annotations

from ...bundles.ids import UUID_PATTERN
from ..access import Access, Route
from .worksheets import (
    WorksheetAddItemsHandler,
    WorksheetHandler,
    WorksheetItemsHandler,
    WorksheetPermissionsHandler,
    WorksheetRawHandler,
    WorksheetsHandler,
)

ACCOUNT, PUBLIC = Access.ACCOUNT, Access.PUBLIC
WORKSHEET = rf"rest/worksheets/(?P<uuid>{UUID_PATTERN})"

WORKSHEET_ROUTES: tuple[Route, ...] = (
    Route(
        r"rest/worksheets/?",
        WorksheetsHandler,
        {"GET": PUBLIC, "POST": ACCOUNT, "PATCH": ACCOUNT, "DELETE": ACCOUNT},
    ),
    Route(rf"{WORKSHEET}/?", WorksheetHandler, {"GET": PUBLIC}),
    Route(rf"{WORKSHEET}/raw/?", WorksheetRawHandler, {"POST": ACCOUNT, "PUT": ACCOUNT}),
    Route(rf"{WORKSHEET}/add-items/?", WorksheetAddItemsHandler, {"POST": ACCOUNT}),
    Route(r"rest/worksheet-items/?", WorksheetItemsHandler, {"POST": ACCOUNT}),
    Route(r"rest/worksheet-permissions/?", WorksheetPermissionsHandler, {"POST": ACCOUNT}),
)
