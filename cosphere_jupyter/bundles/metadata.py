"""The rules of metadata: which keys a bundle has, what they hold, and which of them people may change when.

Source: the CodaLab REST API's semantics, section 3; its texts are word for word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .durations import parse_bytes, parse_seconds
from .ids import is_name
from .metadata_keys import KEYS, Key
from .problems import Refused
from .records import CREATED, STAGED, Bundle

NAME_RULE = "^[a-zA-Z_][a-zA-Z0-9_.\\-]*$"
# Nothing of metadata is a place for contents.
LONGEST_TEXT, LONGEST_NAME = 64 * 1024, 256
_EARLY_STATES = (CREATED, STAGED)
# What clients copy from another bundle and is not true of the new one.
_OF_CONTENTS = ("actions", "created", "data_size", "failure_message", "error_traceback")


def new_metadata(bundle_type: str, given: Any) -> dict[str, Any]:
    """Return the metadata of a new bundle: what is given, and defaults for what may be left out; or ``Refused``."""
    keys = KEYS[bundle_type]
    values = _checked(keys, given)
    metadata: dict[str, Any] = {}
    for name, key in keys.items():
        if name in _OF_CONTENTS:
            continue
        if name in values:
            value = values[name]
            if value is None and key.default is not None:
                value = key.empty if key.default is ... else key.default
        elif key.default is ...:
            raise Refused(f"Missing metadata key: {name}")
        else:
            value = key.default
        if value is not None:
            metadata[name] = list(value) if isinstance(value, list) else value
    if "actions" in keys:
        metadata["actions"] = []
    if metadata.get("link_url"):
        raise Refused("link_url is not served here: upload the contents.")
    _check_values(metadata)
    return metadata


def changed_metadata(bundle: Bundle, given: Any) -> dict[str, Any]:
    """Return what of given metadata changes a bundle's, or raise ``Refused``.

    What the workspace writes by itself is passed over: clients send it back as they read it.
    """
    keys = KEYS[bundle.bundle_type]
    changes: dict[str, Any] = {}
    for name, value in _checked(keys, given).items():
        key = keys[name]
        wanted = key.empty if value is None else value
        if key.generated or bundle.metadata.get(name, key.empty) == wanted:
            continue
        if not is_editable(bundle, key):
            raise Refused(f"Metadata key {name} can only be edited until the bundle is started.")
        if name == "link_url":
            raise Refused("link_url is not served here: upload the contents.")
        changes[name] = wanted
    _check_values(changes)
    return changes


def is_editable(bundle: Bundle, key: Key) -> bool:
    """Whether people may change a key of a bundle now."""
    return not key.generated and (not key.is_early or bundle.state in _EARLY_STATES)


def display_metadata(bundle: Bundle) -> dict[str, Any]:
    """Return what programs need to show and to edit the metadata of a bundle."""
    keys = KEYS[bundle.bundle_type].values()
    return {
        "editable_metadata_keys": editable_keys(bundle),
        "metadata_type": {key.name: key.kind for key in keys},
        "metadata_descriptions": {key.name: key.description for key in keys},
    }


def written_keys(bundle: Bundle) -> list[str]:
    """Return the keys of a bundle that people write, be it now or only before it is started."""
    return [key.name for key in KEYS[bundle.bundle_type].values() if not key.generated]


def editable_keys(bundle: Bundle) -> list[str]:
    """Return the keys of a bundle that people may change now."""
    return [key.name for key in KEYS[bundle.bundle_type].values() if is_editable(bundle, key)]


def _checked(keys: Mapping[str, Key], given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise Refused("`metadata` must be an object.")
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in keys:
            raise Refused(f"Unexpected metadata key: {name}")
        checked[name] = None if value is None else _typed(keys[name], value)
    return checked


def _typed(key: Key, value: Any) -> Any:
    wanted = key.type
    if wanted is float and type(value) is int:
        return float(value)
    items: list[Any] = value if isinstance(value, list) else []
    if type(value) is not wanted or not all(isinstance(each, str) for each in items):
        shown = f"{str(value)[:200]} (type {type(value).__name__})"
        raise Refused(f"Metadata value for {key.name} should be of type {wanted.__name__}, was {shown}")
    if sum(map(len, [value] if isinstance(value, str) else items)) > LONGEST_TEXT:
        raise Refused(f"Metadata value for {key.name} is longer than {LONGEST_TEXT} characters")
    return value


def _check_values(values: Mapping[str, Any]) -> None:
    """Refuse texts that do not mean what their key says."""
    name = values.get("name", "_")
    if not is_name(name) or len(name) > LONGEST_NAME:
        raise Refused(f"Names must match {NAME_RULE}, was {name[:LONGEST_NAME]}")
    for name, parse in (
        ("request_memory", parse_bytes),
        ("request_disk", parse_bytes),
        ("request_time", parse_seconds),
    ):
        try:
            if values.get(name):
                parse(values[name])
        except ValueError as error:
            raise Refused(f"Metadata value for {name}: {error}") from None
    for name in ("request_cpus", "request_gpus"):
        if values.get(name, 0) < 0:
            raise Refused(f"Metadata value for {name} must not be negative")
