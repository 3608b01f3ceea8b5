"""Every endpoint of an object with every kind of caller, against a table written by hand.

The calls change nothing: whoever may write is told that the body is wrong. With each line of the table the same call is
made by JWT and by name and password.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from objects.conftest import Lab
from support import Api

from cosphere_jupyter.handlers.routes import ROUTES

PASSWORD = "correct horse battery"
CALLERS = (
    "nobody", "none", "read", "write", "grant", "group read", "group write", "other group", "everyone", "admin",
    "disabled",
)  # fmt: skip

# One letter for each caller: - unknown (401), x refused (403), else the endpoint's answer to whoever may.
# fmt: off
MATRIX = {
    #                                                    n n r w g g g o e a d
    #                                                    o o e r r r w t v d i
    ("GET",  "",                             302):      "- x o o o o o x o o -",
    ("GET",  "/versions/0",                  200):      "- x o o o o o x o o -",
    ("GET",  "/versions/",                   200):      "- x o o o o o x o o -",
    ("POST", "/versions/",                   400):      "- x x o o x o x x o -",
    ("GET",  "/hidden",                      200):      "- x o o o o o x o o -",
    ("PUT",  "/hidden",                      400):      "- x x x o x x x x o -",
    ("GET",  "/permissions/",                200):      "- x o o o o o x o o -",
    ("PUT",  "/permissions/",                400):      "- x x x o x x x x o -",
    ("GET",  "/permissions/public",          200):      "- x o o o o o x o o -",
    ("PUT",  "/permissions/public",          400):      "- x x x o x x x x o -",
    ("GET",  "/permissions/authenticated_users", 200):  "- x o o o o o x o o -",
    ("PUT",  "/permissions/authenticated_users", 400):  "- x x x o x x x x o -",
    ("GET",  "/permissions/anonymous_users", 200):      "- x o o o o o x o o -",
    ("PUT",  "/permissions/anonymous_users", 400):      "- x x x o x x x x o -",
    ("GET",  "/permissions/users/",          200):      "- x o o o o o x o o -",
    ("GET",  "/permissions/users/1",         200):      "- x o o o o o x o o -",
    ("PUT",  "/permissions/users/1",         400):      "- x x x o x x x x o -",
    ("GET",  "/permissions/groups/1",        200):      "- x o o o o o x o o -",
    ("PUT",  "/permissions/groups/1",        400):      "- x x x o x x x x o -",
    ("GET",  "/permissions/projects/",       200):      "- x o o o o o x o o -",
    ("GET",  "/permissions/projects/1",      404):      "- x o o o o o x o o -",
    ("PUT",  "/permissions/projects/1",      404):      "- x x x o x x x x o -",
    ("GET",  "/files/",                      200):      "- x o o o o o x o o -",
    ("POST", "/files/",                      400):      "- x x o o x o x x o -",
    ("GET",  "/files/0",                     200):      "- x o o o o o x o o -",
    ("GET",  "/comments/",                   200):      "- x o o o o o x o o -",
    ("POST", "/comments/",                   400):      "- x x o o x o x x o -",
    ("GET",  "/comments/0",                  200):      "- x o o o o o x o o -",
    ("GET",  "/locations/",                  200):      "- x o o o o o x o o -",
    ("GET",  "/related_objects",             200):      "- x o o o o o x o o -",
}
# fmt: on


async def people(lab: Lab) -> dict[str, Api]:
    """Make everybody of the table, by JWT; whoever knows a name and a password is ``<name> by password``."""
    found = {"nobody": lab.owner.of(None)}
    for name in CALLERS[1:]:
        email = f"{name.replace(' ', '-')}@lab.example"
        kind = "ADMIN" if name == "admin" else "RESEARCHER"
        caller = await lab.sign_up(email, kind, password=PASSWORD)
        credential = base64.b64encode(f"{email}:{PASSWORD}".encode()).decode()
        found |= {name: caller, f"{name} by password": Api(caller.base, f"Basic {credential}", caller.account)}
    return found


def test_the_table_covers_every_route_of_an_object() -> None:
    routes = [route for route in ROUTES if route.pattern.startswith(r"api/v1/objects/(?P<object_id>")]
    uncovered = {(route.pattern, method) for route in routes for method in route.access}
    for method, path, _ in MATRIX:
        matching = [route for route in routes if re.fullmatch(route.pattern, f"api/v1/objects/1{path}")]
        assert len(matching) == 1, path
        uncovered.discard((matching[0].pattern, method))
    assert uncovered == set()


async def test_each_call_is_answered_to_each_caller_as_the_table_says(lab: Lab, sign_up: Callable[..., Any]) -> None:
    rosa = await sign_up("rosa@lab.example")
    everybody = await people(lab)
    private, public = await lab.create(rosa), await lab.create(rosa)
    for object_id in (private, public):
        file = {"storage": "url", "url": "https://lab.example/"}
        assert (await rosa.post(f"/api/v1/objects/{object_id}/files/", file)).status == 201
        assert (await rosa.post(f"/api/v1/objects/{object_id}/comments/", {"content": "x"})).status == 201
    for level in ("read", "write", "grant"):
        await lab.give(private, everybody[level], level)
    for level in ("read", "write"):
        group_id = await lab.group(f"may {level}", everybody[f"group {level}"])
        path = f"/api/v1/objects/{private}/permissions/groups/{group_id}"
        assert (await rosa.put(path, level)).status == 200
    await lab.group("may nothing", everybody["other group"])
    assert (await rosa.put(f"/api/v1/objects/{public}/permissions/public", True)).status == 200
    disabled = await lab.owner.put(f"/accounts/{everybody['disabled'].account['id']}", {"is_active": False})
    assert disabled.status == 200
    wrong = []
    for (method, path, status), letters in MATRIX.items():
        for name, letter in zip(CALLERS, letters.split(), strict=True):
            expected = {"-": 401, "x": 403, "o": status}[letter]
            object_id = public if name == "everyone" else private
            for caller in (name, f"{name} by password"):
                if caller not in everybody or caller == "disabled by password":
                    continue
                raw = None if method == "GET" else b"7"
                answer = await everybody[caller](method, f"/api/v1/objects/{object_id}{path}", raw=raw)
                if answer.status != expected:
                    wrong.append((method, path, caller, answer.status, answer.body))
    assert wrong == []
    # Its guesses would be counted: once is enough.
    assert (await everybody["disabled by password"].get(f"/api/v1/objects/{private}")).status == 401
    # Lists and the log show the same as the objects themselves.
    for name in CALLERS[1:-1]:
        seen = {private} if MATRIX[("GET", "/versions/0", 200)].split()[CALLERS.index(name)] == "o" else set()
        seen = (seen - {private} if name == "everyone" else seen) | {public}
        listed = {each["object_id"] for each in (await everybody[name].get("/api/v1/objects/")).json}
        logged = {each["object_id"] for each in (await everybody[name].get("/api/v1/object_log_entries/")).json}
        assert listed == logged == seen, name
