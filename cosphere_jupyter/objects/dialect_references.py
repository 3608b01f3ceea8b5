"""Values that name something of the workspace: objects, users, files."""

from __future__ import annotations

from typing import Any

from .dialect_context import Context, Property, ReferencedAction
from .dialect_keys import is_id
from .dialect_problems import Path

# The types of actions that every workspace has.
SAMPLE, MEASUREMENT = -99, -98
_TYPE_IDS = {"sample": SAMPLE, "measurement": MEASUREMENT}


def check_reference(context: Context, schema: dict[str, Any], value: Any, path: Path) -> dict[str, Any] | None:
    """Check a ``sample``, ``measurement`` or ``object_reference``."""
    type_ = schema["type"]
    if not context.frame(value, type_, ["object_id"], [], path):
        return None
    object_id = value["object_id"]
    if not is_id(object_id):
        context.add("object_id must be int", path)
        return None
    action = context.ask(context.lookup.action_of, object_id)
    if action is None:
        context.add("object does not exist", path)
    elif type_ in _TYPE_IDS:
        if action.type_id != _TYPE_IDS[type_]:
            context.add("object has wrong action type", path)
    else:
        _check_filters(context, schema, action, path)
    context.properties.append(Property(path, "reference", referenced_id=object_id))
    return dict(value)


def _check_filters(context: Context, schema: dict[str, Any], action: ReferencedAction, path: Path) -> None:
    is_action = _is_among(action.action_id, schema.get("action_id"))
    is_type = _is_among(action.type_id, schema.get("action_type_id"))
    both_given = schema.get("action_id") is not None and schema.get("action_type_id") is not None
    if both_given and schema.get("filter_operator") == "or" and (is_action or is_type):
        return
    if not is_type:
        context.add("object has wrong action type", path)
    if not is_action:
        context.add("object has wrong action", path)


def _is_among(id_: int, wanted: int | list[int] | None) -> bool:
    return wanted is None or (id_ in wanted if isinstance(wanted, list) else id_ == wanted)


def check_user(context: Context, schema: dict[str, Any], value: Any, path: Path) -> dict[str, Any] | None:
    """Check a ``user``."""
    if not context.frame(value, "user", ["user_id"], [], path):
        return None
    user_id = value["user_id"]
    if not is_id(user_id):
        context.add("user_id must be int", path)
        return None
    if not context.ask(context.lookup.has_account, user_id):
        context.add("user does not exist", path)
    context.properties.append(Property(path, "user", referenced_id=user_id))
    return dict(value)


def check_file(context: Context, schema: dict[str, Any], value: Any, path: Path) -> dict[str, Any] | None:
    """Check a ``file``: one of the object that is validated."""
    if not context.frame(value, "file", ["file_id"], [], path):
        return None
    file_id = value["file_id"]
    if not is_id(file_id):
        context.add("file_id must be int", path)
        return None
    name = context.ask(context.lookup.file_name, file_id)
    extensions = schema.get("extensions")
    if name is None:
        context.add("file does not exist", path)
    elif extensions and not name.casefold().endswith(tuple(each.casefold() for each in extensions)):
        context.add(f"file must have one of the extensions {', '.join(extensions)}", path)
    context.properties.append(Property(path, "other"))
    return dict(value)
