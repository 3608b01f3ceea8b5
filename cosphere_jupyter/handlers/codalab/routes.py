"""The CodaLab API's rows of the table of routes; where it says ``PUBLIC``, everyone's bundles are anybody's to read."""

from __future__ import annotations

from ..access import Route
from .account_routes import ACCOUNT_ROUTES
from .bundle_routes import BUNDLE_ROUTES
from .content_routes import CONTENT_ROUTES
from .worksheet_routes import WORKSHEET_ROUTES

CODALAB_ROUTES: tuple[Route, ...] = (*ACCOUNT_ROUTES, *BUNDLE_ROUTES, *CONTENT_ROUTES, *WORKSHEET_ROUTES)
