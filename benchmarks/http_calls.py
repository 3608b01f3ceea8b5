"""Authenticated calls against a bare Tornado hello and Jupyter's own ``/api/status``, in one run.

``python benchmarks/http_calls.py [--seconds 4] [--rounds 3]``. One client process with 16 kept connections asks each
route in turn; all servers run on this machine, so the ratios count, not the rates.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from common import machine, percentile, served, verdict
from real_server import free_port

CONNECTIONS = 16

HELLO = """
import asyncio, sys, tornado.web

class Hello(tornado.web.RequestHandler):
    def get(self):
        self.write({"hello": "world"})

async def main():
    tornado.web.Application([("/", Hello)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def load(url: str, headers: dict[str, str], seconds: float) -> dict[str, Any]:
    """Ask over kept connections for some seconds; a raw client, so that it is not what is measured.

    ``{n}`` in the URL becomes another number with each call: such answers cannot have been kept from before.
    """
    address = urlsplit(url)
    path = address.path + (f"?{address.query}" if address.query else "")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {address.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    request = "\r\n".join(lines) + "\r\n\r\n"
    numbers = itertools.count()
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (started := time.perf_counter()) < end:
            writer.write(request.replace("{n}", str(next(numbers))).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return {"rate": len(times) / seconds, "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    port = free_port()
    hello = subprocess.Popen([sys.executable, "-c", HELLO, str(port)])
    try:
        with served() as server:
            targets = prepare(server, port)
            best: dict[str, dict[str, Any]] = {}
            for _ in range(options.rounds):
                for name, (url, headers) in targets.items():
                    result = asyncio.run(load(url, headers, options.seconds))
                    if name not in best or result["rate"] > best[name]["rate"]:
                        best[name] = result
    finally:
        hello.kill()
        hello.wait()
    base = best["bare Tornado hello"]["rate"]
    print(f"\n  {'route':<40} {'calls/s':>8} {'of hello':>9} {'p50 ms':>7} {'p99 ms':>7}")
    for name, each in best.items():
        share, p50, p99 = each["rate"] / base, each["p50"] * 1000, each["p99"] * 1000
        print(f"  {name:<40} {each['rate']:8.0f} {share:9.2f} {p50:7.1f} {p99:7.1f}")
    print()
    verdict("read an item (JWT), of a hello", best["read a catalogue item (JWT)"]["rate"] / base, 0.4, at_least=True)
    verdict(
        "list 50 items (JWT), of a hello", best["list 50 catalogue items (JWT)"]["rate"] / base, 0.35, at_least=True
    )
    fresh = best["list 50 items, each page another (JWT)"]["rate"] / base
    verdict("list 50 items that are not kept (JWT), of a hello", fresh, 0.35, at_least=True)


def prepare(server: Any, port: int) -> dict[str, tuple[str, dict[str, str]]]:
    """Fill a catalogue of 60 items as in the document, and name what is measured."""
    me = server.call("GET", "/accounts/me").json()
    spec = [
        {"name": name, "type": kind, "size": 190234, "is_enum": False, "is_nullable": True, "distribution": None}
        for name, kind in (("location", "STRING"), ("value", "FLOAT"))
    ]
    for number in range(60):
        body = {"name": f"item {number}", "executor_type": "ATHENA", "spec": spec, "maintained_by_id": me["id"]}
        item = server.call("POST", "/catalogue/items/", body).json()
    token = server.call("POST", f"/accounts/{me['id']}/auth_tokens/").json()["token"]
    jwt, jupyter = {"Authorization": f"Bearer {token}"}, {"Authorization": f"token {server.token}"}
    return {
        "bare Tornado hello": (f"http://127.0.0.1:{port}/", {}),
        "Jupyter /api/status (its token)": (f"{server.url}api/status", jupyter),
        "read a catalogue item (JWT)": (f"{server.base}/catalogue/items/{item['id']}", jwt),
        "read a catalogue item (Jupyter's token)": (f"{server.base}/catalogue/items/{item['id']}", jupyter),
        "list 50 catalogue items (JWT)": (f"{server.base}/catalogue/items/?limit=50", jwt),
        "list 50 items, each page another (JWT)": (f"{server.base}/catalogue/items/?limit=50&n={{n}}", jwt),
        "who am I (JWT)": (f"{server.base}/accounts/me", jwt),
    }


if __name__ == "__main__":
    main()
