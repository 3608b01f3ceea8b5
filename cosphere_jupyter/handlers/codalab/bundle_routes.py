"""Rows of the table of routes for bundles as records."""

from __future__ import annotations

from ...bundles.ids import UUID_PATTERN
from ..access import Access, Route
from .bundles import (
    BundleActionsHandler,
    BundleHandler,
    BundleLocationsHandler,
    BundlePermissionsHandler,
    BundlesHandler,
    NoneOfTheseHandler,
)

ACCOUNT, PUBLIC = Access.ACCOUNT, Access.PUBLIC
BUNDLE = rf"rest/bundles/(?P<uuid>{UUID_PATTERN})"

BUNDLE_ROUTES: tuple[Route, ...] = (
    Route(
        r"rest/bundles/?",
        BundlesHandler,
        {"GET": PUBLIC, "POST": ACCOUNT, "PATCH": ACCOUNT, "DELETE": ACCOUNT},
    ),
    Route(rf"{BUNDLE}/?", BundleHandler, {"GET": PUBLIC}),
    Route(rf"{BUNDLE}/locations/?", BundleLocationsHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(r"rest/bundle-permissions/?", BundlePermissionsHandler, {"POST": ACCOUNT}),
    Route(r"rest/bundle-actions/?", BundleActionsHandler, {"POST": ACCOUNT}),
    Route(r"rest/(?:bundles/locations|bundle_stores|workers/info)/?", NoneOfTheseHandler, {"GET": ACCOUNT}),
)
