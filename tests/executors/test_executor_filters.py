"""Filters against an oracle in plain Python, through files, the engine and back."""

from __future__ import annotations

import math
import operator
import struct
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosphere_jupyter.errors import FieldsInvalid
from cosphere_jupyter.executors.base import OPERATORS, Comparison, Query

COMPARE = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
ODD = [
    "",
    " ",
    "'",
    '"',
    "''",
    "\\",
    "ends\\",
    "\\' OR 1=1 -- ",
    "' OR ''='",
    "o'neil",
    "line\nbreak\r\t",
    "\0",
    "a\0b",
    "%",
    "%%s",
    "_",
    "${env:HOME}",
    "{x}",
    "?",
    "$1",
    ":name",
    "-- comment",
    "/* comment */",
    "; DROP TABLE x",
    "NULL",
    "null",
    "NaN",
    "é",
    "e\u0301",
    "ß",
    "日本",
    "🦆",
    "\U0010ffff",
    "\ufeff",
    "\u202e",
    "x" * 100_000,
    "1",
    "01",
    "1.0",
    "true",
    "2020-01-01",
]
NAMES = ["a", "A", "a b", "a.b", 'q"uote', "o'quote", "`tick`", "", " ", "é", "É", "🦆", "source", "rowid", "select"]
NAMES += [
    "filename",
    "file_row_number",
    "File_Index",
    "__file",
    "__row",
    "%",
    "${env:X}",
    "x\ny",
    "?",
    "$1",
    "--",
    "a\\",
]
texts = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
int64s = st.one_of(
    st.sampled_from([-(2**63), -(2**63) + 1, -(2**53) - 1, -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 2, 2**63 - 1]),
    st.integers(-5, 5),
    st.integers(-(2**63), 2**63 - 1),
)
floats = st.one_of(
    st.sampled_from([-0.0, 0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1, 2.0**53, -1.5]),
    st.floats(allow_nan=False),
)
moments = st.one_of(
    st.sampled_from(
        [
            datetime.min,
            datetime.max,
            EPOCH,
            EPOCH - MICROSECOND,
            datetime(1677, 9, 21),
            datetime(2262, 4, 12),
            datetime(2020, 2, 29),
            datetime(2020, 2, 29, 12, 0, 0, 1),
        ]
    ),
    st.datetimes(),
)


def microseconds(moment):
    return (moment - EPOCH) // MICROSECOND


def float32(value):
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def ticks(low, high, common):
    return st.one_of(common, st.integers(low, high))


# Stored values are what the oracle compares: numbers, text, or integers of the type's own unit of time.
near = moments.map(microseconds)
KINDS = {
    "int64": (pa.int64(), int64s, int64s),
    "int8": (pa.int8(), st.integers(-128, 127), int64s),
    "uint64": (pa.uint64(), st.one_of(st.just(2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 5)), int64s),
    "double": (pa.float64(), st.one_of(floats, st.just(math.nan)), floats),
    "float": (pa.float32(), st.one_of(floats.map(float32), st.just(math.nan)), floats),
    "text": (pa.string(), texts, texts),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), texts, texts),
    "large text": (pa.large_string(), texts, texts),
    "bool": (pa.bool_(), st.booleans(), st.booleans()),
    "date": (pa.date32(), ticks(-(2**31) + 2, 2**31 - 2, near.map(lambda us: us // 86_400_000_000)), moments),
    "ms": (pa.timestamp("ms"), ticks(-(2**53), 2**53, near.map(lambda us: us // 1000)), moments),
    "us": (pa.timestamp("us"), ticks(-(2**62), 2**62, near), moments),
    "ns": (pa.timestamp("ns"), ticks(-(2**63) + 2, 2**63 - 2, st.integers(-5000, 5000)), moments),
    "us utc": (pa.timestamp("us", "UTC"), ticks(-(2**62), 2**62, near), moments),
    "ns zone": (pa.timestamp("ns", "Europe/Warsaw"), ticks(-(2**62), 2**62, st.integers(-5000, 5000)), moments),
}
NANOSECONDS = {"date": 86_400 * 10**9, "ms": 10**6, "us": 1000, "ns": 1, "us utc": 1000, "ns zone": 1}


def is_match(stored, op, value, kind):
    if stored is None or stored != stored:
        return False
    if isinstance(value, datetime):
        return COMPARE[op](stored * NANOSECONDS[kind], microseconds(value) * 1000)
    return COMPARE[op](stored, value)


def arrow(values, kind):
    arrow_type = KINDS[kind][0]
    if kind in NANOSECONDS:
        width = pa.int32() if kind == "date" else pa.int64()
        return (
            pa.array(values, width).cast(arrow_type)
            if "zone" not in kind and "utc" not in kind
            else pa.array(values, width).cast(pa.timestamp(arrow_type.unit)).cast(arrow_type)
        )
    return pa.array(values, pa.string()).cast(arrow_type) if kind == "dictionary" else pa.array(values, arrow_type)


@st.composite
def tables(draw):
    size = draw(st.integers(0, 12))
    columns = []
    for kind in draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)):
        stored = KINDS[kind][1]
        values = draw(st.lists(st.one_of(stored, stored, stored, st.none()), min_size=size, max_size=size))
        columns.append((draw(st.sampled_from(NAMES)), kind, values))
    requests = []
    for _ in range(8):
        filters = []
        for _ in range(draw(st.sampled_from([1, 1, 2]))):
            index = draw(st.integers(0, len(columns) - 1))
            _, kind, values = columns[index]
            value = draw(KINDS[kind][2])
            # Values which are in the table are the interesting ones.
            if values and draw(st.booleans()):
                found = draw(st.sampled_from(values))
                if (
                    kind in ("text", "dictionary", "large text", "bool", "double", "float") and found == found
                ) or kind in ("int8", "int64"):
                    value = value if found is None else found
                elif kind in NANOSECONDS and found is not None:
                    tick = found * NANOSECONDS[kind] // 1000
                    if microseconds(datetime.min) <= tick <= microseconds(datetime.max):
                        value = EPOCH + tick * MICROSECOND
            operators = ("=", "!=") if kind == "bool" else OPERATORS
            filters.append((index, draw(st.sampled_from(operators)), value))
        requests.append(filters)
    return size, columns, requests


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.booleans())
def test_filters_match_the_rows_which_plain_python_matches(shared_lab, table, as_database):
    size, columns, requests = table
    names = ["the row", *(name for name, _, _ in columns)]
    arrays = [pa.array(range(size), pa.int64()), *(arrow(values, kind) for _, kind, values in columns)]
    source = f"{next(shared_lab.numbers)}.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, names), shared_lab.data / source, row_group_size=5)
    if as_database:
        database = source.replace("parquet", "duckdb")
        shared_lab.duckdb(database, f"CREATE TABLE t AS FROM read_parquet('{shared_lab.data / source}')")
        source = f"{database}::t"
    types = shared_lab.types(source)
    known = list(types)[1:]
    for filters in requests:
        comparisons = tuple(Comparison(known[index], op, value) for index, op, value in filters)
        query = Query((known[-1], "the row"), comparisons)
        assert Query.from_json(shared_lab.params(query.to_json())) == query
        expected = [
            row
            for row in range(size)
            if all(is_match(columns[index][2][row], op, value, columns[index][1]) for index, op, value in filters)
        ]
        found = shared_lab.unload(source, query, types)[1]
        assert found.column_names == [known[-1], "the row"]
        assert found["the row"].to_pylist() == expected


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(int64s, floats, texts.filter(lambda text: "\0" not in text)), min_size=1, max_size=10),
    st.lists(st.tuples(st.sampled_from(OPERATORS), st.integers(0, 2), st.integers(0, 9)), min_size=8, max_size=8),
)
def test_filters_on_sqlite_match_the_rows_which_plain_python_matches(shared_lab, rows, requests):
    name = f"{next(shared_lab.numbers)}.sqlite"
    shared_lab.sqlite(
        name,
        "CREATE TABLE t (n INTEGER PRIMARY KEY, i INTEGER, f REAL, s TEXT)",
        "INSERT INTO t VALUES (?, ?, ?, ?)",
        rows=[(index, *row) for index, row in enumerate(rows)],
    )
    types = {"n": "INTEGER", "i": "INTEGER", "f": "FLOAT", "s": "STRING"}
    for op, column, index in requests:
        value = rows[index % len(rows)][column]
        expected = [(n,) for n, row in enumerate(rows) if COMPARE[op](row[column], value)]
        assert shared_lab.rows(f"{name}::t", ["n"], ("ifs"[column], op, value), types=types) == expected


@pytest.mark.parametrize("kind", ["TINYINT", "BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT", "DOUBLE", "VARCHAR"])
def test_integers_that_only_an_unsigned_type_holds_are_compared_exactly_with_every_type(lab, kind):
    values = [-5, 5] if kind in ("TINYINT", "DOUBLE") else [-(2**63), 5, 2**63 - 1]
    values += [2**63, 2**64 - 2, 2**64 - 1] if kind in ("UBIGINT", "HUGEINT", "UHUGEINT", "VARCHAR") else []
    values += [2**64, 10**30] if kind in ("HUGEINT", "UHUGEINT", "VARCHAR") else []
    values = [value for value in values if value >= 0 or not kind.startswith("U")]
    listed = ", ".join(f"('{value}'::{kind}, '{value}')" for value in values)
    lab.duckdb("wide.duckdb", f"CREATE TABLE t AS SELECT * FROM (VALUES {listed}, (NULL, 'null')) AS v(c, told)")
    for asked in (2**63, 2**64 - 2, 2**64 - 1):
        for op in OPERATORS:
            expected = [(str(value),) for value in values if COMPARE[op](value, asked)]
            assert lab.rows("wide.duckdb::t", ["told"], ("c", op, asked)) == expected, (op, asked)
    for beyond in (2**64, -(2**63) - 1):
        with pytest.raises(FieldsInvalid):
            Comparison("c", "=", beyond)


def test_filters_on_text_files_use_the_types_of_the_catalogue(lab):
    (lab.data / "a.csv").write_text("code,n\n007,1\n7,2\n,3\n")
    (lab.data / "a.jsonl").write_text('{"code": 7, "n": 1}\n{"code": 8, "n": 2}\n')
    text = {"code": "STRING", "n": "FLOAT"}
    assert lab.rows("a.csv", ["code", "n"], ("code", "=", "007"), types=text) == [("007", 1.0)]
    assert lab.rows("a.csv", ["n"], ("code", "=", 7), types={"code": "INTEGER", "n": "INTEGER"}) == [(1,), (2,)]
    assert lab.rows("a.jsonl", ["code", "n"], ("n", ">", 1.5), types=text) == [("8", 2.0)]


def test_text_filters_compare_other_types_as_text(lab):
    lab.duckdb(
        "l.duckdb",
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE TABLE t AS SELECT 'happy'::mood AS m, '550e8400-e29b-41d4-a716-446655440000'::UUID AS u, [1, 2] AS l, "
        "{'a': 1} AS s, TIME '01:02:03' AS t, 'x'::BLOB AS b",
    )
    for column, value in [
        ("m", "happy"),
        ("u", "550e8400-e29b-41d4-a716-446655440000"),
        ("l", "[1, 2]"),
        ("s", "{'a': 1}"),
        ("t", "01:02:03"),
        ("b", "x"),
    ]:
        assert lab.table("l.duckdb::t", [column], (column, "=", value)).num_rows == 1
        assert lab.table("l.duckdb::t", [column], (column, "!=", value)).num_rows == 0
    assert lab.rows("l.duckdb::t", ["m"], ("m", ">", "b")) == [("happy",)]  # as text, not by place in the enum


def test_wide_integers_compare_exactly_and_stay_exact(lab):
    lab.duckdb("l.duckdb", "CREATE TABLE t AS SELECT unnest([9223372036854775808, -1, NULL])::HUGEINT AS h")
    assert [int(h) for (h,) in lab.rows("l.duckdb::t", ["h"], ("h", ">", 2**63 - 1))] == [2**63]
    assert [int(h) for (h,) in lab.rows("l.duckdb::t", ["h"], ("h", "<", 0))] == [-1]


@pytest.mark.parametrize("neighbours", [[], [1.0], [1.0, 1.0], [1.0, 2.0], [-0.0, 1.0], [math.inf, -1.0]])
@pytest.mark.parametrize("kind", ["double", "float"])
def test_nan_matches_no_filter_whatever_its_neighbours_are(lab, neighbours, kind):
    # The engine believes the statistics of the file, which do not count NaN.
    lab.parquet("a.parquet", x=arrow([*neighbours, math.nan], kind))
    for op in OPERATORS:
        for value in (0.5, 1.0, -0.0, math.inf, -math.inf):
            expected = [(x,) for x in neighbours if COMPARE[op](x, value)]
            assert lab.rows("a.parquet", ["x"], ("x", op, value), types={"x": "FLOAT"}) == expected
    assert lab.table("a.parquet", ["x"]).num_rows == len(neighbours) + 1


@pytest.mark.parametrize(
    ("op", "value"),
    [("=", math.nan), ("like", "a"), (">", True), ("=", 2**64), ("=", -(2**63) - 1), ("=", "\ud800"), ("=", None)],
)
def test_a_comparison_that_means_nothing_is_refused(op, value):
    with pytest.raises(FieldsInvalid):
        Comparison("a", op, value)


def test_aware_datetimes_become_utc():
    aware = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert Comparison("a", "=", aware).value == datetime(2020, 1, 1, 10)


@pytest.mark.parametrize("wrong", [{"columns": ()}, {"columns": ("a", "a")}, {"columns": ("a",), "ratio": 1.1}])
def test_a_query_that_means_nothing_is_refused(wrong):
    with pytest.raises(FieldsInvalid):
        Query(**wrong)
