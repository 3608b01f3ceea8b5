"""How the client finds its workspace: where the server is and which token opens it.

In this order; the first that fits is taken:

1. ``Workspace(url=…, token=…)``
2. ``COSPHERE_URL`` and ``COSPHERE_TOKEN``
3. the profile ``cosphere.json`` (``{"url": …, "token": …}``) in Jupyter's configuration folder, mode 0600
4. in a JupyterHub: the service ``cosphere``, with the Hub's token of this notebook server
5. the Jupyter server that started this kernel
6. the only Jupyter server that runs
7. the Jupyter server whose root folder holds the working folder

Running servers are read from the files that they leave in Jupyter's runtime folder, which only their user can read.
``jupyter_server`` is not imported: it is slow, and the environment of a kernel need not have it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import ServerNotFound

MOUNT = "cosphere"
PROFILE = "cosphere.json"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Server:
    """A workspace that was found: ``url`` ends in ``/cosphere``, ``way`` says how it was found (no secret)."""

    url: str
    token: str | None = field(default=None, repr=False)
    way: str = "given"
    # The path of a Unix socket, for a server that listens on no port.
    socket: str | None = None


def discover(
    url: str | None = None, token: str | None = None, answers: Callable[[Server], bool] = lambda server: True
) -> Server:
    """Return the workspace to use, or raise ``ServerNotFound`` listing what was tried.

    ``answers`` is asked about a server whose address is only guessed.
    """
    found = _given(url, token) if url else _found(answers)
    return replace(found, token=token) if token else found


def workspace_url(url: str) -> str:
    """Return the URL of the workspace for that of a Jupyter server, or of its ``…/cosphere``."""
    parts = urlsplit(url.strip())
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ServerNotFound([f"{_without_secrets(url)!r}: not a URL; it starts with http:// or https://"])
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    # The address bar of a browser shows the page of a front end below the server's base URL.
    for page in ("/lab", "/tree"):
        path = path.removesuffix(page)
    if path.rpartition("/")[2] != MOUNT:
        path = f"{path}/{MOUNT}"
    return f"{parts.scheme}://{host}{path}"


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port; all names of this machine's own loopback are one."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return parts.scheme, "localhost" if is_loopback(host) else host, parts.port or _PORTS.get(parts.scheme, 0)


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _given(url: str, token: str | None) -> Server:
    server = Server(workspace_url(url), token, "the given url")
    if token:
        return server
    # A token goes only to the server that it belongs to.
    if os.environ.get("COSPHERE_TOKEN") and _is_same(os.environ.get("COSPHERE_URL") or url, server.url):
        return replace(server, token=os.environ["COSPHERE_TOKEN"], way="the given url and COSPHERE_TOKEN")
    profile = _profile([])
    if profile and profile.token and profile.url == server.url:
        return replace(profile, way="the given url and the token of its profile")
    for info in running_servers():
        if _is_same(str(info.get("url")), server.url):
            return replace(
                of_running(info), url=server.url, way=f"the given url, of the running server {info.get('pid')}"
            )
    return server


def _is_same(url: str, other: str) -> bool:
    try:
        url = workspace_url(url)
    except ServerNotFound:
        return False
    return origin(url) == origin(other) and urlsplit(url).path == urlsplit(other).path


def _found(answers: Callable[[Server], bool]) -> Server:
    tried: list[str] = []
    steps = (_environment, _profile, lambda tried: _hub(tried, answers), _running)
    for step in steps:
        if server := step(tried):
            return server
    raise ServerNotFound(tried)


def _environment(tried: list[str]) -> Server | None:
    url = os.environ.get("COSPHERE_URL")
    if not url:
        tried.append("COSPHERE_URL is not set")
        return None
    if token := os.environ.get("COSPHERE_TOKEN"):
        return Server(workspace_url(url), token, "COSPHERE_URL and COSPHERE_TOKEN")
    if token := os.environ.get("JUPYTERHUB_API_TOKEN"):
        return Server(workspace_url(url), token, "COSPHERE_URL and the JupyterHub's token")
    return replace(_given(url, None), way="COSPHERE_URL")


def _profile(tried: list[str]) -> Server | None:
    from jupyter_core.paths import jupyter_config_dir

    path = Path(jupyter_config_dir()) / PROFILE
    try:
        mode = path.stat().st_mode
    except OSError:
        tried.append(f"there is no profile {path}")
        return None
    if os.name == "posix" and mode & 0o077:
        raise ServerNotFound(
            [
                *tried,
                f"the profile {path} is refused: others may read or change it. Run: chmod 600 {path}",
            ]
        )
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
        url, token = profile["url"], profile.get("token")
        if not isinstance(url, str) or not isinstance(token, str | None):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ServerNotFound(
            [*tried, f'the profile {path} cannot be read; it looks like {{"url": "http://host:8888/", "token": "…"}}']
        ) from None
    return Server(workspace_url(url), token, f"the profile {path}")


def _hub(tried: list[str], answers: Callable[[Server], bool]) -> Server | None:
    token = os.environ.get("JUPYTERHUB_API_TOKEN")
    if not token:
        tried.append("this is no JupyterHub (JUPYTERHUB_API_TOKEN is not set)")
        return None
    public = os.environ.get("JUPYTERHUB_PUBLIC_HUB_URL", "")
    if not public:
        tried.append("in this JupyterHub neither COSPHERE_URL nor JUPYTERHUB_PUBLIC_HUB_URL is set")
        return None
    url = f"{public.rstrip('/').removesuffix('/hub')}/services/{MOUNT}"
    server = Server(url, token, "the service of this JupyterHub")
    if answers(server):
        return server
    tried.append(f"this JupyterHub has no service at {url}")
    return None


# -- running servers -------------------------------------------------------------------------------------------------


def runtime_dir() -> Path:
    """Return where running Jupyter servers leave their files."""
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir())


def running_servers() -> list[dict[str, Any]]:
    """Return what is known of the Jupyter servers of this user that run now, by process id."""
    found = []
    try:
        files = sorted(runtime_dir().glob("jpserver-*.json"))
    except OSError:
        return []
    for path in files:
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(info, dict) and isinstance(info.get("pid"), int) and info.get("url") and _lives(info["pid"]):
            found.append(info)
    return sorted(found, key=lambda info: int(info["pid"]))


def running_server(pid: Any) -> Server | None:
    """Return the running server with this process id, if its file can be read."""
    for info in running_servers():
        if info["pid"] == pid:
            return of_running(info)
    return None


def of_running(info: Mapping[str, Any]) -> Server:
    """Return a running server as one to use."""
    way = f"the running Jupyter server {info['pid']}"
    token = str(info.get("token") or "") or None
    if socket := str(info.get("sock") or ""):
        path = str(info.get("base_url") or "/")
        return Server(workspace_url(f"http://localhost{path}"), token, way, socket)
    return Server(workspace_url(str(info["url"])), token, way)


def _lives(pid: int) -> bool:
    if os.name != "posix":
        import psutil

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _running(tried: list[str]) -> Server | None:
    servers = running_servers()
    parent = os.environ.get("JPY_PARENT_PID", "")
    for info in servers:
        if str(info["pid"]) == parent:
            return replace(of_running(info), way=f"the Jupyter server of this notebook (process {parent})")
    if parent:
        tried.append(f"the server of this notebook (process {parent}) left no file in {runtime_dir()}")
    else:
        tried.append("this is no notebook of a Jupyter server (JPY_PARENT_PID is not set)")
    if not servers:
        tried.append(f"no running Jupyter server has a file in {runtime_dir()}")
        return None
    if len(servers) == 1:
        return replace(of_running(servers[0]), way=f"the only running Jupyter server (process {servers[0]['pid']})")
    return _holding(_here(), servers, tried)


def _here() -> Path:
    session = os.environ.get("JPY_SESSION_NAME", "")
    return Path(session).parent.resolve() if Path(session).is_absolute() else Path.cwd().resolve()


def _holding(here: Path, servers: list[dict[str, Any]], tried: list[str]) -> Server | None:
    depths: dict[int, int] = {}
    for info in servers:
        root = Path(str(info.get("root_dir") or "/nowhere")).resolve()
        if here.is_relative_to(root):
            depths[info["pid"]] = len(root.parts)
    nearest = [info for info in servers if depths.get(info["pid"], -1) == max(depths.values(), default=0)]
    if len(nearest) == 1:
        way = f"the running Jupyter server of this folder (process {nearest[0]['pid']})"
        return replace(of_running(nearest[0]), way=way)
    several = ", ".join(f"{info['url']} (process {info['pid']}, folder {info.get('root_dir')})" for info in servers)
    which = "several of them hold" if nearest else "none of them holds"
    tried.append(f"these Jupyter servers run, and {which} the folder {here}: {several}")
    return None


def _without_secrets(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]
