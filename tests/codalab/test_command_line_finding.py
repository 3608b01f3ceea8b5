"""The command line ``cl`` again: finding bundles, deleting them, worksheets, groups and permissions."""

from __future__ import annotations

import pytest
from codalab.command_line import NOBODY, CommandLine, server_of_rosa_and_otto, signed_in, tar_gz

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with server_of_rosa_and_otto(tmp_path_factory.mktemp("finding")) as running:
        yield running


@pytest.fixture(scope="module")
def rosa(server) -> CommandLine:
    return signed_in(server, "rosa")


@pytest.fixture(scope="module")
def otto(server) -> CommandLine:
    return signed_in(server, "otto")


class Shelf:
    """Bundles of rosa's, in this order: small.txt, big.txt, tree, copy (a make of tree), count (a run), failing."""

    def __init__(self, rosa: CommandLine) -> None:
        self.small = rosa.upload("small.txt", b"12345", "small.txt", unpack=0)
        self.big = rosa.upload("big.txt", b"x" * 5000, "big.txt", unpack=0)
        self.tree = rosa.upload("tree", tar_gz(**{"a.txt": "A\n"}), "tree.tar.gz", is_dir=1)
        self.copy = rosa.make(("a", self.tree, "a.txt"), name="copy")
        self.count = rosa.run("wc -c < in", ("in", self.small), name="count", tags=["zählen", "ml"])
        self.failing = rosa.run("exit 1", ("in", self.small), ("other", self.big), name="failing")
        for uuid in (self.copy, self.count, self.failing):
            rosa.wait(uuid)


@pytest.fixture(scope="module")
def shelf(rosa) -> Shelf:
    return Shelf(rosa)


ALL = ["small.txt", "big.txt", "tree", "copy", "count", "failing"]
# Keywords, and the names that they find; ``{…}`` stand for what is known only then. A set: in any order.
SEARCHES = [
    (["small"], {"small.txt"}),
    (["SMALL"], {"small.txt"}),
    (["{small}"], {"small.txt"}),
    (["{small_prefix}"], {"small.txt"}),
    (["uuid={small}"], {"small.txt"}),
    (["uuid={small_prefix}"], set()),
    (["uuid={small_prefix}.*"], {"small.txt"}),
    (["uuid={small_prefix}%"], {"small.txt"}),
    (["name=tree"], {"tree"}),
    (["name=%.txt"], {"small.txt", "big.txt"}),
    (["name=.*REE"], {"tree"}),
    (["name=tree,copy"], {"tree", "copy"}),
    (["=wc -c"], {"count"}),
    (["state=failed"], {"failing"}),
    (["state=ready", "txt"], {"small.txt", "big.txt"}),
    (["bundle_type=make"], {"copy"}),
    (["type=run"], {"count", "failing"}),
    (["command=exit 1"], {"failing"}),
    (["command=.*wc.*"], {"count"}),
    (["tags=ml"], {"count"}),
    (["tags=zählen"], {"count"}),
    (["exitcode=1"], {"failing"}),
    (["data_size=5"], {"small.txt"}),
    (["no_such_key=x"], set()),
    (["owner=rosa", "small"], {"small.txt"}),
    (["owner=nobody-at-all"], set()),
    (["dependency={small}"], {"count", "failing"}),
    (["dependency/other={big}"], {"failing"}),
    (["dependency/other={small}"], set()),
    (["host_worksheet={worksheet}", "type=dataset"], {"small.txt", "big.txt", "tree"}),
    (["worksheet={worksheet}", "type=make"], {"copy"}),
    ([".mine"], set(ALL)),
    ([".mine", ".floating"], set()),
    ([".mine", "id=.sort"], ALL),
    ([".mine", "id=.sort-"], ALL[::-1]),
    ([".mine", ".last", ".limit=2"], ["failing", "count"]),
    ([".mine", "id=.sort", ".limit=2", ".offset=1"], ["big.txt", "tree"]),
    (["type=dataset", "size=.sort-", ".limit=2"], ["big.txt", "small.txt"]),
    ([".mine", "name=.sort", ".limit=2"], ["big.txt", "copy"]),
    ([".before=2001-01-01"], set()),
    ([".mine", ".after=2001-01-01"], set(ALL)),
    ([".mine", ".count"], 6),
    (["type=run", ".count"], 2),
    (["type=dataset", "size=.sum"], 5007),
    (["name=big.txt", "size=.sum", ".format=size"], "4.9k"),
]


@pytest.mark.parametrize(("keywords", "wanted"), SEARCHES, ids=[" ".join(each) for each, _ in SEARCHES])
def test_keywords(rosa, shelf, keywords, wanted):
    known = {"small": shelf.small, "small_prefix": shelf.small[:12], "big": shelf.big, "worksheet": rosa.worksheet}
    found = rosa.search(*(each.format(**known) for each in keywords))
    assert (set(found) if isinstance(wanted, set) else found) == wanted


def test_bad_keywords_are_refused_in_words(rosa, shelf):
    for keywords, said in [
        ([".before=yesterday"], "Unable to parse datetime."),
        ([".limit=x"], ""),
        (["group=no-such-group"], "Found no group with name"),
    ]:
        status, text = rosa.refused("GET", "/bundles", [("keywords", each) for each in keywords])
        assert status in (400, 404) and text.startswith(said), text
    nothing = rosa.refused("GET", "/bundles")
    assert nothing == (400, "Request must include either 'keywords' or 'specs' query parameter")


def test_specs(rosa, shelf):
    def find(*specs):
        query = [("worksheet", rosa.worksheet), *(("specs", spec) for spec in specs)]
        return [each["id"] for each in rosa.json("GET", "/bundles", query)["data"]]

    assert find(shelf.tree, "tree", "^", "^2", "sm%", shelf.big[:10], "home-rosa/copy", "failing^1") == [
        *(shelf.tree, shelf.tree, shelf.failing, shelf.count, shelf.small, shelf.big, shelf.copy, shelf.failing)
    ]
    for spec, answer in [
        ("foo", (404, "bundle spec foo doesn't match any bundles")),
        ("0xffffffff", (404, "uuid prefix 0xffffffff doesn't match any bundles")),
        ("^99", (400, "6 bundles, index 99 out of bounds")),
        ("tree^9", (400, "bundle spec tree matches 1 bundles, index 9 out of bounds")),
        ("a b", (400, "Invalid bundle_spec: a b")),
    ]:
        assert rosa.refused("GET", "/bundles", [("worksheet", rosa.worksheet), ("specs", spec)]) == answer


def test_descendants_follow_what_is_asked_for(rosa, shelf):
    found = rosa.json("GET", "/bundles", [("specs", shelf.small), ("depth", 1)])["data"]
    first, *others = [each["id"] for each in found]
    assert first == shelf.small and set(others) == {shelf.count, shelf.failing}


def test_deleting_has_its_guards(rosa, shelf):
    data = [{"type": "bundles", "id": shelf.small}]
    status, text = rosa.refused("DELETE", "/bundles", (), data)
    assert status == 400
    assert text.startswith(f"Can't delete bundles {shelf.small} because the following bundles depend on them:\n  ")
    assert f"count({shelf.count})" in text and f"failing({shelf.failing})" in text
    assert set(rosa.rm(shelf.small, recursive=1, dry_run=1)) == {shelf.small, shelf.count, shelf.failing}
    assert rosa.search("name=small.txt") == ["small.txt"]
    # On two worksheets.
    made = rosa.json("POST", "/worksheets", (), [{"type": "worksheets", "attributes": {"name": "second"}}])
    second = made["data"][0]["id"]
    item = {
        "type": "worksheet-items",
        "attributes": {"type": "bundle", "value": None},
        "relationships": {
            "worksheet": {"data": {"type": "worksheets", "id": second}},
            "bundle": {"data": {"type": "bundles", "id": shelf.copy}},
        },
    }
    rosa.json("POST", "/worksheet-items", [("uuid", second)], [item])
    status, text = rosa.refused("DELETE", "/bundles", (), [{"type": "bundles", "id": shelf.copy}])
    assert status == 400 and "because it appears in multiple worksheets (--force to override):" in text
    assert f"second({second})" in text and f"home-rosa({rosa.worksheet})" in text
    assert rosa.rm(shelf.copy, force=1) == [shelf.copy]
    assert rosa.refused("GET", f"/bundles/{shelf.copy}") == (404, f"Bundle {shelf.copy} not found")
    before = rosa.json("GET", "/user")["data"]["attributes"]["disk_used"]
    extra = rosa.upload("extra", b"e" * 1000, "extra", unpack=0)
    assert rosa.rm(extra, data_only=1) == [extra]
    emptied = rosa.attributes(extra)
    assert (emptied["state"], emptied["metadata"]["data_size"]) == ("ready", 0)
    assert rosa.refused("GET", f"/bundles/{extra}/contents/info/")[0] == 404
    assert rosa.rm(extra) == [extra]
    assert rosa.json("GET", "/user")["data"]["attributes"]["disk_used"] == before
    assert rosa.refused("DELETE", "/bundles", (), [{"type": "bundles", "id": NOBODY}])[0] == 403
    wrong = rosa.refused("DELETE", "/bundles", (), [{"type": "worksheets", "id": shelf.big}])
    assert wrong == (400, "type must be 'bundles'")


def test_worksheets_hold_text_and_bundles(rosa, shelf):
    made = rosa.json("POST", "/worksheets", (), [{"type": "worksheets", "attributes": {"name": "paper"}}])
    paper = made["data"][0]["id"]
    rosa.work("paper")
    try:
        source = f"# Grüße\n[big]{{{shelf.big}}}\n% display table a b\n// seen by nobody\n{{{{home-rosa}}}}"
        sent = rosa.call("POST", f"/worksheets/{paper}/raw", (), source.encode(), Content_Type="text/plain")
        assert sent.status == 204, sent.text
        assert [kind for kind, _ in rosa.items()] == ["markup", "bundle", "directive", "directive", "worksheet"]
        shown = rosa.call("GET", f"/interpret/worksheet/{paper}")
        assert shown.status == 200 and "# Grüße" in shown.text
        change = {"type": "worksheets", "id": paper, "attributes": {"title": "Über alles", "tags": ["a", "b"]}}
        changed = rosa.json("PATCH", "/worksheets", (), [change])["data"][0]["attributes"]
        assert (changed["title"], sorted(changed["tags"])) == ("Über alles", ["a", "b"])
        data = [{"type": "worksheets", "id": paper}]
        status, text = rosa.refused("DELETE", "/worksheets", (), data)
        assert (status, text) == (400, f"Can't delete worksheet {paper} because it is not empty (--force to override).")
        removed = rosa.call(
            "DELETE", "/worksheets", [("force", 1)], b'{"data":[{"type":"worksheets","id":"%s"}]}' % paper.encode()
        )
        assert removed.status == 200
        assert rosa.refused("GET", f"/worksheets/{paper}")[0] in (403, 404)
    finally:
        rosa.work()


def test_what_a_group_may_do(rosa, otto, shelf):
    def permit(uuid, group, permission, kind="bundle"):
        row = {
            "type": f"{kind}-permissions",
            "attributes": {"permission": permission},
            "relationships": {
                kind: {"data": {"type": f"{kind}s", "id": uuid}},
                "group": {"data": {"type": "groups", "id": group}},
            },
        }
        rosa.json("POST", f"/{kind}-permissions", (), [row])

    otto_id = otto.json("GET", "/user")["data"]["id"]
    group = rosa.json("POST", "/groups", (), [{"type": "groups", "attributes": {"name": "team"}}])["data"][0]
    again = rosa.refused("POST", "/groups", (), [{"type": "groups", "attributes": {"name": "team"}}])
    assert again == (409, "Group with name team already exists")
    member = {"type": "users", "id": otto_id}
    rosa.json("POST", "/groups/team/relationships/members", (), member)
    # The home worksheet is everybody's to read, and so are its bundles, until rosa says otherwise.
    public = rosa.read(shelf.big)["relationships"]["group_permissions"]["data"]
    assert public
    everyone = next(each for each in rosa.json("GET", "/groups")["data"] if each["attributes"]["name"] == "public")
    permit(shelf.big, everyone["id"], 0)
    status, text = otto.refused("GET", f"/bundles/{shelf.big}/contents/blob/")
    said = f"User otto({otto_id}) does not have sufficient permissions on bundle {shelf.big} (have none, need read)."
    assert (status, text) == (403, said)
    masked = otto.attributes(shelf.big)
    assert (masked["bundle_type"], masked["metadata"]["name"], masked["state"]) == ("private", "<private>", None)
    permit(shelf.big, group["id"], 1)
    assert otto.blob(shelf.big).status == 200
    assert otto.search(".shared") == ["big.txt"] and otto.search("group=team") == ["big.txt"]
    used = otto.run("wc -c < in", ("in", shelf.big), name="borrowed")
    assert otto.wait(used)["state"] == "ready" and otto.cat(used, "stdout").strip() == "5000"
    change = {"type": "bundles", "id": shelf.big, "attributes": {"metadata": {"description": "mine"}}}
    status, text = otto.refused("PATCH", "/bundles", (), [change])
    assert (status, text.endswith("(have read, need all).")) == (403, True)
    permit(shelf.big, group["id"], 2)
    otto.json("PATCH", "/bundles", (), [change])
    body = b'{"data":{"type":"users","id":"%s"}}' % otto_id.encode()
    gone = rosa.call("DELETE", "/groups/team/relationships/members", (), body, Content_Type="application/json")
    assert gone.status == 204
    assert otto.refused("GET", f"/bundles/{shelf.big}/contents/blob/")[0] == 403
    # What otto has made of it is his; a new run of it is refused by its words.
    late = otto.wait(otto.run("true", ("in", shelf.big), name="late"))
    assert (late["state"], late["metadata"]["failure_message"]) == ("failed", said)
