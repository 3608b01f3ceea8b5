"""Which metadata each type of bundle has: the keys, their types, and whether people or the workspace write them.

Source: the CodaLab REST API's semantics, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "list": list}
# What is said of how a value is to be shown, and what holds it.
_KINDS = {"date": "int", "size": "int", "duration": "float"}


@dataclass(frozen=True)
class Key:
    """A key of metadata. ``kind`` is str, int, float, bool, list, date, size or duration.

    ``default`` is for what may be left out (`Ellipsis`: it may not); what is ``generated`` is not people's to change,
    and what is for runs that have not begun (``is_early``) only until then.
    """

    name: str
    kind: str
    description: str
    default: Any = ...
    generated: bool = False
    is_early: bool = False
    # The type that holds the value, where the kind does not say it.
    holder: str | None = None

    @property
    def type(self) -> type:
        """The type of the value."""
        return _TYPES[self.holder or _KINDS.get(self.kind, self.kind)]

    @property
    def empty(self) -> Any:
        """What stands for no value."""
        return self.type()


def _generated(name: str, kind: str, description: str) -> Key:
    return Key(name, kind, description, None, generated=True)


def _early(name: str, kind: str, default: Any, description: str, holder: str | None = None) -> Key:
    return Key(name, kind, description, default, is_early=True, holder=holder)


_COMMON = (
    Key("name", "str", "Short name, not necessarily unique"),
    Key("description", "str", "What the bundle is"),
    Key("tags", "list", "Words by which it is found"),
)
_COMMON_GENERATED = (
    _generated("created", "date", "When it was made"),
    _generated("data_size", "size", "Bytes of its contents"),
    _generated("failure_message", "str", "Why it failed"),
    _generated("error_traceback", "str", "Where it failed"),
)
# The command line sends it with every bundle.
_STORE = Key("store", "str", "Where contents are to be stored (there is one store here)", None)
_DATASET = (
    *_COMMON,
    Key("license", "str", "Licence under which the data are published"),
    Key("source_url", "str", "Where the data come from"),
    Key("link_url", "str", "Where contents lie that are not uploaded (not served here)", None),
    Key("link_format", "str", "Form of what is linked (not served here)", None),
    _STORE,
    *_COMMON_GENERATED,
)
_MAKE = (
    *_COMMON,
    _early("allow_failed_dependencies", "bool", False, "Whether parents that failed or were killed will do"),
    _STORE,
    _generated("staged_status", "str", "What it waits for"),
    *_COMMON_GENERATED,
)
_RUN = (
    *_MAKE[:6],
    _early("request_docker_image", "str", "", "Image to run in; kept, for runs are processes here"),
    _early("request_time", "duration", "", "Longest time, as 3h", holder="str"),
    _early("request_memory", "size", "2g", "Most memory, as 2g", holder="str"),
    _early("request_disk", "size", "", "Most disk, as 1g", holder="str"),
    _early("request_cpus", "int", 1, "Processors"),
    _early("request_gpus", "int", 0, "Graphics processors"),
    _early("request_queue", "str", "", "Queue to run in"),
    _early("request_priority", "int", 0, "The higher, the earlier"),
    _early("request_network", "bool", False, "Whether it needs the network"),
    _early("exclude_patterns", "list", [], "Files of these patterns are not kept"),
    _generated("actions", "list", "What was asked of it while it ran"),
    _generated("started", "date", "When it began"),
    _generated("last_updated", "date", "When it was last heard of"),
    _generated("run_status", "str", "What it is doing"),
    _generated("time", "duration", "Seconds that it took"),
    _generated("time_user", "duration", "Seconds of processors in its own code"),
    _generated("time_system", "duration", "Seconds of processors in the system"),
    _generated("time_preparing", "duration", "Seconds of preparing"),
    _generated("time_running", "duration", "Seconds of running"),
    _generated("time_cleaning_up", "duration", "Seconds of cleaning up"),
    _generated("time_uploading_results", "duration", "Seconds of storing what it made"),
    _generated("memory", "size", "Bytes of memory now"),
    _generated("memory_max", "size", "Most bytes of memory so far"),
    _generated("cpu_usage", "float", "Share of the processors"),
    _generated("memory_usage", "float", "Share of the memory"),
    _generated("exitcode", "int", "Exit status of the command"),
    _generated("remote", "str", "Where it ran"),
    _generated("remote_history", "list", "Where it ran, with former attempts"),
    _generated("docker_image", "str", "Image it ran in"),
    _generated("job_handle", "str", "What its worker calls it"),
    _generated("on_preemptible_worker", "bool", "Whether its worker may be taken away"),
    *_COMMON_GENERATED,
)


def _by_name(keys: tuple[Key, ...]) -> Mapping[str, Key]:
    return {key.name: key for key in keys}


KEYS: Mapping[str, Mapping[str, Key]] = {
    "dataset": _by_name(_DATASET),
    "program": _by_name(_DATASET),
    "make": _by_name(_MAKE),
    "run": _by_name(_RUN),
}
EVERY_KEY: Mapping[str, Key] = {**KEYS["dataset"], **KEYS["run"]}
