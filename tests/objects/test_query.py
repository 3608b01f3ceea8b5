"""The search grammar: its words, how they bind, and what is said of what is none."""

from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter.errors import QueryInvalid
from cosphere_jupyter.objects.query import (
    Comparison,
    Contains,
    FileNamed,
    Items,
    Not,
    Query,
    SearchInvalid,
    Several,
    Tagged,
    parse,
)
from cosphere_jupyter.objects.query_tokens import Day, Flag, Magnitude, Null, Reference, Text


def is_(name: str) -> Query:
    return Comparison((name,), "==", Flag(True))


A, B, C = is_("a"), is_("b"), is_("c")
MASS, LENGTH = "[mass]", "[length]"


def all_of(*parts: Query) -> Query:
    return Several("and", parts)


def any_of(*parts: Query) -> Query:
    return Several("or", parts)


def compared(path: str, operator: str, value: object) -> Query:
    return Comparison(tuple(path.split(".")), operator, value)  # type: ignore[arg-type]


READ: list[tuple[str, Query]] = [
    ("", all_of()),
    ("  ", all_of()),
    # -- literals --------------------------------------------------------------------------------------------------
    ('name == "A b"', compared("name", "==", Text("A b"))),
    ('name = "A"', compared("name", "==", Text("A"))),
    ('name=="and (or) \\"', compared("name", "==", Text("and (or) \\"))),
    ('"A" == name', compared("name", "==", Text("A"))),
    ('"A" in name', Contains(("name",), "A")),
    ('"a" in file_name', FileNamed("a", is_part=True)),
    ('file_name == "a"', FileNamed("a", is_part=False)),
    ("mass > 3 mg", compared("mass", ">", Magnitude(3e-6, MASS))),
    ("mass>3mg", compared("mass", ">", Magnitude(3e-6, MASS))),
    ("mass >= -1.5e3 mg", compared("mass", ">=", Magnitude(-1.5e-3, MASS))),
    ("mass <= .5 kg", compared("mass", "<=", Magnitude(0.5, MASS))),
    ("3 mg < mass", compared("mass", ">", Magnitude(3e-6, MASS))),
    ("3 mg >= mass", compared("mass", "<=", Magnitude(3e-6, MASS))),
    ("ratio != 0.5", compared("ratio", "!=", Magnitude(0.5, "dimensionless"))),
    ("ratio < 5 %", compared("ratio", "<", Magnitude(0.05, "dimensionless"))),
    ("speed > 3 m/s", compared("speed", ">", Magnitude(3.0, "[length] / [time]"))),
    ("area < 2 m**2 and b", all_of(compared("area", "<", Magnitude(2.0, "[length] ** 2")), B)),
    ("(area < 2 m^2)", compared("area", "<", Magnitude(2.0, "[length] ** 2"))),
    ("heat == 1 J/(kg*K)", compared("heat", "==", Magnitude(1.0, "[length] ** 2 / [time] ** 2 / [temperature]"))),
    ("width == 1 inch", compared("width", "==", Magnitude(0.0254, LENGTH))),
    ("t == 0 degC", compared("t", "==", Magnitude(273.15, "[temperature]"))),
    ("d == 2026-01-31", compared("d", "==", Day(date(2026, 1, 31)))),
    ("d != 01/31/2026", compared("d", "!=", Day(date(2026, 1, 31)))),
    ("d on 31.01.2026", compared("d", "==", Day(date(2026, 1, 31)))),
    ("d before 2026-01-31", compared("d", "<", Day(date(2026, 1, 31)))),
    ("d after 2026-01-31", compared("d", ">", Day(date(2026, 1, 31)))),
    ("2026-01-31 before d", compared("d", ">", Day(date(2026, 1, 31)))),
    ("a", A),
    ("a == true", A),
    ("a == TRUE", A),
    ("a = False", compared("a", "==", Flag(False))),
    ("a != true", compared("a", "!=", Flag(True))),
    ("a == null", compared("a", "==", Null())),
    ("a != null", compared("a", "!=", Null())),
    ("a == #15", compared("a", "==", Reference(15))),
    ("#15 == a", compared("a", "==", Reference(15))),
    ("#tag", Tagged("tag")),
    ("#Größe-1_x", Tagged("größe-1_x")),
    # -- paths -----------------------------------------------------------------------------------------------------
    ("a.b.?.c", compared("a.b.?.c", "==", Flag(True))),
    ("a.0.b", compared("a.0.b", "==", Flag(True))),
    ("*ref.name", compared("*ref.name", "==", Flag(True))),
    ("not_a and order", all_of(is_("not_a"), is_("order"))),
    ("x.?.(a and b)", Items(("x", "?"), all_of(A, B))),
    ("x.?.(a) or b", any_of(Items(("x", "?"), A), B)),
    ("x.?.(y.?.(a))", Items(("x", "?"), Items(("y", "?"), A))),
    # -- binding ---------------------------------------------------------------------------------------------------
    ("a or b and c", any_of(A, all_of(B, C))),
    ("a and b or c", any_of(all_of(A, B), C)),
    ("a || b && c", any_of(A, all_of(B, C))),
    ("(a or b) and c", all_of(any_of(A, B), C)),
    ("a and b and c", all_of(A, B, C)),
    ("not a and b", all_of(Not(A), B)),
    ("not (a and b)", Not(all_of(A, B))),
    ("!a or !b", any_of(Not(A), Not(B))),
    ("not not a", Not(Not(A))),
    ("not a == true", Not(A)),
    ("a = true or b = true", any_of(A, B)),
    ("a=true and b=true", all_of(A, B)),
    ("((a))", A),
]

REFUSED: list[tuple[str, str]] = [
    ("a and", "Binary operator without right operand"),
    ("a ==", "Binary operator without right operand"),
    ("a == )", "Binary operator without right operand"),
    ("a == == b", "Binary operator without right operand"),
    ("(a or)", "Binary operator without right operand"),
    ("and a", "Binary operator without left operand"),
    ("== 3 mg", "Binary operator without left operand"),
    ("a and (or b)", "Binary operator without left operand"),
    ("not", "Unary operator without operand"),
    ("!", "Unary operator without operand"),
    ("not and a", "Unary operator without operand"),
    ("(a", "Unmatched opening parenthesis"),
    ("(", "Unmatched opening parenthesis"),
    ("x.?.(a", "Unmatched opening parenthesis"),
    ("a)", "Unmatched closing parenthesis"),
    (")", "Unmatched closing parenthesis"),
    ("()", "Invalid search query"),
    ("a b", "Invalid search query"),
    ("(a) (b)", "Invalid search query"),
    ("a == 1 == 2", "Invalid search query"),
    ('"a', "Unfinished text"),
    ('a == "b" or "', "Unfinished text"),
    ('"a"', "Unable to use literal as search query"),
    ("3 mg", "Unable to use literal as search query"),
    ("true", "Unable to use literal as search query"),
    ("null", "Unable to use literal as search query"),
    ("#15", "Unable to use literal as search query"),
    ("2026-01-01 or a", "Unable to use literal as search query"),
    ('a < "b"', "Unknown binary operation"),
    ('a != "b"', "Unknown binary operation"),
    ("a == b", "Unknown binary operation"),
    ("a < true", "Unknown binary operation"),
    ("a < null", "Unknown binary operation"),
    ("a != #1", "Unknown binary operation"),
    ("a == #x", "Unknown binary operation"),
    ("a before 3 mg", "Unknown binary operation"),
    ("a on true", "Unknown binary operation"),
    ("a in b", "Unknown binary operation"),
    ("3 mg in a", "Unknown binary operation"),
    ("(a) == true", "Unknown binary operation"),
    ('"a" == "b"', "Unknown binary operation"),
    ("a == 2026-02-30", "Invalid date: 2026-02-30"),
    ("a == 13/01/2026", "Invalid date: 13/01/2026"),
    ("a > 3 qqq", "Invalid/Unknown units: qqq"),
    ("a > 3 dB", "Invalid/Unknown units: dB"),
    ("a > 1e999 m", "Number out of range"),
    ("a > 1e308 km", "Number out of range"),
    ("a == #" + "9" * 20, "Invalid reference"),
    ("a..b", "Invalid attribute name: a..b"),
    ("a.", "Invalid attribute name: a."),
    ("**a", "Invalid attribute name: **a"),
    ("a == $", "Unable to understand: $"),
    ("a;b", "Unable to understand: ;b"),
    ("#", "Unable to understand: #"),
    ("a" * 2001, "The search query must be at most 2000 characters long"),
    ("(" * 9 + "a" + ")" * 9, "The search query must be nested at most 8 deep"),
    ("not " * 9 + "a", "The search query must be nested at most 8 deep"),
    (" or ".join(["a"] * 101), "The search query must have at most 100 terms"),
    ("*a.*b.*c.*d.*e.f", "The search query must have at most 4 references and items inside each other"),
    ("a.?.(b.?.(*c.*d.*e.x))", "The search query must have at most 4 references and items inside each other"),
    ("a\0", "The search query must be free of null characters and of halves of characters"),
    ("\ud800", "The search query must be free of null characters and of halves of characters"),
]


@pytest.mark.parametrize(("text", "tree"), READ)
def test_the_grammar(text: str, tree: Query) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(SearchInvalid) as refused:
        parse(text)
    assert (refused.value.text, str(refused.value)) == (message, message)
    assert isinstance(refused.value, QueryInvalid)


@given(st.text(alphabet='ab1.?*#"()=<>!&|-+/^%²µ \n$٣', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except SearchInvalid as refused:
        assert refused.text


@pytest.mark.parametrize(
    "piece", ["1", "1 m ", "(", "1/", "1 /(", "a.", "a.?.(", "not ", "#a", '"', "1 m**", "1.1.", "-"]
)
def test_long_texts_are_read_or_refused_in_a_moment(piece: str) -> None:
    begin = time.process_time()
    with pytest.raises(SearchInvalid):
        parse("x == " + piece * (1_990 // len(piece)))
    assert time.process_time() - begin < 0.5
