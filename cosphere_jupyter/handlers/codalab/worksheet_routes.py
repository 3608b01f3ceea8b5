"""Rows of the table of routes for worksheets."""

from __future__ import annotations

from ...bundles.ids import UUID_PATTERN
from ..access import Access, Route
from .interpret import (
    FileGenpathsHandler,
    GenpathTableContentsHandler,
    InterpretSearchHandler,
    InterpretWorksheetHandler,
    InterpretWorksheetSearchHandler,
)
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
    # These POSTs only ask.
    Route(rf"rest/interpret/worksheet/(?P<uuid>{UUID_PATTERN})/?", InterpretWorksheetHandler, {"GET": PUBLIC}),
    Route(r"rest/interpret/search/?", InterpretSearchHandler, {"POST": ACCOUNT}),
    Route(r"rest/interpret/wsearch/?", InterpretWorksheetSearchHandler, {"POST": ACCOUNT}),
    Route(r"rest/interpret/file-genpaths/?", FileGenpathsHandler, {"POST": ACCOUNT}),
    Route(r"rest/interpret/genpath-table-contents/?", GenpathTableContentsHandler, {"POST": ACCOUNT}),
)
