"""``jupyter cosphere action create|list``: what kinds of objects a workspace holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp

from .._version import __version__
from .account import WorkspaceCommand, print_table
from .administration import Administration


class CreateActionApp(WorkspaceCommand):
    """Create an action."""

    description = (
        "Create an action from a JSON file with name, type (sample, measurement, simulation or custom), schema and, if "
        "need be, description: jupyter cosphere action create FILE ('-' reads standard input)"
    )
    group = "action"
    usage = "create FILE"
    arguments = 1

    def run(self, administration: Administration) -> None:
        """Create it and say so."""
        action = administration.create_action(_read(self.extra_args[0]))
        print(f"Created action {action['action_id']}: {action['name']} ({action['type']}) in {administration.data_dir}")


class ListActionsApp(WorkspaceCommand):
    """List the actions."""

    description = "List the actions: jupyter cosphere action list"
    group = "action"
    usage = "list"

    def run(self, administration: Administration) -> None:
        """Print a line each."""
        rows: list[tuple[str, ...]] = [("id", "type", "name", "description")]
        for action in administration.actions():
            description = " ".join(action["description"].split())[:60]
            rows.append((str(action["action_id"]), action["type"], action["name"], description or "-"))
        print_table(rows)


class ActionApp(JupyterApp):
    """Create and list actions."""

    name = "jupyter-cosphere action"
    version = __version__
    description = __doc__
    subcommands = {
        "create": (CreateActionApp, "Create an action."),
        "list": (ListActionsApp, "List the actions."),
    }

    def start(self) -> None:
        """Run the subcommand, or say which there are."""
        super().start()
        if self.subapp is None:
            self.print_help()
            self.exit(1)


def _read(file: str) -> Any:
    """Return the JSON of a file; ``ValueError`` says what is wrong with it."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON: {error}") from None
