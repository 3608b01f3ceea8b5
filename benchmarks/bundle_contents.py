"""Bytes of bundles over HTTP: downloads against tornado's static files, uploads against writing with fsync, and how
long anybody else waits meanwhile.

    python benchmarks/bundle_contents.py [--megabytes 1024] [--rounds 3]

Aims: a download has 0.8 of what tornado's static file handler gives, an upload 0.5 of what writing the same bytes to
the disk with fsync does; during a download of 1 GB nobody waits longer than 50 ms for the event loop.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from common import machine, served, verdict
from real_server import RealServer, free_port

PIECE = 1024 * 1024
STATIC = """
import asyncio, sys
from tornado.web import Application, StaticFileHandler
async def main():
    Application([("/(.*)", StaticFileHandler, {"path": sys.argv[1]})]).listen(int(sys.argv[2]), "127.0.0.1")
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def static_files(folder: Path) -> Iterator[str]:
    """Tornado's own handler of static files, in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", STATIC, str(folder), str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def fetch(url: str, headers: dict[str, str]) -> float:
    """Download and throw away; returns megabytes in a second of the body as it is sent."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as wire:
        lines = [f"GET {place.path} HTTP/1.1", f"Host: {place.netloc}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        started = time.perf_counter()
        wire.sendall("\r\n".join([*lines, "", ""]).encode())
        buffer, size = bytearray(PIECE), 0
        first = wire.recv_into(buffer)
        assert buffer[:first].startswith(b"HTTP/1.1 200"), bytes(buffer[:first])
        while count := wire.recv_into(buffer):
            size += count
        return size / 1e6 / (time.perf_counter() - started)


def send(server: RealServer, uuid: str, content: bytes, megabytes: int) -> float:
    """Upload in chunks, as the command line does; returns megabytes in a second until the answer."""
    place = urlsplit(f"{server.base}/rest/bundles/{uuid}/contents/blob/")
    with socket.create_connection((place.hostname, place.port)) as wire:
        head = [f"PUT {place.path}?filename=data.bin HTTP/1.1", f"Host: {place.netloc}", "Connection: close"]
        head += [f"Authorization: token {server.token}", "Transfer-Encoding: chunked", "", ""]
        started = time.perf_counter()
        wire.sendall("\r\n".join(head).encode())
        for _ in range(megabytes):
            wire.sendall(b"%x\r\n" % len(content))
            wire.sendall(content)
            wire.sendall(b"\r\n")
        wire.sendall(b"0\r\n\r\n")
        answer = wire.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return megabytes * len(content) / 1e6 / (time.perf_counter() - started)


def write(path: Path, content: bytes, megabytes: int) -> float:
    """Write and sync; returns megabytes in a second."""
    started = time.perf_counter()
    with path.open("wb", buffering=0) as out:
        for _ in range(megabytes):
            out.write(content)
        os.fsync(out.fileno())
    return megabytes * len(content) / 1e6 / (time.perf_counter() - started)


class Neighbour(threading.Thread):
    """Asks for next to nothing all the time, and remembers how long it waited."""

    def __init__(self, server: RealServer) -> None:
        super().__init__(daemon=True)
        self.server, self.waits, self.stopped = server, [0.0], threading.Event()

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self.stopped.is_set():
                started = time.perf_counter()
                client.request("OPTIONS", f"{self.server.base}/rest/user")
                self.waits.append((time.perf_counter() - started) * 1000)
                time.sleep(0.005)

    def __enter__(self) -> Neighbour:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self.join()

    @property
    def told(self) -> str:
        waits = sorted(self.waits)
        return f"{waits[len(waits) // 2]:.1f} / {waits[int(len(waits) * 0.99)]:.1f} / {waits[-1]:.1f}"


def new_bundle(server: RealServer) -> str:
    metadata = {"name": "data", "description": "", "tags": [], "license": "", "source_url": ""}
    body = {"data": [{"type": "bundles", "attributes": {"bundle_type": "dataset", "metadata": metadata}}]}
    answer = server.call("POST", "/rest/bundles?detached=1", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"][0]["id"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    content = os.urandom(PIECE)
    with served() as server:
        token = {"Authorization": f"token {server.token}"}
        ratios: dict[str, list[float]] = {"upload": [], "download": []}
        stalls = []
        with Neighbour(server) as idle:
            time.sleep(1)
        print(f"\n  others wait (p50 / p99 / longest, ms), nothing else going on: {idle.told}\n")
        for _ in range(options.rounds):
            plain = write(server.root / "plain.bin", content, options.megabytes)
            with Neighbour(server) as sending:
                uuid = new_bundle(server)
                sent = send(server, uuid, content, options.megabytes)
            with static_files(server.root) as url:
                static = fetch(f"{url}/plain.bin", {})
            path = f"{server.base}/rest/bundles/{uuid}/contents/blob/"
            with Neighbour(server) as reading:
                got = fetch(path, token)
            with Neighbour(server) as packing:
                packed = fetch(path, {**token, "Accept-Encoding": "gzip"})
            ratios["upload"].append(sent / plain)
            ratios["download"].append(got / static)
            stalls.append(max(reading.waits))
            print(f"  upload   {sent:7.0f} MB/s; write and fsync {plain:7.0f} MB/s; others wait {sending.told}")
            print(f"  download {got:7.0f} MB/s; tornado's static {static:7.0f} MB/s; others wait {reading.told}")
            print(f"  with gzip {packed:6.0f} MB/s; others wait {packing.told}\n", flush=True)
            server.call("DELETE", "/rest/bundles", {"data": [{"type": "bundles", "id": uuid}]})
    verdict("download against tornado's static files", statistics.median(ratios["download"]), 0.8, at_least=True)
    verdict("upload against writing with fsync", statistics.median(ratios["upload"]), 0.5, at_least=True)
    verdict("longest wait of others during a download", statistics.median(stalls), 50, at_least=False, unit="ms")


if __name__ == "__main__":
    main()
