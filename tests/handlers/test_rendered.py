"""Bodies that are kept: only at their version, and never too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter.handlers import rendered
from cosphere_jupyter.handlers.rendered import RenderedBodies


def test_a_body_is_found_at_its_own_version_only():
    bodies = RenderedBodies()
    bodies.keep("a", (1, 1), b"old")
    assert bodies.find("a", (1, 1)) == b"old"
    assert bodies.find("a", (1, 2)) is None
    assert bodies.find("a", None) is None
    assert bodies.find("b", (1, 1)) is None
    bodies.keep("a", (1, 2), b"new")
    assert (bodies.find("a", (1, 1)), bodies.find("a", (1, 2))) == (None, b"new")


def test_without_a_version_nothing_is_kept():
    bodies = RenderedBodies()
    bodies.keep("a", (1,), b"old")
    bodies.keep("a", None, b"new")
    assert bodies.find("a", None) is None
    assert bodies.find("a", (1,)) is None


def test_what_was_not_asked_for_longest_goes_first():
    bodies = RenderedBodies()
    for number in range(rendered.MOST):
        bodies.keep(number, (1,), b"x")
    assert bodies.find(0, (1,))
    bodies.keep("one more", (1,), b"x")
    assert bodies.find(0, (1,)) and bodies.find("one more", (1,))
    assert bodies.find(1, (1,)) is None


@given(
    kept=st.lists(
        st.tuples(
            st.integers(0, 400), st.sampled_from([0, 1, rendered.LARGEST - 1, rendered.LARGEST, rendered.LARGEST + 1])
        ),
        max_size=600,
    )
)
def test_there_is_a_limit_to_how_much_is_kept(kept):
    bodies = RenderedBodies()
    blocks = {size: bytes(size) for _, size in kept}
    for key, size in kept:
        bodies.keep(key, (1,), blocks[size])
        found = bodies.find(key, (1,))
        assert (found is None) == (size > rendered.LARGEST)
    left = [body for key in range(401) if (body := bodies.find(key, (1,))) is not None]
    assert len(left) <= rendered.MOST
    assert sum(map(len, left)) <= rendered.MOST_BYTES
