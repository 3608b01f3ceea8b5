"""Profiles of generated tables, compared with what plain Python says of the same rows."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
KINDS = {
    "INTEGER": (st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1)), pa.int64()),
    "FLOAT": (st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1e300, -1e300]), st.floats()), pa.float64()),
    # Without U+0000: such texts stand in no distribution, see the tests of odd data.
    "STRING": (st.one_of(st.sampled_from(["a", "b", ""]), TEXTS), pa.string()),
    "BOOLEAN": (st.booleans(), pa.bool_()),
    "DATETIME": (
        st.integers(0, 50).map(lambda hours: datetime(2013, 1, 1) + timedelta(hours=hours)),
        pa.timestamp("us"),
    ),
}
numbers = itertools.count()


@st.composite
def columns(draw):
    """One or more columns of equal length, with or without NULLs."""
    rows = draw(st.integers(0, 250))
    found = {}
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(list(KINDS)))
        values, _ = KINDS[kind]
        some = draw(st.lists(st.one_of(st.none(), values) if draw(st.booleans()) else values, min_size=1, max_size=30))
        dice = draw(st.randoms(use_true_random=False))
        found[f"{kind.lower()}-{index}"] = (kind, draw(st.booleans()), dice.choices(some, k=rows))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(columns())
def test_a_profile_says_what_the_rows_say(shared_lab, drawn):
    arrays = {name: pa.array(values, KINDS[kind][1]) for name, (kind, _, values) in drawn.items()}
    source = shared_lab.parquet(f"{next(numbers)}.parquet", arrays)
    spec = [
        {"name": name, "type": kind, "size": None, "is_enum": is_enum, "is_nullable": False, "distribution": None}
        for name, (kind, is_enum, _) in drawn.items()
    ]
    found = shared_lab.profile(source, spec)
    assert found.rows == len(next(iter(drawn.values()))[2])
    for name, (kind, is_enum, values) in drawn.items():
        check_column(found, name, kind, is_enum, values)
    check_sample(found, drawn)
    (shared_lab.data / source).unlink()


def check_column(found, name, kind, is_enum, values):
    present = [shown(kind, value) for value in values if value is not None]
    usable = [value for value in present if not isinstance(value, float) or math.isfinite(value)]
    nulls = len(values) - len(present)
    facts, entries = found.facts[name], found.distribution(name)
    assert found.columns[name]["is_nullable"] is (nulls > 0)
    assert (facts["usable"], facts["distinct"]) == (len(usable), len(set(usable)))
    assert (facts["least"], facts["greatest"]) == ((min(usable), max(usable)) if usable else (None, None))
    assert [count for value, count in entries if value is None] == ([nulls] if nulls else [])
    counted = [(value, count) for value, count in entries if value is not None]
    assert all(type(count) is int and count > 0 for _, count in entries)
    assert sum(count for _, count in counted) == len(usable)
    if kind == "DATETIME" and not is_enum:
        check_moments([entry for entry in found.columns[name]["distribution"] if "end" in entry], counted, usable)
    elif kind in ("INTEGER", "FLOAT") and not is_enum:
        check_bins(kind, counted, usable)
    else:
        assert counted == sorted(Counter(usable).items(), key=lambda entry: (-entry[1], entry[0]))
        assert [count for _, count in entries] == sorted((count for _, count in entries), reverse=True)
    if usable and kind != "BOOLEAN":
        assert facts["quantiles"][0] == min(usable) and facts["quantiles"][-1] == max(usable)
        assert facts["quantiles"] == sorted(facts["quantiles"]) and set(facts["quantiles"]) <= set(usable)


def check_bins(kind, counted, usable):
    edges = [value for value, _ in counted]
    assert len(edges) <= 100 and edges == sorted(set(edges))
    assert all(type(edge) is (int if kind == "INTEGER" else float) for edge in edges)
    if usable:
        assert edges[0] == min(usable)
        # Each value lies in the bin whose edge is the greatest that is not above it.
        assert Counter(edges[bisect_right(edges, value) - 1] for value in usable) == Counter(dict(counted))
        width = (max(usable) - min(usable)) / 100
        if kind == "INTEGER":
            steps = {edge - min(usable) for edge in edges}
            assert len(steps) == 1 or math.gcd(*steps) >= width
        elif math.isfinite(width) and width > 1e-300:
            places = [(edge - min(usable)) / width for edge in edges]
            assert all(place == pytest.approx(round(place), abs=1e-3) for place in places)


def check_moments(bins, counted, usable):
    assert [(entry["value"], entry["count"]) for entry in bins] == counted
    assert len(bins) <= 100
    if usable:
        edges = [datetime.fromisoformat(entry["value"]) for entry in bins]
        moments = [datetime.fromisoformat(text) for text in usable]
        assert edges == sorted(set(edges)) and edges[0] <= min(moments)
        assert Counter(bisect_right(edges, moment) - 1 for moment in moments) == Counter(
            {place: entry["count"] for place, entry in enumerate(bins)}
        )
        assert all(before["end"] <= after["value"] for before, after in itertools.pairwise(bins))
        assert bins[-1]["end"] == max(usable)
        widths = {
            datetime.fromisoformat(entry["end"]) - edge for entry, edge in zip(bins[:-1], edges[:-1], strict=True)
        }
        assert len(widths) <= 1


def check_sample(found, drawn):
    names = list(drawn)
    rows = list(zip(*(drawn[name][2] for name in names), strict=True))
    possible = Counter()
    for row in rows:
        cells = [cell(drawn[name][0], value) for name, value in zip(names, row, strict=True)]
        if all(
            value is not None or found.columns[name]["is_nullable"] for name, value in zip(names, cells, strict=True)
        ):
            possible[tuple(cells)] += 1
    shown_rows = Counter(tuple(row[name] for name in names) for row in found.sample)
    assert shown_rows <= possible
    assert len(found.sample) == min(100, possible.total())


def shown(kind, value):
    if kind == "DATETIME":
        return value.isoformat()
    return value + 0.0 if kind == "FLOAT" else value


def cell(kind, value):
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return shown(kind, value)
