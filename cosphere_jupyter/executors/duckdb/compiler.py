"""One request tree to one DuckDB SELECT: no value is text in it, and every identifier is quoted by sqlglot.

Rules, the same whatever the file format:

- NULL never matches a filter, and neither does NaN. (DuckDB sorts NaN above everything, but skips it by the minima and
  maxima of a Parquet file: whether ``x > 100`` finds a NaN would depend on its neighbours.)
- The type of the value decides: text compares as VARCHAR by code points, floats as DOUBLE, integers exactly, datetimes
  in UTC with microseconds; columns of another type are cast.
- A sample keeps a row when a 64-bit hash of (seed, where the row stands) lies below ``ratio * 2**64``. So it does not
  depend on the columns and filters of the query nor on threads, and a smaller ratio keeps a subset. The seed goes
  through its own hash first: with ``hash(row, seed)`` all seeds keep the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlglot import exp

from cosphere_jupyter.errors import ModelInvalid
from cosphere_jupyter.executors.base import Comparison, Compiled, Query

ALIAS = "source"
Node = Any
"""A sqlglot expression; the name of its base class differs between versions."""

SAMPLING = {
    "file_row": "hash of the file's name in the data folder, the row number in the file, and the seed",
    "rowid": "hash of the table's row id and the seed",
    "number": "hash of the row number (files in the order of their names) and the seed",
    "content": "hash of the row's content, its count among equal rows, and the seed",
}

# What results are cast to when the catalogue's type is not the kind of the physical type.
SQL_TYPES = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "DATETIME": "TIMESTAMP",
}
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
WIDE_INTEGERS = ("HUGEINT", "UHUGEINT")
# Parquet has no such type, or pyarrow reads it as bytes nobody can use.
TEXTS = (
    "UUID",
    "INTERVAL",
    "TIME",
    "TIME_NS",
    "TIMETZ",
    "TIME WITH TIME ZONE",
    "BIT",
    "JSON",
    "BIGNUM",
    "VARIANT",
    "GEOMETRY",
    "NULL",
)
FIRST_NS = datetime(1677, 9, 21, 0, 12, 43, 145225)  # what 64 bits of nanoseconds can hold, rounded inwards
LAST_NS = datetime(2262, 4, 11, 23, 47, 16, 854775)


@dataclass(frozen=True)
class Relation:
    """What the FROM clause reads.

    ``function`` is a reader such as read_parquet over the paths ``files`` with ``options`` (bound as parameters), or
    ``table`` names a table or view by its parts. ``sampling`` is a key of `SAMPLING`; ``row`` names the column of a
    stream which already holds the row's number (``sampling`` is then rowid). ``folder`` is what the paths start with.
    """

    function: str | None = None
    files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""
    table: tuple[str, ...] = ()
    sampling: str = "number"
    row: str = "rowid"


def kind_of(physical: str) -> str:
    """Return the catalogue type (INTEGER, FLOAT, STRING, BOOLEAN, DATETIME) of a DuckDB type's name."""
    name = physical.upper().strip('"')
    if is_nested(name):
        return "STRING"
    if name in INTEGERS or name in WIDE_INTEGERS:
        return "INTEGER"
    if name in ("FLOAT", "DOUBLE", "REAL") or name.startswith("DECIMAL"):
        return "FLOAT"
    if name == "BOOLEAN":
        return "BOOLEAN"
    if name == "DATE" or name.startswith("TIMESTAMP"):
        return "DATETIME"
    return "STRING"


def is_nested(physical: str) -> bool:
    """Tell whether a DuckDB type is a list, array, struct, map or union: selectable, compared as text only."""
    name = physical.upper()
    return name.endswith("]") or name.startswith(("STRUCT(", "MAP(", "UNION("))


def compile_select(
    query: Query, relation: Relation, physical_types: Mapping[str, str], types: Mapping[str, str] | None = None
) -> Compiled:
    """Compile ``query`` over ``relation``, whose columns have the DuckDB types ``physical_types`` by name.

    ``types`` are the catalogue's types by column: a selected column of another kind is cast to it.

    Raises:
        ModelInvalid: ``{"columns": […]}`` or ``{"filters": […]}`` when the data has no such column.
    """
    for place, names in (("columns", query.columns), ("filters", [item.column for item in query.filters])):
        if unknown := [name for name in names if name not in physical_types]:
            listed = ", ".join(repr(name) for name in unknown)
            raise ModelInvalid({place: [f"the data has no column {listed}."]})
    chosen = [_selected(name, physical_types[name], (types or {}).get(name)) for name in query.columns]
    if query.ratio == 0:
        source, parameters = _from(relation, physical_types, sampled=False)
        return _finish(exp.select(*chosen).from_(source).where(exp.false()), parameters)
    sampled = query.ratio < 1
    source, parameters = _from(relation, physical_types, sampled)
    conditions: list[Node] = []
    if sampled:
        condition, values = _sample(relation, physical_types, query.ratio, query.seed)
        conditions.append(condition)
        parameters += values
    for item in query.filters:
        condition, values = _compare(item, physical_types[item.column])
        conditions.append(condition)
        parameters += values
    return _finish(exp.select(*chosen).from_(source).where(*conditions), parameters)


def compile_scan(relation: Relation) -> Compiled:
    """Compile ``SELECT *`` over ``relation``: for DESCRIBE and for looking at the first rows."""
    source, parameters = _from(relation, {}, sampled=False)
    return _finish(exp.select(exp.Star()).from_(source), parameters)


def compile_count(relation: Relation) -> Compiled:
    """Compile the number of rows of ``relation``."""
    source, parameters = _from(relation, {}, sampled=False)
    return _finish(exp.select(exp.Count(this=exp.Star())).from_(source), parameters)


def compile_distinct(relation: Relation, names: Sequence[str], limit: int) -> Compiled:
    """Compile one row: the number of rows among the first ``limit``, then the distinct values of each column."""
    source, parameters = _from(relation, {}, sampled=False)
    columns = [exp.Column(this=exp.to_identifier(name, quoted=True)) for name in names]
    head = exp.select(*columns).from_(source).limit(limit).subquery("head")
    counts = [exp.Count(this=exp.Distinct(expressions=[column.copy()])) for column in columns]
    return _finish(exp.select(exp.Count(this=exp.Star()), *counts).from_(head), parameters)


def _finish(select: Node, parameters: list[Any]) -> Compiled:
    return Compiled(select.sql("duckdb", copy=False), parameters)


def _selected(name: str, physical: str, wanted: str | None) -> Node:
    column: Node = _column(name)
    bare = physical.upper().strip('"')
    if bare in WIDE_INTEGERS and wanted in (None, "INTEGER"):
        column = _cast(column, "DECIMAL(38, 0)")  # DuckDB writes it as a rounded DOUBLE otherwise
    elif wanted is not None and wanted != kind_of(physical):
        column = _cast(column, SQL_TYPES[wanted])
    elif bare in TEXTS:
        column = _cast(column, "VARCHAR")
    return exp.alias_(column, exp.to_identifier(name, quoted=True))


# ---------------------------------------------------------------- FROM


def _from(relation: Relation, names: Mapping[str, str], sampled: bool) -> tuple[Node, list[Any]]:
    options = dict(relation.options)
    if sampled and relation.sampling == "file_row":
        options |= {"filename": private("file", names), "file_row_number": True}
    parameters: list[Any] = []
    if relation.function is not None:
        arguments: list[Node] = [exp.Placeholder()]
        parameters.append(list(relation.files))
        for name, value in options.items():
            arguments.append(exp.Kwarg(this=exp.to_identifier(name), expression=exp.Placeholder()))
            parameters.append(value)
        table = exp.Table(this=exp.Anonymous(this=relation.function, expressions=arguments))
    else:
        parts = [exp.to_identifier(part, quoted=True) for part in relation.table]
        slots = dict(zip(("this", "db", "catalog"), reversed(parts), strict=False))
        table = exp.Table(**slots)
    if not sampled or relation.sampling in ("file_row", "rowid"):
        table.set("alias", exp.TableAlias(this=exp.to_identifier(ALIAS, quoted=True)))
        return table, parameters
    row = exp.to_identifier(private("row", names), quoted=True)
    if relation.sampling == "number":
        # Deterministic because the engine keeps the order of insertion; it is read as a stream, not sorted.
        numbered = exp.select(exp.Star(), exp.alias_(_number(), row)).from_(table)
        return numbered.subquery(exp.to_identifier(ALIAS, quoted=True)), parameters
    # A view has no place for a row: equal rows are told apart by counting them.
    content = exp.to_identifier(private("content", names), quoted=True)
    everything = [exp.Column(this=exp.to_identifier(name, quoted=True)) for name in names]
    hashed = exp.select(exp.Star(), exp.alias_(_call("hash", *everything), content)).from_(table)
    count = _number(partition=exp.Column(this=content.copy()))
    mixed = _call("xor", _call("hash", exp.Column(this=content.copy())), _call("hash", count))
    numbered = exp.select(exp.Star(), exp.alias_(mixed, row)).from_(hashed.subquery("hashed"))
    return numbered.subquery(exp.to_identifier(ALIAS, quoted=True)), parameters


def _number(partition: Node | None = None) -> Node:
    return exp.Window(this=exp.RowNumber(), partition_by=[partition] if partition is not None else [])


def private(base: str, names: Mapping[str, str]) -> str:
    """Return a column name that no column of the data has, in any letter case."""
    taken = {name.lower() for name in names}
    name = f"__{base}"
    while name in taken:
        name += "_"
    return name


# ---------------------------------------------------------------- WHERE


def _sample(relation: Relation, names: Mapping[str, str], ratio: float, seed: int) -> tuple[Node, list[Any]]:
    """Return the predicate. Its inner hash is computed once per file, so it costs 2 ns per row."""
    parameters: list[Any] = []
    if relation.sampling == "file_row":
        start = len(relation.folder.rstrip("/")) + 2
        file = _call("substr", _column(private("file", names)), exp.Literal.number(start))
        inner = _call("hash", _call("concat", file, exp.Literal.string(":"), _bound("VARCHAR")))
        row: Node = _column("file_row_number")
    else:
        inner = _call("hash", _bound("VARCHAR"))
        row = _column(relation.row if relation.sampling == "rowid" else private("row", names))
    parameters += [str(seed), min(int(ratio * 2**64), 2**64 - 1)]
    mixed = _call("hash", _call("xor", inner, _cast(row, "UBIGINT")))
    return exp.LT(this=mixed, expression=_bound("UBIGINT")), parameters


def _compare(item: Comparison, physical: str) -> tuple[Node, list[Any]]:
    column: Node = _column(item.column)
    kind, bare, value = kind_of(physical), physical.upper().strip('"'), item.value
    if isinstance(value, datetime):
        return _compare_datetime(item.column, item.operator, value, bare)
    if isinstance(value, str):
        if bare != "VARCHAR":
            column = _cast(column, "VARCHAR")
        return _operate(column, item.operator, _bound("VARCHAR")), [value]
    if isinstance(value, bool):
        if kind != "BOOLEAN":
            column = _cast(column, "BOOLEAN")
        return _operate(column, item.operator, _bound("BOOLEAN")), [value]
    if isinstance(value, float):
        if bare != "DOUBLE":
            column = _cast(column, "DOUBLE")
        compared = _operate(column, item.operator, _bound("DOUBLE"))
    else:
        # What only an unsigned type holds can be told from everything only in a wider one.
        wide = value >= 2**63
        if kind not in ("INTEGER", "FLOAT"):
            column = _cast(column, "HUGEINT" if wide else "BIGINT")
        if bare.startswith("DECIMAL"):
            column = _cast(column, "DOUBLE")  # a 64-bit integer need not fit the decimal
        compared = _operate(column, item.operator, _bound("UBIGINT" if wide else "BIGINT"))
    if item.operator in (">", ">=", "!=") and bare in ("FLOAT", "DOUBLE", "REAL"):
        return exp.and_(compared, exp.not_(_call("isnan", column.copy()))), [value]
    return compared, [value]


def _compare_datetime(name: str, operator: str, value: datetime, bare: str) -> tuple[Node, list[Any]]:
    column: Node = _column(name)
    if bare == "DATE":
        # Compared as days: the far dates that DATE can hold have no timestamp.
        whole = value == datetime(value.year, value.month, value.day)
        if not whole and operator in ("=", "!="):
            return _constant(column, operator == "!="), []
        if not whole:
            operator = {">": ">", ">=": ">", "<": "<=", "<=": "<="}[operator]
        return _operate(column, operator, _bound("DATE")), [value.date()]
    if "_NS" in bare:
        # The wider type is the narrower range: DuckDB would fail to convert a value outside it.
        if value < FIRST_NS:
            return _constant(column, operator in (">", ">=", "!=")), []
        if value > LAST_NS:
            return _constant(column, operator in ("<", "<=", "!=")), []
        target = "TIMESTAMPTZ" if "TZ" in bare or "ZONE" in bare else "TIMESTAMP"
        if target == "TIMESTAMPTZ":
            column = _cast(column, "TIMESTAMP_NS")
        return _operate(column, operator, _cast(_bound("TIMESTAMP"), "TIMESTAMP_NS")), [value]
    if bare in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"):
        return _operate(column, operator, _bound("TIMESTAMPTZ")), [value]  # the session's time zone is UTC
    if bare != "TIMESTAMP":
        column = _cast(column, "TIMESTAMP")
    return _operate(column, operator, _bound("TIMESTAMP")), [value]


def _constant(column: Node, truth: bool) -> Node:
    """What a comparison with a known answer is: false, or true for all that is not NULL."""
    return exp.not_(exp.Is(this=column, expression=exp.null())) if truth else exp.false()


OPERATIONS: dict[str, type[exp.Binary]] = {
    ">": exp.GT,
    ">=": exp.GTE,
    "<": exp.LT,
    "<=": exp.LTE,
    "=": exp.EQ,
    "!=": exp.NEQ,
}


def _operate(left: Node, operator: str, right: Node) -> Node:
    return OPERATIONS[operator](this=left, expression=right)


def _column(name: str) -> Node:
    return exp.Column(this=exp.to_identifier(name, quoted=True), table=exp.to_identifier(ALIAS, quoted=True))


def _call(name: str, *arguments: Node) -> Node:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _cast(this: Node, to: str) -> Node:
    return exp.Cast(this=this, to=exp.DataType.build(to, dialect="duckdb", udt=True))


def _bound(to: str) -> Node:
    return _cast(exp.Placeholder(), to)
