"""The table of calls, written by hand: each changes nothing, and says who may make it and what it is answered with.

Each face tells its errors in its own shape; ``Face`` holds an answer to it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from support import Answer

LINK = f"/results/ab/{'ab' * 32}/KEY-1/manifest.json?expires=99999999999&signature=forged"


class Face:
    """The CoSphere API: ``@event``, ``@type``, and ``@authorizer`` on errors after authorisation."""

    # How WWW-Authenticate of a 401 begins.
    challenge = "Bearer "
    # What a caller whom nobody knows is answered with.
    unknown = 401
    # What a body that is no JSON is answered with.
    unreadable = 400
    looks_first = False

    def check_shape(self, answer: Answer, what: Any, authorised: bool) -> None:
        """Assert that a JSON answer has the envelope of its status."""
        body = answer.json
        if answer.status in (401, 403):
            # What is wrong with a link is told: it is all that its holder has.
            told = {"message"} if "/results/" in str(what) and answer.status == 403 else set()
            assert set(body) == {"@event", "@type", *told}, (what, body)
        elif answer.status >= 400:
            assert ("@authorizer" in body) == authorised, (what, body)
        else:
            assert "@authorizer" not in body, (what, body)
        assert body["@type"] == "error" or answer.status < 400, (what, body)

    def check_event(self, answer: Answer, event: str, what: Any) -> None:
        """Assert that an error says why, in the face's words; ``event`` is the CoSphere API's."""
        assert answer.event == event, what


COSPHERE = Face()


class DragonFace(Face):
    """The tasks API: ``{"status": "error", "errors": [{"name", "location", "description"}]}``."""

    challenge = "Secret "

    def check_shape(self, answer: Answer, what: Any, authorised: bool) -> None:
        """Assert that an error tells its parts."""
        if answer.status >= 400:
            body = answer.json
            assert set(body) == {"status", "errors"} and body["status"] == "error" and body["errors"], what
            for error in body["errors"]:
                assert set(error) == {"name", "location", "description"}, what
                assert all(isinstance(text, str) and text for text in error.values()), what

    def check_event(self, answer: Answer, event: str, what: Any) -> None:
        """Its errors have no words of their own."""
        self.check_shape(answer, what, authorised=True)


DRAGON = DragonFace()


class DownloadsFace(Face):
    """The Downloads API: ``{"errors": [text, …]}``."""

    unreadable = 422

    def check_shape(self, answer: Answer, what: Any, authorised: bool) -> None:
        """Assert that an error tells something."""
        if answer.status >= 400:
            assert set(answer.json) == {"errors"} and answer.json["errors"], what
            assert all(isinstance(text, str) and text for text in answer.json["errors"]), what

    def check_event(self, answer: Answer, event: str, what: Any) -> None:
        """Its errors are texts."""
        self.check_shape(answer, what, authorised=True)


DOWNLOADS = DownloadsFace()


class SamplesFace(Face):
    """The iffSamples API: ``{"message": text}``."""

    challenge = "Basic "
    # Whether there is such an object is told before the body is read.
    looks_first = True

    def check_shape(self, answer: Answer, what: Any, authorised: bool) -> None:
        """Assert that an error tells something."""
        if answer.status >= 400:
            assert set(answer.json) == {"message"} and isinstance(answer.json["message"], str), what
            assert answer.json["message"], what

    def check_event(self, answer: Answer, event: str, what: Any) -> None:
        """Its errors are texts."""
        self.check_shape(answer, what, authorised=True)


SAMPLES = SamplesFace()


class CodaLabFace(Face):
    """The CodaLab API, to others than its command line: ``{"errors": [{"status", "detail"}], "meta": {"version"}}``."""

    unknown = 403

    def check_shape(self, answer: Answer, what: Any, authorised: bool) -> None:
        """Assert that an error tells something."""
        assert answer.json["meta"]["version"] == "0.2.0", what
        if answer.status >= 400:
            assert set(answer.json) == {"errors", "meta"} and len(answer.json["errors"]) == 1, what
            assert set(answer.json["errors"][0]) == {"status", "detail"}, what
            assert answer.json["errors"][0]["status"] == str(answer.status) and answer.json["errors"][0]["detail"], what

    def check_event(self, answer: Answer, event: str, what: Any) -> None:
        """Its errors are texts."""
        self.check_shape(answer, what, authorised=True)


CODALAB = CodaLabFace()


class Row(NamedTuple):
    """A call that changes nothing, who may make it, and what it is answered with once it passes."""

    method: str
    path: str
    access: str
    status: int
    face: Face = COSPHERE
    # Whether even its GET changes something: then a browser's cookie alone is not enough.
    has_effects: bool = False


# fmt: off
COSPHERE_CALLS = [
    Row("GET",    "/accounts/me",                       "account", 200),
    Row("GET",    "/accounts/",                         "admin",   200),
    Row("POST",   "/accounts/",                         "admin",   400),
    Row("GET",    "/accounts/424242",                   "admin",   404),
    Row("PUT",    "/accounts/424242",                   "admin",   404),
    Row("POST",   "/accounts/424242/auth_tokens/",      "admin",   404),
    Row("GET",    "/accounts/task_credentials/",        "admin",   200),
    Row("POST",   "/accounts/task_credentials/",        "admin",   400),
    Row("DELETE", "/accounts/task_credentials/abcd1234", "admin",  404),
    Row("GET",    "/catalogue/items/",                  "account", 200),
    Row("POST",   "/catalogue/items/",                  "admin",   400),
    Row("GET",    "/catalogue/items/424242",            "account", 404),
    Row("PUT",    "/catalogue/items/424242",            "admin",   400),
    Row("DELETE", "/catalogue/items/424242",            "admin",   404),
    Row("GET",    "/catalogue/items/424242/permissions/", "admin", 404),
    Row("PUT",    "/catalogue/items/424242/permissions/", "admin", 400),
    Row("PUT",    "/catalogue/items/424242/samples_and_distributions/", "admin", 404),
    Row("POST",   "/downloader/requests/estimate/",     "account", 400),
    Row("GET",    "/downloader/requests/",              "account", 200),
    Row("POST",   "/downloader/requests/",              "account", 400),
    Row("GET",    "/downloader/requests/424242",        "account", 404),
    Row("DELETE", "/downloader/requests/424242",        "account", 404),
    Row("GET",    LINK,                                 "link",    403),
    Row("GET",    "/accounts",                          "open",    301),
    Row("GET",    "/catalogue/items",                   "open",    301),
    Row("GET",    "/downloader/requests",               "open",    301),
    Row("GET",    "/downloader/requests/estimate",      "open",    301),
    Row("GET",    "/catalogue/items/424242/permissions", "open",   301),
    Row("GET",    "/accounts/auth_tokens",              "open",    301),
]

DRAGON_CALLS = [
    Row("POST",   "/v1/create",                         "account", 400, DRAGON),
    Row("POST",   "/v1/create_stream",                  "account", 400, DRAGON),
    Row("POST",   "/v1/create_file/cat.jpg",            "account", 400, DRAGON),
    Row("GET",    "/v1/create_file/cat.jpg",            "account", 400, DRAGON, has_effects=True),
    Row("GET",    "/v1/status?tasks=A",                 "account", 200, DRAGON),
    Row("POST",   "/v1/status/",                        "account", 400, DRAGON),
    Row("GET",    "/v1/stream?block=true",              "account", 400, DRAGON),
    Row("POST",   "/v1/status_stream",                  "account", 400, DRAGON),
    Row("GET",    "/v1/file/cat.jpg",                   "account", 400, DRAGON),
    Row("POST",   "/v1/cancel",                         "account", 400, DRAGON),
    Row("GET",    "/v1/tasks",                          "account", 200, DRAGON),
    Row("GET",    "/v1/tasks_stream/?limit=1",          "account", 400, DRAGON),
]

DOWNLOADS_CALLS = [
    Row("POST",   "/api/downloads",                     "account", 422, DOWNLOADS),
    Row("GET",    "/api/downloads/424242",              "account", 404, DOWNLOADS),
    Row("GET",    "/api/downloads/424242/file/",        "account", 404, DOWNLOADS),
    Row("GET",    "/api/download_types",                "account", 200, DOWNLOADS),
    Row("GET",    "/api/download_types/no/permissions", "admin",   404, DOWNLOADS),
    Row("PUT",    "/api/download_types/no/permissions", "admin",   422, DOWNLOADS),
]

SAMPLES_CALLS = [
    Row("GET",   "/api/v1/objects/",                                     "account", 200, SAMPLES),
    Row("POST",  "/api/v1/objects",                                      "account", 400, SAMPLES),
    Row("GET",   "/api/v1/objects/424242",                               "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/versions/",                     "account", 404, SAMPLES),
    Row("POST",  "/api/v1/objects/424242/versions/",                     "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/versions/0",                    "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/hidden",                        "account", 404, SAMPLES),
    Row("PUT",   "/api/v1/objects/424242/hidden",                        "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/permissions/",                  "account", 404, SAMPLES),
    Row("PUT",   "/api/v1/objects/424242/permissions/",                  "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/permissions/public",            "account", 404, SAMPLES),
    Row("PUT",   "/api/v1/objects/424242/permissions/public",            "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/permissions/authenticated_users","account", 404, SAMPLES),
    Row("PUT",   "/api/v1/objects/424242/permissions/authenticated_users","account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/permissions/anonymous_users",   "account", 404, SAMPLES),
    Row("PUT",   "/api/v1/objects/424242/permissions/anonymous_users",   "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/permissions/users/",            "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/permissions/groups/7",          "account", 404, SAMPLES),
    Row("PUT",   "/api/v1/objects/424242/permissions/users/7",           "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/files/",                        "account", 404, SAMPLES),
    Row("POST",  "/api/v1/objects/424242/files/",                        "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/files/0",                       "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/comments/",                     "account", 404, SAMPLES),
    Row("POST",  "/api/v1/objects/424242/comments/",                     "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/comments/0",                    "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/related_objects",               "account", 404, SAMPLES),
    Row("GET",   "/api/v1/objects/424242/locations/",                    "account", 404, SAMPLES),
    Row("POST",  "/api/v1/objects/permissions/copy/",                    "account", 400, SAMPLES),
    Row("GET",   "/api/v1/object_log_entries/",                          "account", 200, SAMPLES),
    Row("GET",   "/api/v1/actions/",                                     "account", 200, SAMPLES),
    Row("POST",  "/api/v1/actions/",                                     "admin",   400, SAMPLES),
    Row("GET",   "/api/v1/actions/424242",                               "account", 404, SAMPLES),
    Row("POST",  "/api/v1/actions/424242",                               "admin",   404, SAMPLES),
    Row("GET",   "/api/v1/action_types/",                                "account", 200, SAMPLES),
    Row("GET",   "/api/v1/action_types/-5",                              "account", 404, SAMPLES),
    Row("GET",   "/api/v1/instruments/",                                 "account", 200, SAMPLES),
    Row("GET",   "/api/v1/users/",                                       "account", 200, SAMPLES),
    Row("GET",   "/api/v1/users/424242",                                 "account", 404, SAMPLES),
    Row("GET",   "/api/v1/groups",                                       "account", 200, SAMPLES),
    Row("GET",   "/api/v1/groups/424242/",                               "account", 404, SAMPLES),
]

# "public": anybody, but a credential that is sent has to be good.
CONTENTS = f"/rest/bundles/0x{'ab' * 16}/contents"
CODALAB_CONTENT_CALLS = [
    Row("GET",    f"{CONTENTS}/info/",                            "public",  403, CODALAB),
    Row("GET",    f"{CONTENTS}/blob/",                            "public",  403, CODALAB),
    Row("GET",    f"{CONTENTS}/blob/a/b.txt",                     "public",  403, CODALAB),
    Row("PUT",    f"{CONTENTS}/blob/",                            "account", 403, CODALAB),
    Row("POST",   "/rest/bundles/freeze",                         "account", 400, CODALAB),
]

CODALAB_BUNDLE_CALLS = [
    Row("GET",    "/rest/bundles?keywords=.mine",                 "public",  200, CODALAB),
    Row("POST",   "/rest/bundles",                                "account", 400, CODALAB),
    Row("PATCH",  "/rest/bundles/",                               "account", 400, CODALAB),
    Row("DELETE", "/rest/bundles",                                "account", 400, CODALAB),
    Row("GET",    f"/rest/bundles/0x{'ab' * 16}",                 "public",  404, CODALAB),
    Row("GET",    f"/rest/bundles/0x{'ab' * 16}/locations/",      "account", 200, CODALAB),
    Row("POST",   f"/rest/bundles/0x{'ab' * 16}/locations/",      "account", 200, CODALAB),
    Row("POST",   "/rest/bundle-permissions",                     "account", 400, CODALAB),
    Row("POST",   "/rest/bundle-actions/",                        "account", 400, CODALAB),
    Row("GET",    "/rest/bundles/locations?uuids=0x1",            "account", 200, CODALAB),
    Row("GET",    "/rest/bundle_stores",                          "account", 200, CODALAB),
    Row("GET",    "/rest/workers/info",                           "account", 200, CODALAB),
]

WORKSHEET = f"/rest/worksheets/0x{'ab' * 16}"
CODALAB_WORKSHEET_CALLS = [
    Row("GET",    "/rest/worksheets?keywords=.mine",              "public",  200, CODALAB),
    Row("POST",   "/rest/worksheets",                             "account", 400, CODALAB),
    Row("PATCH",  "/rest/worksheets/",                            "account", 400, CODALAB),
    Row("DELETE", "/rest/worksheets",                             "account", 400, CODALAB),
    Row("GET",    WORKSHEET,                                      "public",  404, CODALAB),
    Row("POST",   f"{WORKSHEET}/raw",                             "account", 403, CODALAB),
    Row("PUT",    f"{WORKSHEET}/raw",                             "account", 403, CODALAB),
    Row("POST",   f"{WORKSHEET}/add-items",                       "account", 403, CODALAB),
    Row("POST",   "/rest/worksheet-items",                        "account", 400, CODALAB),
    Row("POST",   "/rest/worksheet-permissions",                  "account", 400, CODALAB),
    Row("GET",    f"/rest/interpret/worksheet/0x{'ab' * 16}",     "public",  404, CODALAB),
    Row("POST",   "/rest/interpret/search",                       "account", 400, CODALAB),
    Row("POST",   "/rest/interpret/wsearch",                      "account", 400, CODALAB),
    Row("POST",   "/rest/interpret/file-genpaths",                "account", 400, CODALAB),
    Row("POST",   "/rest/interpret/genpath-table-contents",       "account", 400, CODALAB),
]

CODALAB_ACCOUNT_CALLS = [
    Row("GET",    "/rest/user",                                   "account", 200, CODALAB),
    Row("PATCH",  "/rest/user/",                                  "account", 400, CODALAB),
    Row("PATCH",  "/rest/user/increment_disk_used",               "account", 400, CODALAB),
    Row("GET",    "/rest/users",                                  "admin",   200, CODALAB),
    Row("PATCH",  "/rest/users",                                  "admin",   400, CODALAB),
    Row("DELETE", "/rest/users/",                                 "account", 400, CODALAB),
    Row("GET",    "/rest/users/nobody",                           "public",  404, CODALAB),
    Row("GET",    "/rest/groups/",                                "account", 200, CODALAB),
    Row("POST",   "/rest/groups",                                 "account", 400, CODALAB),
    Row("DELETE", "/rest/groups",                                 "account", 400, CODALAB),
    Row("GET",    "/rest/groups/nothing",                         "account", 404, CODALAB),
    Row("POST",   "/rest/groups/nothing/relationships/members",   "account", 400, CODALAB),
    Row("DELETE", "/rest/groups/nothing/relationships/admins",    "account", 400, CODALAB),
]
# fmt: on

CODALAB_CALLS = [*CODALAB_ACCOUNT_CALLS, *CODALAB_BUNDLE_CALLS, *CODALAB_CONTENT_CALLS, *CODALAB_WORKSHEET_CALLS]
CALLS = [*COSPHERE_CALLS, *DRAGON_CALLS, *DOWNLOADS_CALLS, *SAMPLES_CALLS, *CODALAB_CALLS]
