"""The line below a request that says how big its result will be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cosphere_jupyter.client.estimates import Estimate
from cosphere_jupyter.client.text import share_text
from cosphere_jupyter.widgets.sizes import Sized, SizeLine


def shown(estimate: Estimate, quota: int | None) -> Any:
    line = SizeLine(SimpleNamespace())
    line.show(Sized(estimate, quota))
    return line


def test_what_nobody_knows_is_neither_a_size_nor_a_part_of_the_quota() -> None:
    unknown = Estimate(0, method="nothing is known of this table")
    for quota in (None, 1_000_000):
        line = shown(unknown, quota)
        assert line.text == "Nobody can tell yet how big it will be"
        assert "cosphere-quota" not in line.value


def test_a_size_is_shown_beside_the_quota() -> None:
    assert shown(Estimate(0, 0, 0, 0), None).text == "About 0 B, 0 rows"
    assert shown(Estimate(500_000), 1_000_000).text == f"About 500 kB, {share_text(1, 2)} of your disk quota of 1 MB"
