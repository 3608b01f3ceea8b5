"""``jupyter cosphere secret`` and ``apikey``: work while the server runs and while it does not."""

from __future__ import annotations

from typing import Any

from jupyter_core.application import JupyterApp
from traitlets import List, Unicode

from .._version import __version__
from ..accounts.task_credentials import API_KEY, SECRET, as_written
from .account import WorkspaceCommand, print_table
from .administration import Administration


class _CredentialCommand(WorkspaceCommand):
    kind = SECRET
    group = "secret"

    def own(self, administration: Administration) -> list[dict[str, Any]]:
        """Return the credentials that these commands are about."""
        return [each for each in administration.credentials() if each["kind"] == self.kind]


class _Create(_CredentialCommand):
    """Base of what makes a credential; its text goes to standard output alone, for scripts."""

    account = Unicode("", config=True, help="The e-mail address of the account it speaks for. Default: the owner's.")

    def values(self) -> dict[str, Any]:
        """Return what the credential is made of, besides its account."""
        return {"kind": self.kind}

    def run(self, administration: Administration) -> None:
        """Print its text, which nothing can show again."""
        print(administration.create_credential(self.account or None, self.values()))


class _List(_CredentialCommand):
    usage = "list"

    def run(self, administration: Administration) -> None:
        """Print a line each."""
        emails = {account["id"]: account["email"] for account in administration.list()}
        rows: list[tuple[str, ...]] = [("id", "account", *self.columns(None), "last used", "state")]
        for each in self.own(administration):
            used = str(each["used_at"] or "never")[:10]
            state = "revoked" if each["revoked_at"] else "good"
            rows.append((each["id"], emails[each["account_id"]], *self.columns(each), used, state))
        print_table(rows)

    def columns(self, credential: dict[str, Any] | None) -> tuple[str, ...]:
        """Return the further columns of a credential, or their headings."""
        return ()


class _Revoke(_CredentialCommand):
    usage = "revoke ID"
    arguments = 1

    def run(self, administration: Administration) -> None:
        """Revoke it and say so."""
        # People paste the whole text; its id is all that is looked at.
        parts = self.extra_args[0].split("_")
        credential_id = parts[1] if parts[0] == "cs" and len(parts) == 3 else self.extra_args[0]
        if credential_id not in {each["id"] for each in self.own(administration)}:
            self.fail(f"there is no such {self.group}")
        administration.revoke_credential(credential_id)
        print(f"Revoked {self.group} {credential_id}")


class CreateSecretApp(_Create):
    """Create a secret."""

    description = "Create a secret for 'Authorization: Secret …': jupyter cosphere secret create [--account EMAIL]"
    usage = "create [--account EMAIL]"
    aliases = {**_Create.aliases, "account": "CreateSecretApp.account"}


class ListSecretsApp(_List):
    """List the secrets, without their texts."""

    description = "List the secrets: jupyter cosphere secret list"


class RevokeSecretApp(_Revoke):
    """Revoke a secret."""

    description = "Make a secret void at once: jupyter cosphere secret revoke ID"


class _ApiKeyCommand(_CredentialCommand):
    kind = API_KEY
    group = "apikey"


class CreateApiKeyApp(_ApiKeyCommand, _Create):
    """Create an API key."""

    description = (
        "Create an API key for web pages: jupyter cosphere apikey create --referer https://lab.example [--referer …] "
        "[--task NAME …] [--account EMAIL]"
    )
    usage = "create --referer ORIGIN [--referer …] [--task NAME …] [--account EMAIL]"
    aliases = {
        **_Create.aliases,
        "account": "CreateApiKeyApp.account",
        "referer": "CreateApiKeyApp.referers",
        "task": "CreateApiKeyApp.tasks",
    }

    referers = List(Unicode(), config=True, help="An origin whose pages may use it, as https://lab.example; repeat it.")
    tasks = List(Unicode(), config=True, help="A task that may be created with it; repeat it. Default: all.")

    def values(self) -> dict[str, Any]:
        """Return kind and whitelists."""
        return {**super().values(), "referers": list(self.referers), "task_names": list(self.tasks)}


class ListApiKeysApp(_ApiKeyCommand, _List):
    """List the API keys, without their texts."""

    description = "List the API keys: jupyter cosphere apikey list"

    def columns(self, credential: dict[str, Any] | None) -> tuple[str, ...]:
        """Return the whitelists."""
        if credential is None:
            return ("referers", "tasks")
        return (", ".join(map(as_written, credential["referers"])), ", ".join(credential["task_names"]) or "all")


class RevokeApiKeyApp(_ApiKeyCommand, _Revoke):
    """Revoke an API key."""

    description = "Make an API key void at once: jupyter cosphere apikey revoke ID"


class _CredentialsApp(JupyterApp):
    version = __version__

    def start(self) -> None:
        """Run the subcommand, or say which there are."""
        super().start()
        if self.subapp is None:
            self.print_help()
            self.exit(1)


class SecretApp(_CredentialsApp):
    """Create, list and revoke secrets: what programs create tasks with."""

    name = "jupyter-cosphere secret"
    description = __doc__
    subcommands = {
        "create": (CreateSecretApp, "Create a secret."),
        "list": (ListSecretsApp, "List the secrets."),
        "revoke": (RevokeSecretApp, "Revoke a secret."),
    }


class ApiKeyApp(_CredentialsApp):
    """Create, list and revoke API keys: what web pages create tasks with."""

    name = "jupyter-cosphere apikey"
    description = __doc__
    subcommands = {
        "create": (CreateApiKeyApp, "Create an API key."),
        "list": (ListApiKeysApp, "List the API keys."),
        "revoke": (RevokeApiKeyApp, "Revoke an API key."),
    }
