"""Which hosts a task may fetch from: public addresses, and what an operator names.

The standard library calls some addresses global behind which private networks or the metadata of a cloud lie; they are
listed here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

_NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
        "168.63.129.16/32",  # Azure's own services
        "::/8",  # loopback, IPv4-compatible and -mapped; the latter are unwrapped before
        "64:ff9b::/96",  # NAT64, which leads to any IPv4 address
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo and other special purposes
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/@:\[\]?#\\]+|[0-9A-Fa-f:.]+)(:(?P<port>[0-9]{1,5}))?")


def is_public(address: str) -> bool:
    """Whether an IP address, as a resolver gives it, belongs to the public internet."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    is_special = any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)
    return ip.is_global and not ip.is_reserved and not ip.is_multicast and not is_special


def normal_host(host: str) -> str:
    """Return a host's name in small ASCII letters, an IP address in its shortest form; ``ValueError`` if it is none."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    name = bare.removesuffix(".").encode("idna").decode("ascii").lower()
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise ValueError(f"{host!r} is no host")
    return name


def read_hosts(entries: Iterable[str]) -> frozenset[tuple[str, int | None]]:
    """Return hosts with their ports (None: any) from texts as ``host``, ``host:8080``, ``[::1]:8080``.

    Raises:
        ValueError: an entry that is neither.
    """
    found = set()
    for entry in entries:
        match = _HOST.fullmatch(entry.strip())
        if match is None or (match["port"] and not 0 < int(match["port"]) < 65536):
            raise ValueError(f"{entry!r} is neither a host nor host:port")
        found.add((normal_host(match["host"]), int(match["port"]) if match["port"] else None))
    return frozenset(found)
