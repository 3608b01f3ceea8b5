"""The bytes of bundles: the rows of ``contents/blob`` of the API's semantics, over HTTP."""

from __future__ import annotations

import gzip
import os
from typing import Any

import pytest
from codalab.bytes_of import COMMAND_LINE, CONTENTS, Shelf, tar_of, told, tree, unpacked
from support import Answer


def headers_of(answer: Answer) -> dict[str, str]:
    names = ("Content-Type", "Content-Disposition", "Target-Type", "X-Codalab-Target-Size")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    return {name: answer.headers[name] for name in names}


def encoding_of(answer: Answer) -> str:
    return str(answer.headers["Content-Encoding"])


# -- blob: files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepts", ["identity", "gzip"])
async def test_a_file_comes_with_all_that_is_known_of_it(shelf: Shelf, accepts: str) -> None:
    uuid = await tree(shelf)
    answer = await shelf.blob(uuid, "a.txt", headers={"Accept-Encoding": accepts})
    assert (answer.status, answer.body, encoding_of(answer)) == (200, b"hello\n", accepts)
    assert headers_of(answer) == {
        "Content-Type": "text/plain",
        "Content-Disposition": 'inline; filename="a.txt"',
        "Target-Type": "file",
        "X-Codalab-Target-Size": "6",
    }
    if accepts == "identity":
        assert answer.headers["Content-Length"] == "6"


async def test_the_encoding_is_what_the_reader_takes(shelf: Shelf) -> None:
    uuid = await shelf.filled(b"x" * 1000, "x.txt")
    for accepts, expected in {
        "": "identity",
        "identity": "identity",
        "gzip;q=0": "identity",
        "gzip; q=0.000": "identity",
        "br, gzip;q=0.5": "gzip",
        "deflate": "identity",
        "GZIP": "gzip",
    }.items():
        answer = await shelf.blob(uuid, headers={"Accept-Encoding": accepts})
        assert (encoding_of(answer), answer.body) == (expected, b"x" * 1000), accepts


async def test_types_and_names_of_files(shelf: Shelf) -> None:
    names = {
        "page.html": "text/html",
        "data.json": "application/json",
        "stdout": "text/plain",
        "x.unknown": "text/plain",
        "log.gz": "application/octet-stream",
        "picture.png": "image/png",
    }
    uuid = await shelf.filled(tar_of(*[(name, b"x") for name in names]), "all.tar.gz")
    for name, expected in names.items():
        answer = await shelf.blob(uuid, name)
        assert answer.headers["Content-Type"] == expected, name
        # A page of a stranger runs nothing, and sees nothing of who opens it.
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    # What is compressed already is sent as it is.
    for name in ("log.gz", "picture.png"):
        answer = await shelf.blob(uuid, name, headers={"Accept-Encoding": "gzip"})
        assert (encoding_of(answer), answer.headers["Content-Length"]) == ("identity", "1"), name


async def test_names_that_no_header_holds_are_told_beside(shelf: Shelf) -> None:
    odd = ['a"b.txt', "a\nSet-Cookie: x=1", "größe.txt", "😀", "a\\b"]
    uuid = await shelf.filled(tar_of(*[(name, b"x") for name in odd]), "odd.tar.gz")
    for name in odd:
        answer = await shelf.blob(uuid, name)
        assert (answer.status, answer.body) == (200, b"x"), name
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Content-Disposition"].count('"') == 2
    named = (await shelf.blob(uuid, "größe.txt")).headers["Content-Disposition"]
    assert named == "inline; filename=\"gr__e.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"


async def test_the_bundles_name_is_that_of_its_root(shelf: Shelf) -> None:
    uuid = await shelf.filled(b"{}", "sent.txt", name="facts.json")
    answer = await shelf.blob(uuid)
    assert headers_of(answer)["Content-Disposition"] == 'inline; filename="facts.json"'
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("accepts", ["identity", "gzip"])
async def test_ranges_are_inclusive_and_empty_behind_the_end(shelf: Shelf, accepts: str) -> None:
    content = bytes(range(256)) * 10
    uuid = await shelf.filled(content, "bytes.bin")
    for start, end in [(0, 0), (0, 9), (100, 299), (2550, 2559), (2550, 99999), (0, 10**15)]:
        headers = {"Range": f"bytes={start}-{end}", "Accept-Encoding": accepts}
        answer = await shelf.blob(uuid, headers=headers)
        assert answer.status in (200, 206), headers
        assert (answer.body, encoding_of(answer)) == (content[start : end + 1], accepts), headers
        if answer.status == 206:
            last = min(end, len(content) - 1)
            assert answer.headers["Content-Range"] == f"bytes {start}-{last}/{len(content)}"
    for start, end in [(2560, 2560), (2560, 9999), (10**15, 10**16), (5, 4)]:
        answer = await shelf.blob(uuid, headers={"Range": f"bytes={start}-{end}", "Accept-Encoding": accepts})
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0"), (start, end)


async def test_what_blob_refuses(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    range_of = {"Range": "bytes=0-1"}
    wrong_range = (400, "Range must be 'bytes=START-END'.")
    for text in (
        "bytes=0-",
        "bytes=-5",
        "bytes=",
        "0-1",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "bits=0-1",
        f"bytes=0-{'9' * 40}",
    ):
        assert told(await shelf.blob(uuid, "a.txt", headers={"Range": text})) == wrong_range, text
    assert told(await shelf.blob(uuid, headers=range_of)) == (400, "Range not supported for directory blobs.")
    no_lines = (400, "Head and tail not supported for directory blobs.")
    assert told(await shelf.blob(uuid, "sub", head=1)) == no_lines
    assert told(await shelf.blob(uuid, "sub", tail=1)) == no_lines
    both = (400, "Head and range not supported on the same request.")
    assert told(await shelf.blob(uuid, "a.txt", headers=range_of, head=1)) == both
    assert told(await shelf.blob(uuid, "a.txt", headers=range_of, tail=1)) == both
    assert told(await shelf.blob(uuid, "a.txt", head="x")) == (400, "Invalid int 'x'")
    assert (await shelf.blob(uuid, "a.txt", head=-1)).status == 400
    assert (await shelf.blob(uuid, "a.txt", head=1, max_line_length=-1)).status == 400
    for name in ("link", "dirlink", "loop"):
        assert told(await shelf.blob(uuid, name)) == (403, "Cannot download files of this type (link)."), name
    for name in ("link/x", "dirlink/inner", "loop/loop"):
        assert told(await shelf.blob(uuid, name)) == (404, f"Path '{name}' in bundle {uuid} not found"), name


async def test_head_and_tail_are_whole_lines(shelf: Shelf) -> None:
    lines = [f"line {n}\n" for n in range(10)]
    uuid = await shelf.filled("".join(lines).encode(), "lines.txt")

    async def ask(**query: Any) -> list[str]:
        answer = await shelf.blob(uuid, headers={"Accept-Encoding": "gzip"}, **query)
        assert (answer.status, encoding_of(answer)) == (200, "gzip")
        assert answer.headers["X-Codalab-Target-Size"] == str(sum(map(len, lines)))
        return answer.body.decode().splitlines(keepends=True)

    assert await ask(head=3) == lines[:3]
    assert await ask(tail=3) == lines[-3:]
    assert await ask(head=2, tail=2, truncation_text="…\n") == [*lines[:2], "…\n", *lines[-2:]]
    assert await ask(head=6, tail=6, truncation_text="…\n") == lines
    assert await ask(head=0, tail=0) == lines
    # Of a file larger than so many letters a line only so many are read, and lines that are cut are dropped.
    assert await ask(head=3, max_line_length=5) == lines[:2]
    assert await ask(tail=3, max_line_length=5) == lines[-2:]
    assert await ask(head=3, tail=3, max_line_length=3, truncation_text="|\n") == [lines[0], "|\n", lines[-1]]
    assert await ask(head=1, max_line_length=3) == []
    unended = await shelf.filled(b"a\nb", "x.txt")
    assert (await shelf.blob(unended, tail=1)).body == b"b\n"
    binary = await shelf.filled(b"\xff\xfe\n" * 5, "x.bin")
    assert (await shelf.blob(binary, head=2)).body == b"<binary>"
    no_lines = await shelf.filled(b"\xff\xfe\x00" * 200, "y.bin")
    assert (await shelf.blob(no_lines, head=2)).body == b"<binary>"
    cut = await shelf.filled(b"one\n" + "ä".encode() * 200, "z.txt")
    assert (await shelf.blob(cut, head=1, max_line_length=5)).body == b"one\n"
    letters = await shelf.filled(("ü" * 200 + "\n").encode() * 20, "x.txt")
    assert (await shelf.blob(letters, head=2, max_line_length=401)).body.decode() == ("ü" * 200 + "\n") * 2


async def test_an_unchanged_file_is_not_sent_again(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    tag = (await shelf.blob(uuid, "a.txt")).headers["Etag"]
    again = await shelf.blob(uuid, "a.txt", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status, again.body) == (304, b"")
    assert (await shelf.blob(uuid, "a.txt", headers={"If-None-Match": '"other"'})).status == 200


async def test_head_requests_have_no_body(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    for path, size in (("a.txt", "6"), ("", "14")):
        where = f"{CONTENTS.format(uuid=uuid)}/blob/{path}"
        answer = await shelf.caller("HEAD", where, headers={**COMMAND_LINE, "Accept-Encoding": "identity"})
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["X-Codalab-Target-Size"] == size if path else True


# -- blob: folders ---------------------------------------------------------------------------------------------------


async def test_a_folder_comes_as_an_archive_with_its_links(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    answer = await shelf.blob(uuid, headers={"Accept-Encoding": "gzip"})
    assert (answer.status, encoding_of(answer)) == (200, "identity")
    assert headers_of(answer) == {
        "Content-Type": "application/gzip",
        "Content-Disposition": 'attachment; filename="tree.tar.gz"',
        "Target-Type": "directory",
        "X-Codalab-Target-Size": str(6 + 3 + 4),
    }
    assert unpacked(answer) == {
        "a.txt": b"hello\n",
        "sub": None,
        "sub/inner": b"\0\1\2",
        "sub/deep": None,
        "sub/deep/x.csv": b"1,2\n",
        "link": "a.txt",
        "dirlink": "sub",
        "loop": "loop",
    }
    below = await shelf.blob(uuid, "sub")
    assert headers_of(below)["Content-Disposition"] == 'attachment; filename="sub.tar.gz"'
    assert below.headers["X-Codalab-Target-Size"] == "0"
    assert set(unpacked(below)) == {"inner", "deep", "deep/x.csv"}


async def test_what_was_downloaded_can_be_uploaded_and_is_the_same(shelf: Shelf) -> None:
    uuid = await tree(shelf)
    again = await shelf.filled((await shelf.blob(uuid)).body, "again.tar.gz")
    assert (await shelf.stored(again)).data_hash == (await shelf.stored(uuid)).data_hash


async def test_a_large_file_comes_whole_in_every_way(shelf: Shelf) -> None:
    content = os.urandom(3_000_000) + bytes(2_000_000)
    uuid = await shelf.filled(content, "big.bin")
    for accepts in ("identity", "gzip"):
        assert (await shelf.blob(uuid, headers={"Accept-Encoding": accepts})).body == content
    part = await shelf.blob(uuid, headers={"Range": "bytes=1000000-3999999", "Accept-Encoding": "identity"})
    assert part.body == content[1_000_000:4_000_000]
    folder = await shelf.filled(tar_of(("big.bin", content)), "big.tar.gz")
    assert unpacked(await shelf.blob(folder)) == {"big.bin": content}


async def test_a_large_file_that_cannot_be_made_smaller_is_sent_as_it_is(shelf: Shelf) -> None:
    dense, text = os.urandom(1_000_000), os.urandom(500_000).hex().encode()
    for content, expected in ((dense, "identity"), (text, "gzip"), (dense[:1000], "gzip")):
        uuid = await shelf.filled(content, "x.bin")
        answer = await shelf.blob(uuid, headers={"Accept-Encoding": "gzip"})
        assert (encoding_of(answer), answer.body) == (expected, content)


def test_a_gzip_stream_is_cut_into_pieces_and_is_whole() -> None:
    from cosphere_jupyter.bundles.reading import gzipped

    content = [os.urandom(200_000) for _ in range(5)]
    pieces = list(gzipped(iter(content)))
    assert gzip.decompress(b"".join(pieces)) == b"".join(content) and len(pieces) > 2
    assert gzip.decompress(b"".join(gzipped([]))) == b""
