"""What a bundle says of itself in words: the arguments that made it, and what its state means.

Source: the CodaLab REST API's semantics, sections 3 and 7.
"""

from __future__ import annotations

import re
from typing import Any

from .metadata_keys import KEYS
from .records import (
    CREATED,
    FAILED,
    FINALIZING,
    KILLED,
    MAKING,
    PREPARING,
    READY,
    RUNNING,
    STAGED,
    STARTING,
    UPLOADING,
    WORKER_OFFLINE,
    Bundle,
)

_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_DETAILS = {
    CREATED: "The bundle has been made; it waits for the bundles that it depends on.",
    UPLOADING: "Its contents are being uploaded.",
    STAGED: "Everything that it depends on is there; it waits for its turn to run.",
    STARTING: "It is about to run.",
    MAKING: "Its contents are being put together.",
    PREPARING: "What it depends on is being brought together.",
    RUNNING: "Running job in container.",
    FINALIZING: "It has ended; what it made is being stored.",
    WORKER_OFFLINE: "The server that ran it has stopped.",
    READY: "It is complete.",
    FAILED: "It has failed.",
    KILLED: "It was killed.",
}
# Where a key of the metadata says more.
_SAYS_MORE = {
    CREATED: "staged_status",
    STAGED: "staged_status",
    PREPARING: "run_status",
    RUNNING: "run_status",
    FAILED: "failure_message",
    KILLED: "failure_message",
}


def state_details(bundle: Bundle) -> str:
    """Return a sentence about the state of a bundle."""
    said = bundle.metadata.get(_SAYS_MORE.get(bundle.state, ""))
    return str(said) if said else _DETAILS.get(bundle.state, bundle.state)


def arguments_of(bundle: Bundle) -> str | None:
    """Return what one would type after ``cl`` to make the same; None of what was uploaded."""
    if bundle.bundle_type not in ("run", "make"):
        return None
    parts = [bundle.bundle_type]
    for each in bundle.dependencies:
        parent = f"{each.parent_uuid}/{each.parent_path}" if each.parent_path else each.parent_uuid
        parts.append(_quoted(f"{each.child_path}:{parent}" if each.child_path else parent))
    if bundle.command is not None:
        parts.append(_quoted(bundle.command))
    for name, key in sorted(KEYS[bundle.bundle_type].items()):
        if key.is_early:
            parts += _option(name, bundle.metadata.get(name))
    return " ".join(parts)


def _option(name: str, value: Any) -> list[str]:
    if not value:
        return []
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    return [option, *(_quoted(str(each)) for each in (value if isinstance(value, list) else [value]))]


def _quoted(text: str) -> str:
    """Return a text as a shell takes it for one word."""
    return text if _PLAIN.fullmatch(text) else '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'
