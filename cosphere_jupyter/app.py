"""The extension: its settings as traits, its routes, its subcommands.

``jupyter lab``, ``jupyter notebook`` and ``jupyter server`` load it because it is installed; ``jupyter cosphere``
starts a Jupyter server of its own, or runs a subcommand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jupyter_core.application import NoStart
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Bool, Dict, Enum, Float, Int, List, TraitError, Unicode, default, validate

from ._version import __version__
from .accounts.providers import read_providers
from .bundles.durations import parse_bytes, parse_seconds
from .named.addresses import read_hosts
from .services import Services, Settings
from .sizes import parse_size

TRY_AGAIN_SECONDS = 5.0
# Names of query parameters and JSON keys that must not stand in a log line.
SECRET_PARAMETERS = ["signature", "secret", "password", "api_key", "refresh_token", "oauth_token", "assertion", "Token"]
# The key of a task is all that it takes to read it, where an operator opens statuses.
SECRET_PARAMETERS += ["task"]


class CosphereApp(ExtensionApp):
    """One workspace: a data catalogue, download requests and their results, over HTTP."""

    name = "cosphere"
    version = __version__
    description = __doc__
    default_url = "/cosphere/accounts/me"
    load_other_extensions = True
    file_url_prefix = "/cosphere"

    data_dir = Unicode(
        config=True,
        help="Where the workspace keeps its database, keys and results. Default: a folder 'cosphere' in Jupyter's own "
        "data directory. One server at a time owns it.",
    )
    data_folders = List(
        Unicode(),
        config=True,
        help="The folders whose files DUCKDB catalogue items may read; nothing outside of them can be read. Relative "
        "paths are taken from the server's root directory. Default: the root directory itself.",
    )
    max_tasks = Int(
        min(os.cpu_count() or 1, 4), config=True, help="How many tasks may run at once, besides two quick ones."
    )
    max_tasks_per_account = Int(
        0, config=True, help="How many tasks of one account may run at once, besides quick ones. 0: no limit."
    )
    tasks_ttl = Int(
        7 * 86400,
        config=True,
        help="How long a finished task is remembered, with the files it made, in seconds. 0: for ever.",
    )
    duckdb_memory_limit = Unicode(
        "",
        config=True,
        help="Memory for one query, e.g. '4GiB'. Default: six tenths of the machine, shared by max_tasks.",
    )
    duckdb_threads = Int(0, config=True, help="Threads for one query. Default: one per core.")
    token_lifetime = Int(86400, config=True, help="How long a JWT of the workspace is good, in seconds.")
    link_lifetime = Int(300, config=True, help="How long a signed link to a result is good, in seconds.")
    results_ttl = Int(
        30 * 86400, config=True, help="How long a result is kept that nobody asks for, in seconds. 0: for ever."
    )
    results_max_size = Unicode(
        "", config=True, help="How much all results together may take, e.g. '50GB'. Default: no limit."
    )
    password_sign_in = Bool(True, config=True, help="Whether people may sign in with the password of their account.")
    oidc_providers = List(
        Dict(),
        config=True,
        help="OpenID Connect issuers that people may sign in with, each as {'name': 'lab', 'issuer': 'https://…', "
        "'client_id': '…'} and, as needed, client_secret, label (the button's text), scope, redirect_uri, "
        "hosted_domains, email_domains (who may come), algorithms, requires_nonce. Register "
        "<server>/cosphere/accounts/oidc/<name>/callback/ with the issuer.",
    )
    google_client_id = Unicode(
        "", config=True, help="The client id of 'Sign in with Google'; short for a provider named google."
    )
    fetch_hosts = List(
        Unicode(),
        config=True,
        help="Hosts of private networks that tasks may fetch from all the same, each as 'host' or 'host:port'. "
        "Default: none; tasks fetch from the ports 80 and 443 of the public internet.",
    )
    allow_runs = Enum(
        ["owner", "everyone", "nobody"],
        default_value="owner",
        config=True,
        help="Who may start runs (bundles that run a command, with the rights of this server's user): the owner of "
        "this personal server and accounts of type ADMIN, everyone with an account, or nobody.",
    )
    run_time_limit = Unicode("", config=True, help="The longest that one run may take, e.g. '3h'. Default: no limit.")
    run_memory_limit = Unicode("", config=True, help="The most memory of one run, e.g. '4g'. Default: no limit.")
    run_disk_limit = Unicode("", config=True, help="The most disk of one run, e.g. '10g'. Default: no limit.")
    child_idle_seconds = Float(60.0, config=True, help="How long an idle child process is kept warm, in seconds.")

    open_task_statuses = Bool(
        False,
        config=True,
        help="Whether whoever knows the key of a task may read its status and its files without a credential.",
    )

    subcommands = {
        "account": ("cosphere_jupyter.cli.account.AccountApp", "Create, list and disable accounts, and make tokens."),
        "secret": ("cosphere_jupyter.cli.credentials.SecretApp", "Create, list and revoke secrets for programs."),
        "apikey": ("cosphere_jupyter.cli.credentials.ApiKeyApp", "Create, list and revoke API keys for web pages."),
        "action": ("cosphere_jupyter.cli.actions.ActionApp", "Create and list actions: the kinds of objects."),
        "demo": ("cosphere_jupyter.cli.demo.DemoApp", "Show the main job on real data."),
    }

    _opening: asyncio.Task[None] | None = None

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return default_data_dir()

    @validate("data_dir")
    def _absolute_data_dir(self, proposal: Any) -> str:
        return str(Path(proposal["value"] or default_data_dir()).expanduser().absolute())

    @validate("max_tasks", "token_lifetime", "link_lifetime")
    def _positive(self, proposal: Any) -> Any:
        if proposal["value"] < 1:
            raise TraitError(f"{proposal['trait'].name} must be at least 1")
        return proposal["value"]

    @validate("oidc_providers")
    def _are_providers(self, proposal: Any) -> Any:
        try:
            read_providers(proposal["value"])
        except ValueError as error:
            raise TraitError(f"oidc_providers: {error}") from None
        return proposal["value"]

    @validate("fetch_hosts")
    def _are_hosts(self, proposal: Any) -> Any:
        try:
            read_hosts(proposal["value"])
        except ValueError as error:
            raise TraitError(f"fetch_hosts: {error}") from None
        return proposal["value"]

    @validate("results_max_size")
    def _is_size(self, proposal: Any) -> Any:
        if proposal["value"]:
            try:
                parse_size(proposal["value"])
            except ValueError as error:
                raise TraitError(str(error)) from None
        return proposal["value"]

    @validate("run_time_limit", "run_memory_limit", "run_disk_limit")
    def _is_limit(self, proposal: Any) -> Any:
        parse = parse_seconds if proposal["trait"].name == "run_time_limit" else parse_bytes
        if proposal["value"]:
            try:
                parse(proposal["value"])
            except ValueError as error:
                raise TraitError(str(error)) from None
        return proposal["value"]

    def initialize_settings(self) -> None:
        """Build the workspace (it opens with the first request, or in the start hook)."""
        self.services = Services(self.workspace_settings(), self.log)
        self.settings["cosphere_services"] = self.services
        scrubbed = self._server.web_app.settings.setdefault("extra_log_scrub_param_keys", [])
        scrubbed.extend(key for key in SECRET_PARAMETERS if key not in scrubbed)

    def initialize_handlers(self) -> None:
        """Mount the table of routes."""
        from .handlers.codalab.absolute_form import accept_absolute_form
        from .handlers.routes import handlers

        self.handlers.extend(handlers())
        web_app = self._server.web_app
        accept_absolute_form(web_app, self.services.mount(web_app.settings["base_url"]))

    @property
    def _server(self) -> ServerApp:
        if self.serverapp is None:
            raise RuntimeError("the extension is not linked to a Jupyter server")
        return self.serverapp

    def workspace_settings(self) -> Settings:
        """Return the settings as the rooms take them."""
        root = Path(self._server.root_dir).expanduser().absolute()
        folders = tuple((root / Path(folder).expanduser()).resolve() for folder in self.data_folders or ["."])
        for folder in folders:
            if not folder.is_dir():
                self.log.warning("CosphereApp.data_folders names %s, which is no folder", folder)
        return Settings(
            data_dir=Path(self.data_dir),
            data_folders=folders,
            max_tasks=self.max_tasks,
            max_tasks_per_account=self.max_tasks_per_account,
            tasks_ttl=self.tasks_ttl,
            duckdb_memory_limit=self.duckdb_memory_limit,
            duckdb_threads=self.duckdb_threads,
            token_lifetime=self.token_lifetime,
            link_lifetime=self.link_lifetime,
            results_ttl=self.results_ttl,
            results_max_size=parse_size(self.results_max_size) if self.results_max_size else 0,
            password_sign_in=self.password_sign_in,
            providers=read_providers(self.oidc_providers, self.google_client_id),
            fetch_hosts=tuple(self.fetch_hosts),
            child_idle_seconds=self.child_idle_seconds,
            allow_runs=self.allow_runs,
            run_limits=(self.run_time_limit, self.run_memory_limit, self.run_disk_limit),
            open_task_statuses=self.open_task_statuses,
            card=self._card,
        )

    def _card(self) -> dict[str, Any]:
        """Say where this server is, for others that find the data directory owned (no secret)."""
        return {
            "pid": os.getpid(),
            "url": self._server.connection_url,
            "version": __version__,
            "started": datetime.now(timezone.utc).isoformat(),
        }

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Open the workspace, so that tasks which were running when the last server ended go on."""
        from .errors import CosphereError

        try:
            await self.services.ready()
        except CosphereError as error:
            self.log.warning("CoSphere: %s", error)
            self._opening = asyncio.ensure_future(self._open_later())

    async def _open_later(self) -> None:
        """Take the workspace over when its present owner is gone: interrupted tasks must not wait for a request."""
        from .errors import CosphereError

        while True:
            await asyncio.sleep(TRY_AGAIN_SECONDS)
            with contextlib.suppress(CosphereError):
                await self.services.ready()
                return

    async def stop_extension(self) -> None:
        """Close the workspace."""
        if self._opening is not None:
            self._opening.cancel()
        await self.services.stop()


def default_data_dir() -> str:
    """Return where a workspace lies unless it is told otherwise."""
    return str(Path(jupyter_data_dir()) / "cosphere")


def main(argv: list[str] | None = None) -> None:
    """Run ``jupyter cosphere``: a subcommand, or a Jupyter server with the extension."""
    # Jupyter's applications say "nothing more to start" by this; launch_instance lets it through for subcommands.
    with contextlib.suppress(NoStart):
        CosphereApp.launch_instance(argv)
