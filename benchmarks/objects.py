"""Objects: read a version, list, search, create and update, beside a bare Tornado hello in the same run.

``python benchmarks/objects.py [--sizes 1000 10000] [--seconds 3] [--rounds 2]``; ``--sizes 1000 10000 100000`` for the
growth. Sixteen kept connections ask for rates, one alone for the times of an answer. The caller is a RESEARCHER who
made the objects, so that permissions are looked at. CPU is that of the server's process. All servers run on this
machine: ratios count, not rates.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import subprocess
import sys
import time
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import psutil
from common import machine, percentile, served, verdict
from http_calls import CONNECTIONS, HELLO
from real_server import free_port

PASSWORD = "a long password of nobody"
SCHEMA = {
    "title": "Measurement",
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"title": "Name", "type": "text"},
        "mass": {"title": "Mass", "type": "quantity", "units": "mg"},
        "is_good": {"title": "Good", "type": "bool"},
        "tags": {"title": "Tags", "type": "tags"},
    },
}


class Target(NamedTuple):
    """A request; ``{n}`` in path and body is another number with each call, from 0 on; ``{m}`` one of 1 to 900."""

    url: str
    headers: dict[str, str]
    method: str = "GET"
    body: str = ""
    expected: int = 200


def data(number: int, mass: float) -> dict[str, Any]:
    return {
        "name": {"_type": "text", "text": f"Crystal {number}"},
        "mass": {"_type": "quantity", "magnitude": mass, "units": "mg"},
        "is_good": {"_type": "bool", "value": number % 2 == 0},
        "tags": {"_type": "tags", "tags": [f"batch-{number // 100}"]},
    }


async def load(target: Target, seconds: float, connections: int, pid: int, numbers: Any) -> dict[str, float]:
    """Ask over kept connections for some seconds; returns rate, percentiles in seconds and CPU in seconds per call."""
    address = urlsplit(target.url)
    path = address.path + (f"?{address.query}" if address.query else "")
    times: list[float] = []
    process = psutil.Process(pid)
    before = sum(process.cpu_times()[:2])
    end = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (started := time.perf_counter()) < end:
            number = str(next(numbers))
            body = target.body.replace("{n}", number).encode()
            where = path.replace("{n}", number).replace("{m}", str(int(number) % 900 + 1))
            lines = [f"{target.method} {where} HTTP/1.1", f"Host: {address.netloc}"]
            lines += [f"{name}: {value}" for name, value in target.headers.items()]
            lines += [f"Content-Length: {len(body)}"] if body else []
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d" % target.expected), head
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    cpu = (sum(process.cpu_times()[:2]) - before) / len(times)
    rate = len(times) / seconds
    return {"rate": rate, "p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "cpu": cpu}


class Lab:
    """A workspace with an action and somebody who makes objects."""

    def __init__(self, server: Any) -> None:
        self.server = server
        made = server.call("POST", "/api/v1/actions/", {"name": "Weigh", "type": "measurement", "schema": SCHEMA})
        assert made.status_code == 201, made.text
        rosa = server.call(
            "POST", "/accounts/", {"email": "rosa@lab.example", "type": "RESEARCHER", "password": PASSWORD}
        )
        assert rosa.status_code in (200, 201), rosa.text
        token = server.call("POST", f"/accounts/{rosa.json()['id']}/auth_tokens/").json()["token"]
        self.jwt = {"Authorization": f"Bearer {token}"}
        self.basic = {"Authorization": f"Basic {base64.b64encode(f'rosa@lab.example:{PASSWORD}'.encode()).decode()}"}
        self.count = 0

    def grow(self, size: int) -> float:
        """Make objects until there are so many; a third of them is heavier than 3 mg. Returns seconds for each."""
        begin, before = time.perf_counter(), self.count
        while self.count < size:
            numbers = range(self.count, min(self.count + 1000, size))
            bodies = [{"action_id": 0, "data": data(n, n * 7919 % 4500 / 1000)} for n in numbers]
            made = self.server.call("POST", "/api/v1/objects/", bodies, timeout=300, headers=self.jwt)
            assert made.status_code == 201, made.text
            self.count += len(bodies)
        return (time.perf_counter() - begin) / max(self.count - before, 1)

    def targets(self) -> dict[str, Target]:
        base = f"{self.server.base}/api/v1/objects/"
        heavy, one = quote("mass > 3 mg"), quote('name == "Crystal 7"')
        body = json.dumps({"action_id": 0, "data": data(0, 1)}).replace("Crystal 0", "Made {n}")
        changed = json.dumps({"data": data(0, 2)}).replace("Crystal 0", "Changed {n}")
        return {
            "read a version": Target(f"{base}7/versions/0", self.jwt),
            "read a version, Basic": Target(f"{base}7/versions/0", self.basic),
            "list 50": Target(f"{base}?limit=50", self.jwt),
            "list 50, each another page": Target(f"{base}?limit=50&n={{n}}", self.jwt),
            "search mass > 3 mg, 50 of many": Target(f"{base}?limit=50&q={heavy}&n={{n}}", self.jwt),
            "search for one name": Target(f"{base}?q={one}&n={{n}}", self.jwt),
            "create": Target(base, self.jwt, "POST", body, 201),
            "read a version, each another": Target(f"{base}{{m}}/versions/0?n={{n}}", self.jwt),
            "update": Target(f"{base}{{m}}/versions/", self.jwt, "POST", changed, 201),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(machine())
    port = free_port()
    hello = subprocess.Popen([sys.executable, "-c", HELLO, str(port)])
    found: dict[int, dict[str, dict[str, float]]] = {}
    try:
        with served() as server:
            lab = Lab(server)
            bare = Target(f"http://127.0.0.1:{port}/", {})
            for size in options.sizes:
                each = lab.grow(size)
                print(f"\n{size:,} objects ({each * 1000:.2f} ms for each of a thousand that are made at once)")
                found[size] = measured(bare, hello.pid, lab, server.process.pid, options)
                lab.count = int(server.call("GET", "/api/v1/objects/?limit=1").json()[0]["object_id"])
                show(found[size])
    finally:
        hello.kill()
        hello.wait()
    first, last = found[options.sizes[0]], found[options.sizes[-1]]
    aimed = found.get(10_000, last)
    print()
    hello_rate = aimed["bare Tornado hello"]["rate"]
    verdict("read a version, of a hello", aimed["read a version"]["rate"] / hello_rate, 0.4, at_least=True)
    verdict(
        "search mass > 3 mg, p50",
        aimed["search mass > 3 mg, 50 of many"]["alone"] * 1000,
        15,
        at_least=False,
        unit="ms",
    )
    if len(found) > 1:
        growth = last["read a version"]["alone"] / first["read a version"]["alone"]
        verdict(f"read a version, {options.sizes[-1]:,} beside {options.sizes[0]:,}", growth, 1.5, at_least=False)


def measured(bare: Target, hello: int, lab: Lab, pid: int, options: Any) -> dict[str, dict[str, float]]:
    best: dict[str, dict[str, float]] = {}
    numbers = itertools.count()
    targets = {"bare Tornado hello": (bare, hello), **{name: (each, pid) for name, each in lab.targets().items()}}
    for _ in range(options.rounds):
        for name, (target, process) in targets.items():
            result = asyncio.run(load(target, options.seconds, CONNECTIONS, process, numbers))
            result["alone"] = asyncio.run(load(target, min(options.seconds, 1), 1, process, numbers))["p50"]
            if name not in best or result["rate"] > best[name]["rate"]:
                alone = min(result["alone"], best.get(name, result)["alone"])
                best[name] = {**result, "alone": alone}
    return best


def show(best: dict[str, dict[str, float]]) -> None:
    base = best["bare Tornado hello"]["rate"]
    print(f"  {'':<34} {'calls/s':>8} {'of hello':>9} {'CPU ms':>7} {'p50 ms':>7} {'p99 ms':>7} {'p50 alone':>10}")
    for name, each in best.items():
        cpu, p50, p99, alone = (each[figure] * 1000 for figure in ("cpu", "p50", "p99", "alone"))
        share = each["rate"] / base
        print(f"  {name:<34} {each['rate']:8.0f} {share:9.2f} {cpu:7.2f} {p50:7.1f} {p99:7.1f} {alone:10.1f}")


if __name__ == "__main__":
    main()
