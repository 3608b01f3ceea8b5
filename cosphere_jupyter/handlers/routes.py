"""The one table of routes: what is served, by whom, and who may use each method.

Patterns stand below the mount point (``<base_url>/cosphere/``). A test walks this table and refuses a route whose
handler answers a method without declared access, or declares one that it does not answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .access import Access, Route
from .accounts import AccountHandler, AccountsHandler, AccountTokensHandler, MeHandler
from .actions import ActionHandler, ActionsHandler, ActionTypeHandler, ActionTypesHandler, NoneOfTheseHandler
from .catalogue import CatalogueItemHandler, CatalogueItemsHandler, SamplesAndDistributionsHandler
from .codalab.base import CodaLabNotFoundHandler
from .codalab.routes import CODALAB_ROUTES
from .cosphere import CosphereHandler
from .downloader import DownloadRequestHandler, DownloadRequestsHandler, EstimateHandler
from .downloads import (
    DownloadFileHandler,
    DownloadHandler,
    DownloadsHandler,
    DownloadsNotFoundHandler,
    DownloadTypePermissionsHandler,
    DownloadTypesHandler,
)
from .dragon import DragonNotFoundHandler
from .dragon_files import CreateFileHandler, FileHandler
from .dragon_streams import CreateStreamHandler, StatusStreamHandler, TasksStreamHandler
from .dragon_tasks import CancelHandler, CreateHandler, StatusHandler, TaskListHandler
from .fallback import NotFoundHandler, SlashHandler
from .object_parts import (
    CommentHandler,
    CommentsHandler,
    FilesHandler,
    ObjectLocationsHandler,
    ObjectLogHandler,
    RelatedObjectsHandler,
)
from .object_parts import FileHandler as ObjectFileHandler
from .object_permissions import (
    AllPermissionsHandler,
    AnonymousUsersHandler,
    AuthenticatedUsersHandler,
    CopyPermissionsHandler,
    PublicHandler,
    SubjectHandler,
    SubjectsHandler,
)
from .objects import ObjectHandler, ObjectHiddenHandler, ObjectsHandler, VersionHandler, VersionsHandler
from .permissions import ItemPermissionsHandler
from .results import ResultHandler
from .samples import SamplesNotFoundHandler
from .samples_users import GroupHandler, GroupsHandler, UserHandler, UsersHandler
from .sign_in import AttachAccountHandler, AttachPasswordHandler, AuthRequestsHandler, AuthTokensHandler
from .sign_in_page import AuthenticateUiHandler, OidcCallbackHandler, OidcStartHandler
from .task_credentials import TaskCredentialHandler, TaskCredentialsHandler

MOUNT = "cosphere"

ACCOUNT, ADMIN, OPEN, SIGNED_LINK = Access.ACCOUNT, Access.ADMIN, Access.OPEN, Access.SIGNED_LINK
TASK_KEY = Access.TASK_KEY
OBJECT = r"api/v1/objects/(?P<object_id>\d+)"

ROUTES: tuple[Route, ...] = (
    # CoSphere API: sign-in. Open to anybody: these are the way in.
    Route(r"accounts/auth_requests/", AuthRequestsHandler, {"POST": OPEN}),
    Route(r"accounts/auth_requests/attach_account/", AttachAccountHandler, {"POST": OPEN}),
    Route(r"accounts/auth_requests/(?P<request_id>[\w-]+)/authenticate/ui/", AuthenticateUiHandler, {"GET": OPEN}),
    Route(r"accounts/auth_tokens/", AuthTokensHandler, {"POST": OPEN}),
    # Sign-in with a password or an outside issuer (ours).
    Route(r"accounts/auth_requests/attach_password/", AttachPasswordHandler, {"POST": OPEN}),
    Route(
        r"accounts/auth_requests/(?P<request_id>[\w-]+)/oidc/(?P<provider>[a-z0-9_-]+)/",
        OidcStartHandler,
        {"GET": OPEN},
    ),
    Route(r"accounts/oidc/(?P<provider>[a-z0-9_-]+)/callback/", OidcCallbackHandler, {"GET": OPEN}),
    # Accounts (ours, in the CoSphere API's envelope).
    Route(r"accounts/me", MeHandler, {"GET": ACCOUNT}),
    Route(r"accounts/", AccountsHandler, {"GET": ADMIN, "POST": ADMIN}),
    Route(r"accounts/(?P<account_id>\d+)", AccountHandler, {"GET": ADMIN, "PUT": ADMIN}),
    Route(r"accounts/(?P<account_id>\d+)/auth_tokens/", AccountTokensHandler, {"POST": ADMIN}),
    Route(r"accounts/task_credentials/", TaskCredentialsHandler, {"GET": ADMIN, "POST": ADMIN}),
    Route(r"accounts/task_credentials/(?P<credential_id>\w+)", TaskCredentialHandler, {"DELETE": ADMIN}),
    # CoSphere API: catalogue.
    Route(r"catalogue/items/", CatalogueItemsHandler, {"GET": ACCOUNT, "POST": ADMIN}),
    Route(
        r"catalogue/items/(?P<item_id>\d+)",
        CatalogueItemHandler,
        {"GET": ACCOUNT, "PUT": ADMIN, "DELETE": ADMIN},
    ),
    Route(
        r"catalogue/items/(?P<item_id>\d+)/permissions/",
        ItemPermissionsHandler,
        {"GET": ADMIN, "PUT": ADMIN},
    ),
    Route(
        r"catalogue/items/(?P<item_id>\d+)/samples_and_distributions/",
        SamplesAndDistributionsHandler,
        {"PUT": ADMIN},
    ),
    # CoSphere API: download requests.
    Route(r"downloader/requests/", DownloadRequestsHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(r"downloader/requests/estimate/", EstimateHandler, {"POST": ACCOUNT}),
    Route(r"downloader/requests/(?P<request_id>\d+)", DownloadRequestHandler, {"GET": ACCOUNT, "DELETE": ACCOUNT}),
    # Downloads API; the types are ours.
    Route(r"api/downloads/?", DownloadsHandler, {"POST": ACCOUNT}),
    Route(r"api/downloads/(?P<download_id>[^/]+)/?", DownloadHandler, {"GET": ACCOUNT}),
    Route(r"api/downloads/(?P<download_id>[^/]+)/file/?", DownloadFileHandler, {"GET": ACCOUNT}),
    Route(r"api/download_types/?", DownloadTypesHandler, {"GET": ACCOUNT}),
    Route(
        r"api/download_types/(?P<name>[^/]+)/permissions/?",
        DownloadTypePermissionsHandler,
        {"GET": ADMIN, "PUT": ADMIN},
    ),
    # Tasks API (Dragon); cancel, tasks and tasks_stream are ours.
    Route(r"v1/create/?", CreateHandler, {"POST": ACCOUNT}),
    Route(r"v1/create_stream/?", CreateStreamHandler, {"POST": ACCOUNT}),
    Route(r"v1/create_file(?:/(?P<filename>[^/]*))?/?", CreateFileHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(r"v1/status/?", StatusHandler, {"GET": TASK_KEY, "POST": TASK_KEY}),
    Route(r"v1/(?:status_)?stream/?", StatusStreamHandler, {"GET": TASK_KEY, "POST": TASK_KEY}),
    Route(r"v1/file(?:/(?P<filename>[^/]*))?/?", FileHandler, {"GET": TASK_KEY}),
    Route(r"v1/cancel/?", CancelHandler, {"POST": ACCOUNT}),
    Route(r"v1/tasks/?", TaskListHandler, {"GET": ACCOUNT}),
    Route(r"v1/tasks_stream/?", TasksStreamHandler, {"GET": ACCOUNT}),
    # iffSamples API; versions as a list, hidden, the whole map of permissions and creating actions are ours.
    Route(r"api/v1/objects/?", ObjectsHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(rf"{OBJECT}/?", ObjectHandler, {"GET": ACCOUNT}),
    Route(rf"{OBJECT}/versions/?", VersionsHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(rf"{OBJECT}/versions/(?P<version_id>\d+)/?", VersionHandler, {"GET": ACCOUNT}),
    Route(rf"{OBJECT}/hidden/?", ObjectHiddenHandler, {"GET": ACCOUNT, "PUT": ACCOUNT}),
    Route(rf"{OBJECT}/permissions/?", AllPermissionsHandler, {"GET": ACCOUNT, "PUT": ACCOUNT}),
    Route(rf"{OBJECT}/permissions/public/?", PublicHandler, {"GET": ACCOUNT, "PUT": ACCOUNT}),
    Route(rf"{OBJECT}/permissions/authenticated_users/?", AuthenticatedUsersHandler, {"GET": ACCOUNT, "PUT": ACCOUNT}),
    Route(rf"{OBJECT}/permissions/anonymous_users/?", AnonymousUsersHandler, {"GET": ACCOUNT, "PUT": ACCOUNT}),
    Route(rf"{OBJECT}/permissions/(?P<kind>users|groups|projects)/?", SubjectsHandler, {"GET": ACCOUNT}),
    Route(
        rf"{OBJECT}/permissions/(?P<kind>users|groups|projects)/(?P<subject_id>\d+)/?",
        SubjectHandler,
        {"GET": ACCOUNT, "PUT": ACCOUNT},
    ),
    Route(rf"{OBJECT}/files/?", FilesHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(rf"{OBJECT}/files/(?P<file_id>\d+)/?", ObjectFileHandler, {"GET": ACCOUNT}),
    Route(rf"{OBJECT}/comments/?", CommentsHandler, {"GET": ACCOUNT, "POST": ACCOUNT}),
    Route(rf"{OBJECT}/comments/(?P<comment_id>\d+)/?", CommentHandler, {"GET": ACCOUNT}),
    Route(rf"{OBJECT}/locations/?", ObjectLocationsHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/objects/permissions/copy/?", CopyPermissionsHandler, {"POST": ACCOUNT}),
    Route(rf"{OBJECT}/related_objects/?", RelatedObjectsHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/object_log_entries/?", ObjectLogHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/actions/?", ActionsHandler, {"GET": ACCOUNT, "POST": ADMIN}),
    Route(r"api/v1/actions/(?P<action_id>\d+)/?", ActionHandler, {"GET": ACCOUNT, "POST": ADMIN}),
    Route(r"api/v1/action_types/?", ActionTypesHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/action_types/(?P<type_id>-?\d+)/?", ActionTypeHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/(?:instruments|projects|locations|location_types)/?", NoneOfTheseHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/users/?", UsersHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/users/(?P<user_id>\d+|me)/?", UserHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/groups/?", GroupsHandler, {"GET": ACCOUNT}),
    Route(r"api/v1/groups/(?P<group_id>\d+)/?", GroupHandler, {"GET": ACCOUNT}),
    # Results (ours): what manifest_uri and download_uri point at.
    Route(
        r"results/(?P<name>[0-9a-f]{2}/[0-9a-f]{64}/[0-9A-Za-z]+-\d+)/(?P<file_name>[0-9A-Za-z._-]+)",
        ResultHandler,
        {"GET": SIGNED_LINK},
    ),
)


def _without_slash(routes: Sequence[Route]) -> Route:
    """Return the row of all paths of the CoSphere API that end in a slash, without it."""
    patterns = [
        re.sub(r"\?P<\w+>", "?:", route.pattern).rstrip("/")
        for route in routes
        if route.pattern.endswith("/") and issubclass(route.handler, CosphereHandler)
    ]
    return Route(f"(?:{'|'.join(patterns)})", SlashHandler, {"GET": OPEN})


ROUTES = (*ROUTES, *CODALAB_ROUTES, _without_slash(ROUTES))


def handlers() -> list[tuple[str, type, dict[str, Any]]]:
    """Return the table as Jupyter's extension manager takes it; the last row answers for all other paths.

    A face with its own shape of errors has such a row of its own.
    """
    rows: list[tuple[str, type, dict[str, Any]]] = [
        (rf"{MOUNT}/{route.pattern}", route.handler, {"route": route}) for route in ROUTES
    ]
    rows.append((rf"{MOUNT}/v1(?:/.*)?", DragonNotFoundHandler, {}))
    rows.append((rf"{MOUNT}/api/download(?:s|_types)(?:/.*)?", DownloadsNotFoundHandler, {}))
    rows.append((rf"{MOUNT}/api/v1(?:/.*)?", SamplesNotFoundHandler, {}))
    rows.append((rf"{MOUNT}/rest(?:/.*)?", CodaLabNotFoundHandler, {}))
    return [*rows, (rf"{MOUNT}(?:/.*)?", NotFoundHandler, {})]
