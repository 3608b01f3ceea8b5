"""The rooms of the house and the arrows between them, read from the imports of every module.

Imports point downwards only: handlers, features, tasks, executors, then results and database. Features use each other's
services and specs, never each other's tables. The client and the widgets import nothing of the server.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "cosphere_jupyter"
REPOSITORY = Path(__file__).parent.parent
SOURCE = REPOSITORY / PACKAGE

# The lower the number, the deeper the room: what stands on a line may import what stands below it.
HEIGHTS = {
    "handlers": 6,
    **dict.fromkeys(["accounts", "permissions", "catalogue", "downloads", "exports", "named", "objects", "bundles"], 5),
    "tasks": 4,
    "executors": 3,
    **dict.fromkeys(["results", "database"], 2),
    **dict.fromkeys(["errors", "field_messages", "json_values", "sizes", "_version"], 1),
}
FEATURES = [room for room, height in HEIGHTS.items() if height == 5]
# What puts the rooms together, or uses the whole from outside: these may import anything.
ROOTS = ["app", "service", "services", "workspace_bundles", "cli", "__main__", "__init__"]
NOTEBOOK = ["client", "widgets"]

# Arrows that point upwards and are meant to; each says why.
MEANT = {
    # Collects the tables of every feature, for migrations; the import runs inside the function.
    ("database.schema", "tables"),
    # `ws.browse()` and the like are shorthands for the widgets' classes; imported inside the methods.
    ("client.workspace", "browser"),
    ("client.workspace", "builder"),
    ("client.workspace", "monitor"),
    ("client.workspace", "sign_in"),
    ("client.requests", "results"),
}

# What other features may use besides services and specs: functions on what an account is called, and on its groups.
RECORDS = {"accounts.profiles", "accounts.groups"}

# Libraries that belong to some rooms only.
LIBRARIES = {
    "sqlalchemy": ["database", "tasks", *FEATURES],
    "alembic": ["database"],
    "duckdb": ["executors", "cli"],
    "sqlglot": ["executors"],
    "boto3": ["executors", "results"],
    "tornado": ["handlers", "app", "service"],
    "jupyter_server": ["handlers", "app", "service", "cli"],
    "jwt": ["accounts"],
    "argon2": ["accounts"],
    "PIL": ["named"],
    "pint": ["objects"],
    "regex": ["objects"],
    "httpx": ["client", "cli", "accounts"],
    "pandas": ["client", "cli"],
    "ipywidgets": ["client", "widgets"],
    "anywidget": ["widgets"],
    "filelock": ["database", "client", "cli"],
}


class Import(NamedTuple):
    """One module imports another; ``for_types`` if only a type checker ever sees it."""

    module: str
    target: str
    for_types: bool

    @property
    def arrow(self) -> str:
        return f"{self.module} -> {self.target}"


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def exists(dotted: str) -> bool:
    path = SOURCE.joinpath(*dotted.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def targets_of(node: ast.AST, path: Path) -> Iterator[str]:
    """The dotted names that a statement imports; those of the package without its name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        package = [PACKAGE, *path.relative_to(SOURCE).parent.parts]
        base = package[: len(package) - node.level + 1] if node.level else []
        source = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{source}.{alias.name}".removeprefix(f"{PACKAGE}.")
            # ``from ..accounts import tables`` imports a module, ``from ..errors import NotFound`` a name of one.
            yield f"{source}.{alias.name}" if source.startswith(PACKAGE) and exists(inner) else source


def statements(tree: ast.AST, for_types: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for node in ast.iter_child_nodes(tree):
        is_guard = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        yield node, for_types
        yield from statements(node, for_types or is_guard)


def imports_of(path: Path) -> Iterator[Import]:
    for node, for_types in statements(ast.parse(path.read_text())):
        for target in targets_of(node, path):
            yield Import(name_of(path), target, for_types)


EVERY_IMPORT = [each for path in sorted(SOURCE.rglob("*.py")) for each in imports_of(path)]
OWN_IMPORTS = [
    each._replace(target=each.target.removeprefix(PACKAGE).removeprefix(".") or "__init__")
    for each in EVERY_IMPORT
    if each.target == PACKAGE or each.target.startswith(f"{PACKAGE}.")
]


def room(module: str) -> str:
    return module.partition(".")[0]


def test_imports_are_seen_at_all() -> None:
    arrows = {each.arrow for each in OWN_IMPORTS}
    assert {
        "handlers.routes -> handlers.accounts",
        "downloads.service -> catalogue.service",
        "database.schema -> accounts.tables",
        "executors.duckdb.child -> errors",
    } <= arrows
    assert ("handlers.base", "services", True) in OWN_IMPORTS


def test_every_room_has_its_place() -> None:
    rooms = {room(name_of(path)) for path in SOURCE.rglob("*.py")}
    assert rooms <= {*HEIGHTS, *ROOTS, *NOTEBOOK}, "say where the new room stands"


def test_imports_point_downwards() -> None:
    wrong = []
    for each in OWN_IMPORTS:
        source, target = room(each.module), room(each.target)
        if source not in HEIGHTS or source == target or (each.module, each.target.split(".")[-1]) in MEANT:
            continue
        if target in HEIGHTS and HEIGHTS[target] == HEIGHTS[source] and source in FEATURES:
            continue  # the next test's
        if target == "services" and each.for_types:
            continue  # the handlers' hands on the rooms, by type only
        if HEIGHTS.get(target, 99) >= HEIGHTS[source]:
            wrong.append(each.arrow)
    assert wrong == []


def test_features_use_each_others_services_and_specs_only() -> None:
    wrong = []
    for each in OWN_IMPORTS:
        source, target = room(each.module), room(each.target)
        among_features = source in FEATURES and target in FEATURES and source != target
        if among_features and each.target.split(".")[1:] not in (["service"], ["spec"]) and each.target not in RECORDS:
            wrong.append(each.arrow)
    assert wrong == []


def test_handlers_know_no_tables_and_no_sql() -> None:
    wrong = [
        each.arrow
        for each in OWN_IMPORTS
        if room(each.module) == "handlers" and (each.target.endswith(".tables") or room(each.target) == "database")
    ]
    assert wrong == []


@pytest.mark.parametrize("name", NOTEBOOK)
def test_what_runs_in_a_notebook_imports_nothing_of_the_server(name: str) -> None:
    below = {"client": ["client"], "widgets": ["widgets", "client"]}[name]
    allowed = {*below, "_version"}
    wrong = [
        each.arrow
        for each in OWN_IMPORTS
        if room(each.module) == name
        and room(each.target) not in allowed
        and (each.module, each.target.split(".")[-1]) not in MEANT
        and not each.for_types
    ]
    assert wrong == []


def test_nothing_but_the_command_line_and_the_package_imports_what_runs_in_a_notebook() -> None:
    users = {room(each.module) for each in OWN_IMPORTS if room(each.target) in NOTEBOOK}
    assert users <= {*NOTEBOOK, "cli", "__init__"}


def test_libraries_stay_in_their_rooms() -> None:
    wrong = [
        each.arrow
        for each in EVERY_IMPORT
        if (library := each.target.partition(".")[0]) in LIBRARIES
        and room(each.module) not in LIBRARIES[library]
        and not each.for_types
    ]
    assert wrong == []


def test_no_circle_leads_from_room_to_room() -> None:
    """Also not by way of the meant exceptions, as long as they run inside functions."""
    arrows: dict[str, set[str]] = {}
    for each in OWN_IMPORTS:
        meant = (each.module, each.target.split(".")[-1]) in MEANT
        if not each.for_types and not meant and room(each.module) != room(each.target):
            arrows.setdefault(room(each.module), set()).add(room(each.target))

    def visit(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path, name])
        for target in arrows.get(name, ()):
            # The package's front door names everything, lazily.
            if target != "__init__":
                visit(target, [*path, name])

    for name in arrows:
        if name != "__init__":
            visit(name, [])


def test_every_python_file_stays_under_400_lines() -> None:
    files = [path for folder in (SOURCE, REPOSITORY / "tests") for path in folder.rglob("*.py")]
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length >= 400} == {}


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "pandas pyarrow sqlalchemy boto3 duckdb sqlglot httpx tornado jupyter_server PIL pint".split()
    code = f"import sys, {PACKAGE}; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (answer.stdout.strip(), answer.stderr) == ("[]", "")
