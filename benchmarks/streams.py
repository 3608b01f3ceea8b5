"""5,000 open status streams on one server process: memory each, change to client, stalls of the event loop.

``python benchmarks/streams.py [--streams 5000] [--changes 500] [--rate 100] [--rounds 2]``. The server is a real
Jupyter server; a ticker in its process tells the longest time for which the event loop did nothing else. Every task is
queued behind one that never ends, and a change is its cancellation: committed to disk, then told. Latency counts from
the commit's own time stamp (``completed``) to the line in the client, so it holds the commit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common import machine, percentile, served, verdict
from real_server import RealServer

# Streams that are opened at the same moment.
AT_ONCE = 16

PACKAGE = {
    "bench_streams.py": """
import time
from cosphere_jupyter.named import task

@task()
def forever() -> None:
    time.sleep(86400)
""",
    # A part of the server for this benchmark only: for how long the loop was away, by the clock and in CPU time of its
    # thread (less, where others take the processor away from it), and its memory.
    "bench_ticker.py": """
import asyncio, json, time
from tornado.web import RequestHandler

gaps = {"stall": 0.0, "busy": 0.0}
EVERY = 0.001

async def tick():
    last, used = time.perf_counter(), time.thread_time()
    while True:
        await asyncio.sleep(EVERY)
        now, spent = time.perf_counter(), time.thread_time()
        gaps["stall"] = max(gaps["stall"], now - last - EVERY)
        gaps["busy"] = max(gaps["busy"], spent - used)
        last, used = now, spent

class Ticker(RequestHandler):
    def get(self):
        fields = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
        kib = {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}
        self.write(json.dumps({**gaps, **kib}))
        gaps.update(stall=0.0, busy=0.0)

def _load_jupyter_server_extension(app):
    app.web_app.add_handlers(".*", [(app.base_url + "ticker", Ticker)])
    asyncio.get_event_loop().create_task(tick())

def _jupyter_server_extension_points():
    return [{"module": "bench_ticker"}]
""",
    "bench_streams-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: bench-streams\nVersion: 1\n",
    "bench_streams-1.dist-info/entry_points.txt": "[cosphere.tasks]\nforever = bench_streams:forever\n",
}


class Stream:
    """One open stream: its first line, then what time each later line came at."""

    def __init__(self) -> None:
        self.arrived: dict[str, tuple[float, dict[str, Any]]] = {}
        self.is_open = asyncio.Event()
        self.lines = 0

    async def read(self, address: Any, headers: str, keys: list[str]) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=64 * 1024)
        body = json.dumps({"tasks": keys})
        head = f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        try:
            while size := int(await reader.readline(), 16):
                chunk = await reader.readexactly(size + 2)
                now = time.time()
                for line in chunk.splitlines():
                    if line and self.is_open.is_set():
                        status = json.loads(line)
                        self.lines += 1
                        if "completed" in status["events"] and status["key"] not in self.arrived:
                            self.arrived[status["key"]] = (now, status)
                self.is_open.set()
        except (asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()


def ticker(server: RealServer) -> dict[str, Any]:
    return dict(server.call("GET", f"{server.url}ticker").json())


def create(server: RealServer, count: int, name: str = "hello") -> list[str]:
    keys: list[str] = []
    for start in range(0, count, 1000):
        size = min(1000, count - start)
        definition = {"task_name": name, **({"name": "x"} if name == "hello" else {})}
        answer = server.call("POST", "/v1/create", {"tasks": [definition] * size})
        keys += [status["key"] for status in answer.json()]
    return keys


async def open_streams(server: RealServer, watched: list[list[str]]) -> tuple[list[Stream], list[asyncio.Task[None]]]:
    address = urlsplit(f"{server.base}/v1/status_stream")
    secret = server.call("POST", "/accounts/task_credentials/", {"kind": "secret"}).json()["credential"]
    headers = f"Authorization: Secret {secret}\r\n"
    streams = [Stream() for _ in watched]
    tasks = []
    for start in range(0, len(watched), AT_ONCE):
        opening = range(start, min(start + AT_ONCE, len(watched)))
        tasks += [asyncio.ensure_future(streams[each].read(address, headers, watched[each])) for each in opening]
        await asyncio.gather(*(streams[each].is_open.wait() for each in opening))
    return streams, tasks


class Canceller:
    """Kept connections that cancel tasks, so that changing them costs little beside telling of it."""

    def __init__(self, server: RealServer) -> None:
        self.address = urlsplit(f"{server.base}/v1/cancel")
        self.token = server.token
        self.idle: list[Any] = []

    async def cancel(self, key: str) -> None:
        address = self.address
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(address.hostname, address.port)
        body = json.dumps({"task": key})
        lines = [f"POST {address.path} HTTP/1.1", f"Host: {address.netloc}", f"Authorization: token {self.token}"]
        writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        self.idle.append((reader, writer))


def latencies(streams: list[Stream], keys: list[str]) -> list[float]:
    """From the commit's time stamp to the line, in milliseconds."""
    found = []
    for stream, key in zip(streams, keys, strict=True):
        if key in stream.arrived:
            arrived, status = stream.arrived[key]
            found.append((arrived - datetime.fromisoformat(status["events"]["completed"]).timestamp()) * 1000)
    return found


async def change_some(server: RealServer, streams: list[Stream], keys: list[str], rate: float) -> dict[str, float]:
    """Change tasks at a steady rate, each watched by one stream."""
    ticker(server)
    pending, canceller = [], Canceller(server)
    started = time.perf_counter()
    for number, key in enumerate(keys):
        pending.append(asyncio.ensure_future(canceller.cancel(key)))
        await asyncio.sleep(max(0.0, started + (number + 1) / rate - time.perf_counter()))
    await asyncio.gather(*pending)
    took = time.perf_counter() - started
    await asyncio.sleep(1)
    found = latencies(streams, keys)
    assert len(found) == len(keys), f"{len(keys) - len(found)} changes were not told"
    figures = {"p50": percentile(found, 0.5), "p95": percentile(found, 0.95), "p99": percentile(found, 0.99)}
    return {"changes_per_second": len(keys) / took, **figures, **held(ticker(server))}


async def change_for_all(server: RealServer, streams: list[Stream], key: str) -> dict[str, float]:
    """Change one task that all streams watch."""
    ticker(server)
    await Canceller(server).cancel(key)
    await asyncio.sleep(5)
    found = latencies(streams, [key] * len(streams))
    assert len(found) == len(streams), f"{len(streams) - len(found)} streams were not told"
    return {"p50": percentile(found, 0.5), "last": max(found), **held(ticker(server))}


def held(facts: dict[str, Any]) -> dict[str, float]:
    """For how long the loop was away at most, in milliseconds: by the clock, and in its own CPU time."""
    return {"stall": facts["stall"] * 1000, "busy": facts["busy"] * 1000}


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Others use this machine, too: of each figure the best of some rounds counts."""
    return {name: (max if name == "changes_per_second" else min)(each[name] for each in rounds) for name in rounds[0]}


async def measure(server: RealServer, options: argparse.Namespace) -> dict[str, float]:
    create(server, 4, "forever")
    own = create(server, options.streams, "forever")
    common = create(server, options.rounds, "forever")
    await asyncio.sleep(2)
    before = ticker(server)
    started = time.perf_counter()
    streams, tasks = await open_streams(server, [[key, *common] for key in own])
    opened = time.perf_counter() - started
    opening = held(ticker(server))
    await asyncio.sleep(3)
    after = ticker(server)
    starts = range(0, options.rounds * options.changes, options.changes)
    parts = [slice(start, start + options.changes) for start in starts]
    some = best([await change_some(server, streams[part], own[part], options.rate) for part in parts])
    everybody = best([await change_for_all(server, streams, key) for key in common])
    # Nothing happens: keep-alives only.
    ticker(server)
    lines = sum(stream.lines for stream in streams)
    await asyncio.sleep(options.idle)
    idle = held(ticker(server))
    repeated = sum(stream.lines for stream in streams) - lines
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(2)
    closed = ticker(server)
    return {
        "opened_per_second": len(streams) / opened,
        "kib_each": (after["VmRSS"] - before["VmRSS"]) / len(streams),
        "mib_before": before["VmRSS"] / 1024,
        "mib_open": after["VmRSS"] / 1024,
        "mib_closed": closed["VmRSS"] / 1024,
        "mib_peak": closed["VmHWM"] / 1024,
        "keep_alives": repeated,
        **{f"opening_{name}": value for name, value in opening.items()},
        **{f"some_{name}": value for name, value in some.items()},
        **{f"all_{name}": value for name, value in everybody.items()},
        **{f"idle_{name}": value for name, value in idle.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--idle", type=float, default=25)
    options = parser.parse_args()
    print(machine())
    wanted = options.streams + 1000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted) if hard != resource.RLIM_INFINITY else hard))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in PACKAGE.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_text(text)
        os.environ["PYTHONPATH"] = folder
        extensions = "--ServerApp.jpserver_extensions=bench_ticker=True"
        with served("--CosphereApp.max_tasks=1", f"--ServerApp.min_open_files_limit={wanted}", extensions) as server:
            found = asyncio.run(measure(server, options))
    for name, value in found.items():
        print(f"  {name:<25} {value:10.1f}")
    print()
    verdict("memory of an open stream", found["kib_each"], 20, at_least=False, unit="KiB")
    verdict("change to client, p50", found["some_p50"], 15, at_least=False, unit="ms")
    verdict("longest stall, single changes", found["some_stall"], 60, at_least=False, unit="ms")
    verdict("longest stall, one change for all", found["all_stall"], 60, at_least=False, unit="ms")
    verdict("longest stall, keep-alives", found["idle_stall"], 60, at_least=False, unit="ms")
    verdict("the same in CPU time of the loop, at worst", max_of(found, "busy"), 60, at_least=False, unit="ms")


def max_of(found: dict[str, float], part: str) -> float:
    return max(value for name, value in found.items() if name.endswith(part))


if __name__ == "__main__":
    main()
