"""Parameters of tasks: what is taken for which annotation, and what is said of the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter.named import TaskContext, WrongParameters, task
from cosphere_jupyter.named.functions import marks_of
from cosphere_jupyter.named.parameters import Misfit, Parameters, converter

if TYPE_CHECKING:
    from nowhere import Nothing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ANNOTATIONS = [
    str,
    int,
    float,
    bool,
    list,
    dict,
    list[int],
    dict[str, float],
    list[list[bool]],
    Literal["jpeg", "gif", 3, True, None],
    Optional[int],  # noqa: UP045
    int | str | None,
    list[int] | dict[str, str],
    Any,
]


def errors_of(function, **values):
    with pytest.raises(WrongParameters) as raised:
        Parameters.of(function).bind(values)
    return raised.value.details["parameters"]


def picture(url: str, width: int = 100, crop: bool = False, format: Literal["jpeg", "gif"] = "jpeg") -> None: ...


def test_a_missing_parameter_is_told_in_the_documents_words():
    assert errors_of(picture) == {"url": ["this field is required"]}


def test_everything_that_is_wrong_is_told_at_once():
    assert errors_of(picture, width="wide", crop=2, format="tiff", colour="red") == {
        "url": ["this field is required"],
        "width": ["must be an integer"],
        "crop": ["must be true or false"],
        "format": ["must be one of: 'jpeg', 'gif'"],
        "colour": ["unknown parameter"],
    }


def test_a_name_that_is_nearly_right_is_proposed():
    assert errors_of(picture, url="a", widht=3) == {"widht": ["unknown parameter; did you mean 'width'?"]}


def test_keys_of_the_tasks_api_are_tolerated():
    reserved = {
        "task_name": "x",
        "task_store": {},
        "task_metas": 1,
        "task_new": 2,
        "url_callback": "",
        "url_errback": "",
    }
    assert Parameters.of(picture).bind({"url": "a", **reserved}) == {"url": "a"}


def test_defaults_are_the_functions_own():
    assert Parameters.of(picture).bind({"url": "a"}) == {"url": "a"}


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, 10, 10),
        (int, "10", 10),
        (int, " -3 ", -3),
        (int, 10.0, 10),
        (float, 1, 1.0),
        (float, "1e3", 1000.0),
        (float, ".5", 0.5),
        (bool, True, True),
        (bool, "true", True),
        (bool, "False", False),
        (bool, "1", True),
        (bool, "off", False),
        (str, "10", "10"),
        (str, "", ""),
        (Literal[0, 90], "90", 90),
        (Literal[0, 90], 90, 90),
        (Literal["a", None], None, None),
        (int | None, None, None),
        (int | None, "7", 7),
        (int | str, "7", "7"),
        (int | bool, "true", True),
        (list[int], [1, 2], [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list[str], '["a"]', ["a"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict, {"a": [None]}, {"a": [None]}),
        (Any, "10", "10"),
    ],
)
def test_values_come_as_json_or_as_text_of_a_query(annotation, value, expected):
    found = converter(annotation)(value, True)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (int, True, "must be an integer"),
        (int, 1.5, "must be an integer"),
        (int, "1.0", "must be an integer"),
        (int, "1_000", "must be an integer"),
        (int, "٣", "must be an integer"),
        (int, 1e300, "must be an integer"),
        (int, "9" * 5000, "must be an integer"),
        (int, None, "may not be null"),
        (float, "nan", "must be a number"),
        (float, "1e999", "must be a number"),
        (float, 10**400, "must be a number"),
        (float, False, "must be a number"),
        (bool, 1, "must be true or false"),
        (bool, "", "must be true or false"),
        (str, 5, "must be a string"),
        (str, None, "may not be null"),
        (Literal[1], True, "must be one of: 1"),
        (Literal["a", None], "", "must be one of: 'a', null"),
        (int | float, "x", "must be an integer, or must be a number"),
        (int | None, "x", "must be an integer"),
        (list[int], "a", "must be a list"),
        (list[int], {}, "must be a list"),
        (list[int], [1, "2"], "item 2: must be an integer"),
        (list[int], "[1", "is no valid JSON"),
        (list[float], "[NaN]", "is no valid JSON"),
        (list[list[int]], [[1], [2, None]], "item 2: item 2: may not be null"),
        (list, "[" * 100_000, "is no valid JSON"),
        (dict[str, int], {"a": "b"}, "'a': must be an integer"),
        (dict, [], "must be an object"),
    ],
)
def test_what_does_not_fit_is_told(annotation, value, text):
    with pytest.raises(Misfit) as misfit:
        converter(annotation)(value, True)
    assert str(misfit.value) == text


@given(st.sampled_from(ANNOTATIONS), JSON, st.booleans())
def test_any_json_is_either_taken_or_a_misfit(annotation, value, is_text):
    try:
        found = converter(annotation)(value, is_text)
    except Misfit as misfit:
        assert str(misfit)
        return
    # What was taken is taken again, unchanged, where text stands for nothing but itself.
    assert repr(converter(annotation)(found, False)) == repr(found)


@given(st.sampled_from(ANNOTATIONS), st.text())
def test_any_text_is_either_taken_or_a_misfit(annotation, value):
    try:
        converter(annotation)(value, True)
    except Misfit as misfit:
        assert str(misfit)


@given(st.integers())
def test_every_integer_passes_as_json_and_as_text(value):
    assert converter(int)(value, False) == converter(int)(str(value), True) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_passes_as_json_and_as_text(value):
    assert converter(float)(value, False) == converter(float)(repr(value), True) == value


@given(st.lists(st.integers()), st.dictionaries(st.text(), st.text()))
def test_lists_and_objects_pass_as_json_and_as_text(numbers, texts):
    assert converter(list[int])(json.dumps(numbers), True) == numbers
    assert converter(dict[str, str])(json.dumps(texts), True) == texts


@given(JSON)
def test_where_text_stands_for_itself_only_no_type_is_mistaken_for_another(value):
    expected = {int: int, bool: bool, str: str}
    for annotation, kind in expected.items():
        try:
            found = converter(annotation)(value, False)
        except Misfit:
            continue
        assert type(found) is kind
        assert found == value


@pytest.mark.parametrize("annotation", [bytes, set[int], tuple[int, ...], dict[int, str], object, TaskContext])
def test_annotations_that_no_json_can_be_are_refused(annotation):
    def function(value): ...

    function.__annotations__ = {"value": annotation}
    with pytest.raises(TypeError, match="cannot be of type"):
        Parameters.of(function)


def test_annotations_of_context_and_result_may_be_there_for_types_only():
    def function(size: int, context: Nothing) -> Nothing: ...

    parameters = Parameters.of(function)
    assert (parameters.has_context, list(parameters.by_name)) == (True, ["size"])
    assert errors_of(function, size=1, context=2) == {"context": ["unknown parameter"]}


def test_a_default_of_none_lets_null_pass():
    def function(count: int = None): ...  # noqa: RUF013

    assert Parameters.of(function).bind({"count": None}) == {"count": None}


def test_a_parameter_without_annotation_takes_any_json():
    def function(value): ...

    assert Parameters.of(function).bind({"value": {"a": [1]}}) == {"value": {"a": [1]}}


def test_parameters_are_described():
    assert Parameters.of(picture).describe() == {
        "url": {"type": "str", "required": True},
        "width": {"type": "int", "required": False, "default": 100},
        "crop": {"type": "bool", "required": False, "default": False},
        "format": {"type": "Literal['jpeg', 'gif']", "required": False, "default": "jpeg"},
    }


def test_the_decorator_leaves_the_function_what_it_is():
    @task(quick=True)
    def double(value: int) -> int:
        return 2 * value

    @task
    def same(value):
        return value

    assert (double(4), marks_of(double).is_quick, marks_of(double).is_idempotent) == (8, True, False)
    assert marks_of(same).is_quick is False


def test_functions_that_cannot_be_tasks_are_refused_where_they_are_written():
    def positional(value, /): ...

    def star(*values): ...

    def stars(**values): ...

    def reserved(task_name): ...

    for function in (positional, star, stars, reserved, 5, int):
        with pytest.raises(TypeError):
            task(function)


def test_a_function_without_the_decorator_is_no_task():
    with pytest.raises(TypeError, match="not marked as a task"):
        marks_of(picture)
