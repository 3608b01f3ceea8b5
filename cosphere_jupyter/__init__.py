"""From a data catalogue to a DataFrame inside JupyterLab.

In a notebook::

    from cosphere_jupyter import Workspace

    ws = Workspace()
    flights = ws.catalogue["flights"]
    df = flights.select("carrier", "dep_delay").where("dep_delay > 30").to_pandas()

The public names are loaded when they are first used: importing this package loads nothing heavy, neither in a
notebook nor in the Jupyter Server, which imports it at each start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .client.bundle import Bundle
    from .client.errors import (
        ApiError,
        BundleFailed,
        BundleTimeout,
        CosphereError,
        DownloadFailed,
        DownloadTimeout,
        InvalidFilter,
        InvalidRequest,
        NotAllowed,
        NotFound,
        NotRepeatable,
        NotSignedIn,
        ObjectChanged,
        RequestCancelled,
        RequestFailed,
        RequestTimeout,
        ResultTooLarge,
        ResultUnreadable,
        ServerNotFound,
        ServerUnavailable,
        TaskFailed,
        TaskTimeout,
        UnknownColumn,
        UnknownTable,
    )
    from .client.estimates import Estimate
    from .client.exports import TypedDownload
    from .client.object_values import Quantity
    from .client.objects import LabObject
    from .client.permissions import Permission
    from .client.query import Filter
    from .client.statuses import TaskStatus
    from .client.task_groups import TaskGroup
    from .client.tasks import Task
    from .client.worksheets import Worksheet
    from .client.workspace import Workspace
    from .widgets.browser import CatalogueBrowser
    from .widgets.builder import RequestBuilder
    from .widgets.monitor import TaskMonitor
    from .widgets.results import Results
    from .widgets.sign_in import SignIn
    from .widgets.view import Distribution

__all__ = [
    "ApiError",
    "Bundle",
    "BundleFailed",
    "BundleTimeout",
    "CatalogueBrowser",
    "CosphereError",
    "Distribution",
    "DownloadFailed",
    "DownloadTimeout",
    "Estimate",
    "Filter",
    "InvalidFilter",
    "InvalidRequest",
    "LabObject",
    "NotAllowed",
    "NotFound",
    "NotRepeatable",
    "NotSignedIn",
    "ObjectChanged",
    "Permission",
    "Quantity",
    "RequestBuilder",
    "RequestCancelled",
    "RequestFailed",
    "RequestTimeout",
    "ResultTooLarge",
    "ResultUnreadable",
    "Results",
    "ServerNotFound",
    "ServerUnavailable",
    "SignIn",
    "Task",
    "TaskFailed",
    "TaskGroup",
    "TaskMonitor",
    "TaskStatus",
    "TaskTimeout",
    "TypedDownload",
    "UnknownColumn",
    "UnknownTable",
    "Worksheet",
    "Workspace",
    "__version__",
]

# Where the public names live; what is not listed here is an error of the client.
_HOMES = {
    "Workspace": ".client.workspace",
    "Bundle": ".client.bundle",
    "Worksheet": ".client.worksheets",
    "Filter": ".client.query",
    "Estimate": ".client.estimates",
    "LabObject": ".client.objects",
    "Permission": ".client.permissions",
    "Quantity": ".client.object_values",
    "CatalogueBrowser": ".widgets.browser",
    "RequestBuilder": ".widgets.builder",
    "Distribution": ".widgets.view",
    "TaskMonitor": ".widgets.monitor",
    "Results": ".widgets.results",
    "SignIn": ".widgets.sign_in",
    "Task": ".client.tasks",
    "TaskGroup": ".client.task_groups",
    "TaskStatus": ".client.statuses",
    "TypedDownload": ".client.exports",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, ".client.errors"), __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server what to load."""
    from .app import CosphereApp

    return [{"module": "cosphere_jupyter.app", "app": CosphereApp}]
