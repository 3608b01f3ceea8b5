"""Signed links: one file, for a while, unforgeable."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from cosphere_jupyter.errors import AccessDenied
from cosphere_jupyter.results.links import LinkSigner

KEY = b"k" * 32


def parts(link):
    query = parse_qs(urlsplit(link).query)
    return query["expires"][0], query["signature"][0]


def test_a_link_is_good_for_its_own_file_only():
    signer = LinkSigner(KEY, 60)
    expires, signature = parts(signer.sign("name", "file"))
    signer.check("name", "file", expires, signature)
    for name, file in (("name", "other"), ("other", "file"), ("name\nfile", ""), ("", "name\nfile")):
        with pytest.raises(AccessDenied):
            signer.check(name, file, expires, signature)


def test_a_link_cannot_be_prolonged_or_guessed():
    signer = LinkSigner(KEY, 60)
    expires, signature = parts(signer.sign("name", "file"))
    for when, what in ((str(int(expires) + 1), signature), (expires, signature[:-1]), (expires, ""), (expires, "ü")):
        with pytest.raises(AccessDenied, match="not signed"):
            signer.check("name", "file", when, what)


def test_a_link_expires():
    signer = LinkSigner(KEY, -1)
    with pytest.raises(AccessDenied, match="expired"):
        signer.check("name", "file", *parts(signer.sign("name", "file")))


def test_another_workspace_does_not_take_it():
    link = parts(LinkSigner(KEY, 60).sign("name", "file"))
    with pytest.raises(AccessDenied):
        LinkSigner(b"x" * 32, 60).check("name", "file", *link)
