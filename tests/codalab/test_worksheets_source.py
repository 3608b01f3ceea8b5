"""The source of worksheets, without a server: whatever is written can be read again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cosphere_jupyter.bundles.worksheet_items import NewItem
from cosphere_jupyter.bundles.worksheet_source import description_of, items_of_lines, lines_of, source_of

UUIDS = st.integers(0, 2**128 - 1).map(lambda number: f"0x{number:032x}")
# Of everything that means something in a source, and of writing systems with line separators of their own.
LETTERS = st.sampled_from([*"ab %/[]{}\t\"'\\#|-", "\u2028", "\x85", "ß", "語", "🧪"])
LINES = st.text(LETTERS, max_size=12)
SOURCES = st.lists(LINES | UUIDS.map(lambda uuid: f"[x]{{{uuid}}}") | UUIDS.map(lambda uuid: f"{{{{{uuid}}}}}"))


def read(source: str) -> list[NewItem]:
    """Read a source in which everything that is a whole uuid is known, and nothing else."""

    def find(spec: str) -> str | None:
        return spec if len(spec) == 34 and spec.startswith("0x") else None

    return items_of_lines(lines_of(source), find, find)


def write(items: list[NewItem], described: str = "") -> str:
    bundles = {item.bundle_uuid: described for item in items if item.bundle_uuid}
    worksheets = {item.subworksheet_uuid: described for item in items if item.subworksheet_uuid}
    lines = [line for lines in source_of(items, bundles, worksheets) for line in lines]
    return "".join(f"{line}\n" for line in lines)


@settings(max_examples=200, deadline=None)
@given(SOURCES)
def test_a_source_that_is_written_out_says_the_same(lines: list[str]) -> None:
    items = read("".join(f"{line}\n" for line in lines))
    assert len(items) == len(lines)
    assert read(write(items)) == items
    # Once it has been written, it is written alike for ever.
    assert write(read(write(items))) == write(items)


@settings(max_examples=60, deadline=None)
@given(SOURCES, st.text(LETTERS, max_size=20), st.text(LETTERS, max_size=120))
def test_descriptions_of_any_kind_change_nothing(lines: list[str], name: str, command: str) -> None:
    items = read("\n".join(lines))
    described = " ".join(description_of("run", name, command).split())
    assert read(write(items, described)) == items


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES))
def test_texts_and_comments_stay_as_they_were_typed(lines: list[str]) -> None:
    source = "".join(f"{line}\n" for line in lines)
    for before, after in zip(lines, write(read(source)).split("\n"), strict=False):
        expected = before
        if before.startswith("%") and not before[1:].lstrip().startswith("%"):
            expected = f"% {before[1:].strip()}".rstrip()
        elif before.startswith("//") and before[2:3].strip():
            expected = f"// {before[2:]}"
        assert after == expected


def test_each_kind_of_line_is_told_by_how_it_looks() -> None:
    uuid = f"0x{'0f' * 16}"
    cases = {
        "plain": NewItem("markup", "plain"),
        "": NewItem("markup", ""),
        "  indented": NewItem("markup", "  indented"),
        "// hidden": NewItem("directive", "% hidden"),
        "//hidden": NewItem("directive", "% hidden"),
        "//": NewItem("directive", "%"),
        "%display table": NewItem("directive", "display table"),
        "%% twice": NewItem("markup", "%% twice"),
        "%": NewItem("directive", ""),
        f"{{{uuid}}}": NewItem("bundle", "", uuid),
        f" [a [b] c] {{{uuid}}} ": NewItem("bundle", "", uuid),
        f"[x]{{{{{uuid}}}}}": NewItem("worksheet", "", None, uuid),
        f"see {{{uuid}}}": NewItem("markup", f"see {{{uuid}}}"),
        "{nothing}": NewItem("markup", "{nothing}"),
        "{}": NewItem("markup", "{}"),
    }
    for text, item in cases.items():
        assert read(f"{text}\n") == [item], text


def test_lines_end_as_on_any_system() -> None:
    assert [line.text for line in lines_of("a\r\nb\nc\rd\u2028e")] == ["a", "b", "c", "d\u2028e"]
    assert lines_of("") == []
    assert [line.text for line in lines_of("\n\n")] == ["", ""]
