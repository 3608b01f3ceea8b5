"""Names of variables of the notebook: which are free, which are none, and giving them a value."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# What IPython itself keeps there.
_RESERVED = frozenset({"In", "Out", "get_ipython", "exit", "quit"})
LONGEST = 100


def namespace() -> MutableMapping[str, Any] | None:
    """Return the variables of the notebook; None outside of IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    found: MutableMapping[str, Any] | None = getattr(shell, "user_ns", None)
    return found


def free_name(wanted: str, names: MutableMapping[str, Any] | None) -> str:
    """Return a name for a DataFrame of ``wanted`` that no variable has yet: ``flights_df``, ``flights_df2``, …."""
    base = re.sub(r"[^0-9a-z]+", "_", wanted.casefold()).strip("_")[:40] or "rows"
    base = f"{'t_' if base[0].isdigit() else ''}{base}_df"
    taken, number = names or {}, 1
    while (name := base if number == 1 else f"{base}{number}") in taken:
        number += 1
    return name


def wrong_name(name: str, names: MutableMapping[str, Any] | None) -> str:
    """Return in words why a DataFrame cannot have this name; an empty text if it can."""
    if not name:
        return "A name is missing."
    if not name.isidentifier() or len(name) > LONGEST:
        return "A name consists of letters, digits and _, and does not begin with a digit."
    if keyword.iskeyword(name):
        return f"“{name}” is a word of Python itself."
    if name in _RESERVED or name.startswith("_") or hasattr(builtins, name):
        return f"“{name}” means something else in Python or in the notebook."
    if names is not None and name in names and not is_frame(names[name]):
        return f"“{name}” is taken: by a {type(names[name]).__name__}."
    return ""


def is_frame(value: Any) -> bool:
    """Whether a value is a DataFrame; pandas is not loaded to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def put(name: str, frame: pd.DataFrame) -> bool:
    """Give the variable this value; False outside of IPython, where there are no such variables."""
    names = namespace()
    if names is None:
        return False
    names[name] = frame
    return True
