"""Profiles of what tables really hold: nothing, only NULLs, constants, 64-bit edges, NaN, long and odd texts."""

from __future__ import annotations

import datetime
import itertools
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosphere_jupyter.errors import ExecutionError


def column(name, type, **others):
    return {
        "name": name,
        "type": type,
        "size": None,
        "is_enum": False,
        "is_nullable": False,
        "distribution": None,
        **others,
    }


def test_an_empty_table_has_empty_distributions_and_no_sample(lab):
    schema = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("b", pa.bool_())])
    found = lab.profile(lab.parquet("empty.parquet", schema.empty_table()))
    assert (found.rows, found.sample) == (0, [])
    assert {name: each["distribution"] for name, each in found.columns.items()} == {name: [] for name in "ifsb"}
    assert pq.read_metadata(found.stored).num_rows == 0


def test_columns_of_nulls_only_have_one_entry(lab):
    table = {"i": pa.nulls(3, pa.int64()), "f": pa.nulls(3, pa.float64()), "s": pa.nulls(3, pa.string())}
    table |= {"b": pa.nulls(3, pa.bool_()), "t": pa.nulls(3, pa.timestamp("us")), "n": pa.nulls(3)}
    found = lab.profile(lab.parquet("nulls.parquet", table))
    for name in table:
        assert found.distribution(name) == [(None, 3)], name
        assert (found.facts[name]["usable"], found.facts[name]["distinct"], found.facts[name]["least"]) == (0, 0, None)
    assert found.sample == [dict.fromkeys(table)] * 3


def test_a_column_that_holds_nulls_becomes_nullable_and_no_other_does(lab):
    name = lab.parquet("n.parquet", {"a": [1, None, 2], "b": [1, 2, 3]})
    spec = [column("a", "INTEGER"), column("b", "INTEGER")]
    found = lab.profile(name, spec)
    assert {name: each["is_nullable"] for name, each in found.columns.items()} == {"a": True, "b": False}
    assert found.distribution("a") == [(1, 1), (2, 1), (None, 1)]
    assert lab.profile(name, [column("b", "INTEGER", is_nullable=True)]).columns["b"]["is_nullable"] is True


def test_constants_are_one_bin(lab):
    found = lab.profile(lab.parquet("c.parquet", {"i": [7] * 5, "f": [2.5] * 5, "s": ["x"] * 5, "b": [True] * 5}))
    assert found.distribution("i") == [(7, 5)]
    assert found.distribution("f") == [(2.5, 5)]
    assert found.distribution("s") == [("x", 5)]
    assert found.distribution("b") == [(True, 5)]


def test_integers_have_bins_of_a_whole_width_with_the_maximum_in_the_last(lab):
    found = lab.profile(lab.parquet("i.parquet", {"i": list(range(1001)), "few": [n % 7 - 3 for n in range(1001)]}))
    bins = found.distribution("i")
    assert all(type(value) is int and type(count) is int for value, count in bins)
    assert [value for value, _ in bins] == list(range(0, 1001, 11))
    assert [count for _, count in bins] == [11] * 91
    assert found.distribution("few") == [(value, 143) for value in range(-3, 4)]


def test_the_edges_of_64_bits_do_not_overflow(lab):
    edges = [-(2**63), -1, 0, 1, 2**63 - 1]
    table = {"i": pa.array(edges, pa.int64()), "u": pa.array([0, 1, 2**63, 2**64 - 2, 2**64 - 1], pa.uint64())}
    found = lab.profile(lab.parquet("edges.parquet", table))
    for name, values in (("i", edges), ("u", table["u"].to_pylist())):
        bins = found.distribution(name)
        assert sum(count for _, count in bins) == 5
        assert bins[0][0] == min(values)
        assert all(type(value) is int and min(values) <= value <= max(values) for value, _ in bins)
        assert (found.facts[name]["least"], found.facts[name]["greatest"]) == (min(values), max(values))
        assert sorted(row[name] for row in found.sample) == sorted(values)


def test_integers_beyond_64_bits_are_null_in_the_sample_and_in_no_bin(lab):
    lab.duckdb("h.duckdb", "CREATE TABLE t AS SELECT unnest([1::HUGEINT, 2, 1000000000000000000000000000000]) AS h")
    spec = [column("h", "INTEGER", is_nullable=True)]
    found = lab.profile("h.duckdb::t", spec)
    assert found.distribution("h") == [(1, 1), (2, 1)]
    assert sorted([row["h"] for row in found.sample], key=str) == [1, 2, None]
    assert [row["h"] for row in lab.profile("h.duckdb::t", [column("h", "INTEGER")]).sample] == [1, 2]


def test_nan_and_infinities_are_null_in_the_sample_and_in_no_bin(lab):
    values = [1.0, math.nan, math.inf, -math.inf, 3.0, None]
    name = lab.parquet("f.parquet", {"f": values, "e": [2.0, math.nan, 2.0, -0.0, 0.0, 2.0]})
    found = lab.profile(name, [column("f", "FLOAT"), column("e", "FLOAT", is_enum=True, is_nullable=True)])
    assert found.distribution("f") == [(1.0, 1), (2.98, 1), (None, 1)]
    assert found.distribution("e") == [(2.0, 3), (0.0, 2)]
    assert [row["f"] for row in found.sample] == [1.0, None, None, None, 3.0, None]
    assert [row["e"] for row in found.sample] == [2.0, None, 2.0, 0.0, 0.0, 2.0]


def test_rows_with_what_json_cannot_hold_are_left_out_where_null_is_not_allowed(lab):
    name = lab.parquet("f.parquet", {"f": [1.0, math.nan, 3.0]})
    found = lab.profile(name, [column("f", "FLOAT")])
    assert found.sample == [{"f": 1.0}, {"f": 3.0}]
    assert found.columns["f"]["is_nullable"] is False
    assert lab.profile(lab.parquet("g.parquet", {"f": [math.nan] * 2}), [column("f", "FLOAT")]).sample == []


@pytest.mark.parametrize(
    "values",
    [
        [-1.7976931348623157e308, 0.0, 1.7976931348623157e308],
        [5e-324, 1e-323, 1.5e-323],
        [0.0, 5e-324],
        [1e16, 1e16 + 2, 1e16 + 4],
        [-0.0, 0.0],
        [0.1, 0.1 + 2**-56, 0.2],
    ],
)
def test_ranges_at_the_limits_of_floats_have_bins(lab, values):
    found = lab.profile(lab.parquet("f.parquet", {"f": values}), [column("f", "FLOAT")])
    bins = found.distribution("f")
    assert sum(count for _, count in bins) == len(values)
    edges = [value for value, _ in bins]
    assert edges == sorted(set(edges)) and edges[0] == min(values)
    assert all(type(edge) is float and edge <= max(values) for edge in edges)


def test_whole_floats_stay_floats(lab):
    found = lab.profile(lab.parquet("f.parquet", {"f": [18.0, 19.0]}))
    assert all(type(row["f"]) is float for row in found.sample)
    assert all(type(value) is float for value, _ in found.distribution("f"))


def test_dates_and_times_are_iso_texts(lab):
    utc = datetime.timezone.utc
    moment = datetime.datetime(2013, 1, 2, 3, 4, 5, 600000)
    table = {
        "day": pa.array([moment.date()] * 2, pa.date32()),
        "naive": pa.array([moment] * 2, pa.timestamp("us")),
        "aware": pa.array([moment.replace(tzinfo=utc)] * 2, pa.timestamp("us", "Europe/Warsaw")),
        "nano": pa.array([1357095845600000001] * 2, pa.timestamp("ns")),
        "second": pa.array([moment.replace(microsecond=0)] * 2, pa.timestamp("s")),
    }
    found = lab.profile(lab.parquet("t.parquet", table))
    expected = {
        "day": "2013-01-02",
        "naive": "2013-01-02T03:04:05.6",
        "aware": "2013-01-02T03:04:05.6+00:00",
        "nano": "2013-01-02T03:04:05.600000001",
        "second": "2013-01-02T03:04:05",
    }
    assert found.sample[0] == expected
    starts = {**expected, "nano": "2013-01-02T03:04:05.6"}
    for name in table:
        bins = [{"value": starts[name], "end": expected[name], "count": 2}]
        assert found.columns[name]["distribution"] == bins


def test_far_and_infinite_dates_are_texts_as_well(lab):
    lab.duckdb("d.duckdb", "CREATE TABLE t AS SELECT unnest([DATE '-0044-03-15', 'infinity', DATE '9999-12-31']) AS d")
    found = lab.profile("d.duckdb::t")
    assert [count for _, count in found.distribution("d")] == [1, 1, 1]
    assert found.distribution("d")[-1] == ("infinity", 1)
    assert ["end" in entry for entry in found.columns["d"]["distribution"]] == [True, True, False]
    assert all(isinstance(row["d"], str) for row in found.sample)


def test_days_too_far_for_any_clock_are_counted_one_by_one(lab):
    lab.duckdb("f.duckdb", "CREATE TABLE t AS SELECT unnest([DATE '5000000-01-01', DATE '2013-01-01']) AS d")
    found = lab.profile("f.duckdb::t")
    assert dict(found.distribution("d")) == {"2013-01-01": 1, "5000000-01-01": 1}
    assert not any("end" in entry for entry in found.columns["d"]["distribution"])


@pytest.mark.parametrize(
    ("moments", "width", "first"),
    [
        ("TIMESTAMP '2013-01-01 05:00:00' + to_hours(i::INT) FROM range(8760) t(i)", 4 * 86_400, "2013-01-01T00:00:00"),
        ("DATE '2013-05-09' + i::INT FROM range(30) t(i)", 86_400, "2013-05-09"),
        ("TIMESTAMP '1969-12-31 22:10:00' + to_minutes(i::INT) FROM range(600) t(i)", 600, "1969-12-31T22:10:00"),
        ("TIMESTAMPTZ '2013-01-01 00:00:00+01' + to_seconds(i) FROM range(50) t(i)", 0.5, "2012-12-31T23:00:00+00:00"),
        ("TIMESTAMP_S '2013-01-01 00:00:00' + to_seconds(i) FROM range(50) t(i)", 0.5, "2013-01-01T00:00:00"),
        (
            "TIMESTAMP '0001-01-01' + to_years((i * 100)::INT) FROM range(90) t(i)",
            32_507 * 86_400,
            "0001-01-01T00:00:00",
        ),
    ],
)
def test_bins_of_time_begin_and_end_where_people_would_cut(lab, moments, width, first):
    lab.duckdb("m.duckdb", f"CREATE TABLE t AS SELECT {moments}".replace(" FROM", " AS m FROM", 1))
    found = lab.profile("m.duckdb::t")
    bins = found.columns["m"]["distribution"]
    starts = [datetime.datetime.fromisoformat(entry["value"]) for entry in bins]
    ends = [datetime.datetime.fromisoformat(entry["end"]) for entry in bins]
    assert bins[0]["value"] == first
    assert len(bins) <= 100
    assert {(after - before).total_seconds() % width for before, after in itertools.pairwise(starts)} == {0}
    assert all((end - start).total_seconds() == width for start, end in list(zip(starts, ends, strict=True))[:-1])
    assert bins[-1]["end"] == found.facts["m"]["greatest"]
    assert sum(entry["count"] for entry in bins) == found.rows


def test_long_texts_are_cut_and_equal_ones_counted_together(lab):
    name = lab.parquet("s.parquet", {"s": ["a" * 100_000, "a" * 100_001, "ü" * 256, "short"]})
    found = lab.profile(name)
    assert dict(found.distribution("s")) == {"a" * 255 + "…": 2, "ü" * 256: 1, "short": 1}
    assert all(len(row["s"]) <= 500 for row in found.sample)


def test_texts_of_every_kind_pass_unchanged(lab):
    texts = ["", " ", "\n", "'; DROP TABLE x; --", '"', "\\", "null", "NaN", "日本語", "🙂", "e\u0301", "\u2028"]
    found = lab.profile(lab.parquet("s.parquet", {"s": texts}))
    assert found.distribution("s") == [(text, 1) for text in sorted(texts)]
    assert [row["s"] for row in found.sample] == texts


def test_texts_with_a_null_character_are_null_in_the_sample_and_in_no_distribution(lab):
    long = "x" * 600 + "\0"
    words = ["a\0b", "\0", "a", "a", None, long, "b"]
    name = lab.parquet("nul.parquet", {"n": list(range(7)), "s": words, "free": [f"{word}!" for word in words]})
    found = lab.profile(name, [column("n", "INTEGER"), column("s", "STRING", is_enum=True), column("free", "STRING")])
    assert found.distribution("s") == [("a", 2), ("b", 1), (None, 1)]
    assert found.distribution("free") == [("a!", 2), ("None!", 1), ("b!", 1)]
    assert found.facts["s"]["usable"] == 3 and found.columns["s"]["is_nullable"] is True
    # The column ``free`` has no NULLs, so those rows cannot be shown.
    assert [row["n"] for row in found.sample] == [2, 3, 4, 6]
    shown = lab.profile(name, [column("n", "INTEGER"), column("free", "STRING", is_nullable=True)]).sample
    assert [row["free"] for row in shown] == [None, None, "a!", "a!", "None!", None, "b!"]


def test_odd_column_names_are_only_names(lab):
    names = [
        'a"b',
        "a.b",
        "a, b",
        "x y",
        "c0",
        "base",
        "file_row_number",
        "filename",
        "__row",
        "ü",
        "SELECT",
        "v",
        "n'",
    ]
    found = lab.profile(lab.parquet("names.parquet", {name: [index, index + 1] for index, name in enumerate(names)}))
    for index, name in enumerate(names):
        assert found.distribution(name) == [(index, 1), (index + 1, 1)], name
        assert found.facts[name]["curve"][-1] > 0, name
    assert found.sample[0] == {name: index for index, name in enumerate(names)}


def test_nested_columns_are_texts(lab):
    table = {"l": [[1, 2], None, [1, 2]], "s": [{"x": 1, "y": "b"}] * 3, "raw": [b"\x00a", b"b", None]}
    found = lab.profile(lab.parquet("nested.parquet", table))
    assert found.distribution("l") == [("[1, 2]", 2), (None, 1)]
    assert found.distribution("s") == [("{'x': 1, 'y': b}", 3)]
    assert found.distribution("raw") == [("\\x00a", 1), ("b", 1), (None, 1)]
    assert all(facts["curve"][-1] > 0 for facts in found.facts.values())


def test_only_the_columns_of_the_spec_are_looked_at(lab):
    found = lab.profile(lab.parquet("a.parquet", {"a": [1], "b": [2]}), [column("b", "INTEGER", note="kept")])
    assert found.spec == [{**column("b", "INTEGER", note="kept"), "size": found.spec[0]["size"], "distribution": [{"value": 2, "count": 1}]}]  # fmt: skip  # noqa: E501
    assert found.sample == [{"b": 2}]


def test_the_catalogues_type_decides(lab):
    (lab.data / "codes.csv").write_text("code,n\n007,1\n008,2\n")
    found = lab.profile("codes.csv", [column("code", "STRING"), column("n", "FLOAT")])
    assert found.sample == [{"code": "007", "n": 1.0}, {"code": "008", "n": 2.0}]
    assert found.columns["code"]["size"] == 6


def test_a_column_that_the_data_lack_is_an_error_for_people(lab):
    name = lab.parquet("a.parquet", {"a": [1]})
    with pytest.raises(ExecutionError, match=r"no column 'gone'"):
        lab.profile(name, [column("gone", "INTEGER")])


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.duckdb::t", "t.duckdb::v", "t.sqlite::t", "t.sqlite::v"])
def test_every_kind_of_source_gives_the_same_profile(lab, name):
    rows = [(n, n % 3, f"w{n % 2}") for n in range(300)]
    (lab.data / "t.csv").write_text("a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    (lab.data / "t.jsonl").write_text("".join(f'{{"a": {a}, "b": {b}, "c": "{c}"}}\n' for a, b, c in rows))
    values = ", ".join(f"({a}, {b}, '{c}')" for a, b, c in rows)
    create = ("CREATE TABLE t (a BIGINT, b BIGINT, c VARCHAR)", f"INSERT INTO t VALUES {values}")
    lab.duckdb("t.duckdb", *create, "CREATE VIEW v AS SELECT * FROM t")
    lab.sqlite("t.sqlite", *create, "CREATE VIEW v AS SELECT * FROM t")
    found = lab.profile(name)
    assert found.rows == 300
    assert found.distribution("a") == [(value, 3) for value in range(0, 300, 3)]
    assert found.distribution("b") == [(0, 100), (1, 100), (2, 100)]
    assert found.distribution("c") == [("w0", 150), ("w1", 150)]
    assert {each: column["size"] for each, column in found.columns.items()} == {"a": 790, "b": 300, "c": 600}
    assert len(found.sample) == 100 and len({row["a"] for row in found.sample}) == 100


def test_the_size_of_a_parquet_column_is_what_it_takes_in_the_file(lab):
    name = lab.parquet("a.parquet", {"a": list(range(1000)), "s": ["x"] * 1000})
    metadata = pq.read_metadata(lab.data / name).row_group(0)
    found = lab.profile(name)
    sizes = [metadata.column(index).total_compressed_size for index in range(2)]
    assert [column["size"] for column in found.spec] == sizes


def test_a_wide_table_stays_small_enough(lab):
    table = {f"c{index}": [f"{'x' * 400}{row}" for row in range(1200)] for index in range(120)}
    found = lab.profile(lab.parquet("wide.parquet", table))
    assert all(len(column["distribution"]) <= 50_000 // 120 for column in found.spec)
    assert sum(len(value) for row in found.sample for value in row.values()) <= 1_000_000
