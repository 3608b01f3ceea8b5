"""Rows of the table of routes: the way in, users and groups of the CodaLab API."""

from __future__ import annotations

from ..access import Access, Route
from .groups import GroupHandler, GroupsHandler, MembershipHandler
from .oauth import RevokeHandler, TokenHandler
from .users import DiskUsedHandler, OtherUserHandler, UserHandler, UsersHandler

ACCOUNT, OPEN, PUBLIC = Access.ACCOUNT, Access.OPEN, Access.PUBLIC
_GROUP = r"rest/groups/(?P<spec>[^/]+)"

ACCOUNT_ROUTES: tuple[Route, ...] = (
    Route(r"rest/oauth2/token/?", TokenHandler, {"POST": OPEN}),
    Route(r"rest/oauth2/revoke/?", RevokeHandler, {"POST": OPEN}),
    Route(r"rest/user/?", UserHandler, {"GET": ACCOUNT, "PATCH": ACCOUNT}),
    Route(r"rest/user/increment_disk_used/?", DiskUsedHandler, {"PATCH": ACCOUNT}),
    Route(r"rest/users/?", UsersHandler, {"GET": PUBLIC, "PATCH": ACCOUNT, "DELETE": ACCOUNT}),
    Route(r"rest/users/(?P<spec>[^/]+)/?", OtherUserHandler, {"GET": PUBLIC}),
    Route(r"rest/groups/?", GroupsHandler, {"GET": ACCOUNT, "POST": ACCOUNT, "DELETE": ACCOUNT}),
    Route(rf"{_GROUP}/?", GroupHandler, {"GET": ACCOUNT}),
    Route(
        rf"{_GROUP}/relationships/(?P<role>members|admins)/?",
        MembershipHandler,
        {"POST": ACCOUNT, "DELETE": ACCOUNT},
    ),
)
