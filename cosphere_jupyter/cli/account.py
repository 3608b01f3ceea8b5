"""``jupyter cosphere account create|list|token|disable|enable``: works while the server runs and while it does not."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any, NoReturn

from jupyter_core.application import JupyterApp, base_aliases, base_flags
from traitlets import Enum, Unicode

from .._version import __version__
from ..accounts.service import TYPES
from ..app import CosphereApp
from ..sizes import format_size, parse_size
from .administration import Administration, AdministrationError


class WorkspaceCommand(JupyterApp):
    """Base of the commands that administer a workspace; reads ``jupyter_cosphere_config.py`` as the server does."""

    name = "jupyter-cosphere"
    version = __version__
    classes = [CosphereApp]
    aliases = {**base_aliases, "data-dir": "CosphereApp.data_dir"}
    flags = dict(base_flags)
    arguments = 0
    # The words after ``jupyter cosphere``, and how they go on.
    group = "account"
    usage = ""

    def start(self) -> None:
        """Run the command; errors are one sentence on standard error."""
        super().start()
        self.refuse_unknown_options()
        if len(self.extra_args) != self.arguments:
            self.fail(f"usage: jupyter cosphere {self.group} {self.usage}")
        try:
            self.run(Administration(Path(CosphereApp(config=self.config).data_dir), self.log))
        except (AdministrationError, ValueError) as error:
            self.fail(str(error))

    def refuse_unknown_options(self) -> None:
        """A mistyped option must not be passed over: ``--pasword`` would make an account without a password."""
        known = {each.__name__ for each in self._classes_inc_parents()}
        for section in self.cli_config:
            if section not in known:
                self.fail(f"unknown option --{section}; usage: jupyter cosphere {self.group} {self.usage}")

    def run(self, administration: Administration) -> None:
        """Do it."""
        raise NotImplementedError

    def fail(self, text: str) -> NoReturn:
        """End with an error."""
        print(f"Error: {text}", file=sys.stderr)
        self.exit(1)
        raise AssertionError  # exit does not return


class CreateAccountApp(WorkspaceCommand):
    """Create an account."""

    description = "Create an account: jupyter cosphere account create EMAIL [--name NAME] [--type ADMIN|RESEARCHER]"
    usage = "create EMAIL [--name NAME] [--type ADMIN|RESEARCHER] [--password P] [--disk-quota SIZE]"
    arguments = 1
    aliases = {
        **WorkspaceCommand.aliases,
        "name": "CreateAccountApp.account_name",
        "type": "CreateAccountApp.account_type",
        "password": "CreateAccountApp.password",
        "disk-quota": "CreateAccountApp.disk_quota",
    }

    account_name = Unicode("", config=True, help="What people call them.")
    account_type = Enum(TYPES, "RESEARCHER", config=True, help="What they may: ADMIN or RESEARCHER.")
    password = Unicode(
        "",
        config=True,
        help="Their password; '-' asks for it, or reads a line from a pipe, so that it stands in no list of processes.",
    )
    disk_quota = Unicode("", config=True, help="How much their results may take, e.g. 10GB. Default: no limit.")

    def run(self, administration: Administration) -> None:
        """Create it and say so."""
        password = _asked_for() if self.password == "-" else self.password  # noqa: S105
        values: dict[str, Any] = {
            "email": self.extra_args[0],
            "name": self.account_name,
            "type": self.account_type,
            "disk_quota": parse_size(self.disk_quota) if self.disk_quota else None,
        }
        if password:
            values["password"] = password
        account = administration.create(values)
        print(f"Created account {account['id']}: {account['email']} ({account['type']}) in {administration.data_dir}")


def _asked_for() -> str:
    """Return a password that is typed unseen, or the first line of what is no terminal."""
    line = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not (password := line.rstrip("\r\n")):
        raise ValueError("no password was given")
    return password


class ListAccountsApp(WorkspaceCommand):
    """List the accounts."""

    description = "List the accounts: jupyter cosphere account list"
    usage = "list"

    def run(self, administration: Administration) -> None:
        """Print a line each."""
        rows: list[tuple[str, ...]] = [("id", "email", "name", "type", "disk quota", "state")]
        for account in administration.list():
            quota = "-" if account["disk_quota"] is None else format_size(account["disk_quota"])
            state = "active" if account["is_active"] else "disabled"
            rows.append((str(account["id"]), account["email"], account["name"] or "-", account["type"], quota, state))
        print_table(rows)


class AccountTokenApp(WorkspaceCommand):
    """Print a token for an account."""

    description = "Print a JWT for 'Authorization: Bearer …': jupyter cosphere account token EMAIL"
    usage = "token EMAIL"
    arguments = 1

    def run(self, administration: Administration) -> None:
        """Print nothing but the token."""
        print(administration.token(self.extra_args[0]))


class DisableAccountApp(WorkspaceCommand):
    """Disable an account."""

    description = "Disable an account, and with it all its tokens: jupyter cosphere account disable EMAIL"
    usage = "disable EMAIL"
    arguments = 1

    def run(self, administration: Administration) -> None:
        """Disable it and say so."""
        administration.set_active(self.extra_args[0], False)
        print(f"Disabled account {self.extra_args[0]}")


class EnableAccountApp(WorkspaceCommand):
    """Enable an account that was disabled."""

    description = "Enable an account again; its old tokens stay void: jupyter cosphere account enable EMAIL"
    usage = "enable EMAIL"
    arguments = 1

    def run(self, administration: Administration) -> None:
        """Enable it and say so."""
        administration.set_active(self.extra_args[0], True)
        print(f"Enabled account {self.extra_args[0]}")


class AccountApp(JupyterApp):
    """Create, list, disable and enable accounts, and make tokens."""

    name = "jupyter-cosphere account"
    version = __version__
    description = __doc__
    subcommands = {
        "create": (CreateAccountApp, "Create an account."),
        "list": (ListAccountsApp, "List the accounts."),
        "token": (AccountTokenApp, "Print a JWT for an account."),
        "disable": (DisableAccountApp, "Disable an account."),
        "enable": (EnableAccountApp, "Enable an account that was disabled."),
    }

    def start(self) -> None:
        """Run the subcommand, or say which there are."""
        super().start()
        if self.subapp is None:
            self.print_help()
            self.exit(1)


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows, the first of which is the header, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
