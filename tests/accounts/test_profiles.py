"""Profiles: every account has one, its user name is one word and nobody else's, and ids go there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support import Api

from cosphere_jupyter.accounts.profiles import (
    account_id_of,
    account_named,
    is_name,
    make_missing_profiles,
    read_profiles,
    user_id_of,
)


async def user_name(services: Any, account_id: int) -> str:
    found = await services.database.read(lambda connection: read_profiles(connection, [account_id]))
    return str(found[account_id].user_name)


@given(st.integers(1, 2**53 - 1))
def test_ids_of_users_are_those_of_accounts_written_otherwise(account_id: int) -> None:
    assert account_id_of(user_id_of(account_id)) == account_id


@given(st.text(max_size=40) | st.from_regex(r"0x[0-9a-fA-F]{30,34}", fullmatch=True))
def test_only_the_one_way_to_write_an_id_is_an_id(text: str) -> None:
    found = account_id_of(text)
    assert found is None or user_id_of(found) == text


def test_the_first_account_is_root() -> None:
    assert user_id_of(1) == "0" and account_id_of("0") == 1
    assert account_id_of(f"0x{1:032x}") is None and account_id_of("1") is None


async def test_an_account_is_called_by_its_name_or_else_by_its_address(
    services: Any, sign_up: Callable[..., Any]
) -> None:
    cases = [
        ("ada@lab.example", "ada_l", "ada_l"),
        ("bob@lab.example", "Bob Dylan", "bob"),
        ("bob@mill.example", "", "bob-{id}"),
        ("bob@mine.example", "bob", "bob-{id}"),
        ("two.words+x@lab.example", "", "two.words-x"),
        ("2nd@lab.example", "0", "_2nd"),
        ("jürgen@lab.example", "Jürgen", "j-rgen"),
        ("carl@lab.example", "bob", "carl"),
        ("dora@lab.example", "x" * 256, "x" * 256),
    ]
    for email, name, expected in cases:
        account = (await sign_up(email, name=name)).account
        assert await user_name(services, account["id"]) == expected.format(id=account["id"]), email


async def test_many_of_one_name_are_all_called_differently(services: Any, sign_up: Callable[..., Any]) -> None:
    names = set()
    for number in range(8):
        account = (await sign_up(f"sam@lab{number}.example", name="sam" if number % 2 else f"sam-{number + 2}")).account
        names.add(await user_name(services, account["id"]))
    assert len(names) == 8 and all(map(is_name, names))


async def test_the_owner_has_a_profile_from_the_start(services: Any, owner: Api) -> None:
    assert is_name(await user_name(services, owner.account["id"]))


async def test_accounts_without_a_profile_get_one_and_the_others_keep_theirs(services: Any, researcher: Api) -> None:
    before = await user_name(services, researcher.account["id"])

    def forget(connection: Any) -> None:
        connection.exec_driver_sql("DELETE FROM account_profiles WHERE account_id = 1")

    await services.database.write(forget)
    assert await user_name(services, 1) == "user-1", "it is shown under some name in the meantime"
    for _ in range(2):
        await make_missing_profiles(services.database)
        assert await user_name(services, 1) != "user-1"
        assert await user_name(services, researcher.account["id"]) == before


async def test_accounts_are_found_by_user_name_and_by_id(services: Any, researcher: Api) -> None:
    account_id = researcher.account["id"]

    def find(spec: str) -> Any:
        return services.database.read(lambda connection: account_named(connection, spec))

    for spec in ("rosa", user_id_of(account_id)):
        assert await find(spec) == account_id
    for spec in ("ROSA", str(account_id), "rosa@lab.example", "", f"0x{account_id:x}", user_id_of(99), "\0"):
        assert await find(spec) is None, spec


async def test_profiles_of_many_are_read_at_once(services: Any, researcher: Api) -> None:
    def read(connection: Any) -> Any:
        return (
            read_profiles(connection, range(1, 20_000)),
            read_profiles(connection, None),
            read_profiles(connection, []),
        )

    many, all_of_them, none = await services.database.read(read)
    assert many == all_of_them and set(many) == {1, researcher.account["id"]} and none == {}
