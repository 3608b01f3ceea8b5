"""Which passwords are taken for an account: long enough in characters, and not what guessing begins with."""

from __future__ import annotations

from typing import Any

import pytest
from argon2 import PasswordHasher
from support import Api

from cosphere_jupyter.accounts.common_passwords import is_common
from cosphere_jupyter.accounts.passwords import Passwords, check_password
from cosphere_jupyter.errors import FieldsInvalid

TOO_COMMON = ["This password is too common."]
TOO_SHORT = ["Ensure this field has at least 8 characters."]

COMMON = """
    password Password1 p@ssw0rd P@ssw0rd1! passw0rd123 passwordpassword 12345678 123456789 87654321 11111111 19841224
    qwertyui qwertyuiop qwerty123 1q2w3e4r 1qaz2wsx poiuytrewq asdfghjkl abcdefgh abcd1234 abcabcabc test1234 aaaaaaaa
    iloveyou iloveyou! trustno1 sunshine Summer2026 $ummer2026 welcome1 letmein! changeme administrator admin123
    jupyterlab !!!jupyter!!! monkey12 dragon2000 00000000 abababab ________ qqqqwwww qwertz12
""".split()
GOOD = [
    "analytical",
    "long enough",
    "correct horse battery staple",
    "a canary in a mine",
    "another password",
    "Zo\u00eb und Zoe\u0308",
    "tr0ub4dor&3",
    "\u00e9t\u00e9 \u00e0 la mer",
    "\u5bc6\u7801\u5f88\u957f\u5f88\u96be\u731c\u5440",
    "314159265358979",
    "x7$kQ2!m",
    "dragonfly over the pond",
]


@pytest.mark.parametrize("password", [*COMMON, " " * 8, "        a", "pass word", "\u00df" * 9])
def test_what_guessing_begins_with_is_refused(password: str) -> None:
    assert is_common(password)
    with pytest.raises(FieldsInvalid) as refused:
        check_password(password)
    assert refused.value.errors == {"password": TOO_COMMON}


@pytest.mark.parametrize("password", GOOD)
def test_what_nobody_tries_first_is_taken(password: str) -> None:
    assert len(check_password(password)) >= 8


def test_lengths_are_counted_in_characters() -> None:
    # Eight bytes and more, and not eight characters.
    for short in ("\u00e9t\u00e9 bl\u00e9", "\U0001f986\U0001f40e\U0001f427", "\u5bc6\u7801\u5f88\u957f"):
        with pytest.raises(FieldsInvalid) as refused:
            check_password(short)
        assert refused.value.errors == {"password": TOO_SHORT}
    long = "\U0001f986\U0001f40e\U0001f427\u5bc6 and so on, " * 100
    assert check_password(long[:1024]) == long[:1024]
    with pytest.raises(FieldsInvalid):
        check_password(long[:1025])


async def test_over_http_weak_passwords_are_told_by_their_field(owner: Api) -> None:
    for password, messages in (("password", TOO_COMMON), (" " * 8, TOO_COMMON), ("\u00e9t\u00e9 bl\u00e9", TOO_SHORT)):
        values = {"email": "new@lab.example", "password": password}
        answers = [await owner.post("/accounts/", values), await owner.put("/accounts/1", {"password": password})]
        for answer in answers:
            assert (answer.status, answer.event) == (400, "BODY_DID_NOT_VALIDATE")
            assert answer.errors == {"password": messages}


async def test_whoever_has_a_weak_password_from_before_can_still_sign_in() -> None:
    passwords = Passwords()
    try:
        for weak in ("password", "short", "12345678"):
            stored = PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1).hash(weak)
            verified: Any = await passwords.verify(stored, weak)
            assert verified[0] is True, weak
    finally:
        passwords.close()
