"""Searching bundles over HTTP: pages and aggregates over many bundles, as a researcher and as an ADMIN.

    python benchmarks/bundles.py [--count 100000]

Aims: a page of ten in 20 ms, an aggregate in 50 ms (p50, 100,000 bundles).
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import uuid
from pathlib import Path
from urllib.parse import urlencode

import httpx
import orjson
from common import machine, percentile, served, timed, verdict

from cosphere_jupyter.bundles.metadata_index import label_of, words_of

ROUNDS = 15
WORDS = ["train", "eval", "sort", "align", "count", "plot", "merge", "fetch", "clean", "score"]
PAGES = {
    "the first page": [],
    "the newest": [".last"],
    "own, newest": [".mine", ".last"],
    "a frequent word": ["train"],
    "a rare word": ["needle"],
    "the beginning of a uuid": ["0xabcdef.*"],
    "a part of a uuid": ["abcdef"],
    "nothing found": ["nosuchbundle"],
    "two letters": ["zq"],
    "anywhere, frequent": ["=python"],
    "anywhere, rare": ["=needle"],
    "by state": ["state=failed"],
    "by state and tag": ["state=ready", "tags=gpu"],
    "a rare tag": ["tags=needle"],
    "a frequent value": ["request_network=False", ".last"],
    "by a number": ["exitcode=3"],
    "biggest first": ["size=.sort-"],
    "longest first": ["time=.sort-"],
    "by name": ["name=.sort"],
    "after an instant": [".after=2026-01-01", ".limit=20"],
    "on no worksheet": [".floating", ".last"],
    "a command with a wildcard": ["command=python.*17.*", ".last"],
}
AGGREGATES = {
    "count of all": [".count"],
    "count of own": [".mine", ".count"],
    "count by state": ["state=failed", ".count"],
    "count by tag": ["tags=gpu", ".count"],
    "count by word": ["train", ".count"],
    "sum of sizes": ["size=.sum"],
    "sum of own sizes": [".mine", "size=.sum"],
    "sum of times": ["time=.sum"],
}


def fill(path: Path, count: int, owner: int, other: int) -> None:
    """Store runs of two accounts, nine in ten of them public."""
    chance = random.Random(7)
    moment = "2025-06-01 00:00:00.000000"
    bundles, values, permissions, words = [], [], [], []
    for number in range(1, count + 1):
        word = chance.choice(WORDS)
        name = "needle" if number == count // 2 else f"{word}-{number}"
        tags = ["needle"] if number == count // 3 else [chance.choice(["gpu", "cpu", "tpu"])]
        metadata = {
            "name": name,
            "description": f"{word} {chance.choice(WORDS)} of the {chance.choice(WORDS)} data",
            "tags": tags,
            "allow_failed_dependencies": False,
            "request_cpus": 1,
            "request_memory": "2g",
            "request_network": False,
            "request_docker_image": "codalab/default-cpu:latest",
            "created": 1_748_736_000 + number,
            "data_size": chance.randrange(10**9),
            "exitcode": chance.choice([0, 0, 0, 0, 0, 0, 1, 3]),
            "time": chance.random() * 1000,
            "run_status": "Finished",
            "remote": f"node-{number % 40}.local",
        }
        account = owner if number % 4 == 0 else other
        identity = f"0x{uuid.UUID(int=chance.getrandbits(128)).hex}"
        command = f"python {word}.py --seed {number % 1000}"
        state = "failed" if number % 20 == 0 else "ready"
        shown, size = orjson.dumps(metadata).decode(), metadata["data_size"]
        row = (number, identity, account, "run", command, state, 0, shown, name, size, moment, moment)
        bundles.append(row)
        for key, value in metadata.items():
            for each in value if isinstance(value, list) else [value]:
                is_number = isinstance(each, int | float)
                values.append((number, key, str(each), float(each) if is_number else None))
        words.append((number, label_of(identity, name), words_of(identity, command, metadata)))
        permissions.append(("bundle", number, "account", account, 3))
        if number % 10:
            permissions.append(("bundle", number, "everyone", 0, 1))
    with sqlite3.connect(path) as database:
        database.executemany(
            "INSERT INTO bundles (id, uuid, owner_id, bundle_type, command, state, is_anonymous, metadata, name, "
            "data_size, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            bundles,
        )
        database.executemany("INSERT INTO bundle_metadata (bundle_id, key, value, number) VALUES (?, ?, ?, ?)", values)
        database.executemany("INSERT INTO permissions VALUES (?, ?, ?, ?, ?)", permissions)
        database.executemany("INSERT INTO bundle_words (bundle_id, label, words) VALUES (?, ?, ?)", words)
    database.close()


def p50(client: httpx.Client, keywords: list[str]) -> float:
    times = []
    path = "/rest/bundles?" + urlencode({"keywords": keywords or [".*"], "include": "owner"}, doseq=True)
    for _ in range(ROUNDS):
        seconds, answer = timed(lambda: client.get(path))
        assert answer.status_code == 200, answer.text
        times.append(seconds * 1000)
    return percentile(times, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    print(machine())
    with served() as server:
        rosa = server.call("POST", "/accounts/", {"email": "rosa@lab.example"}).json()
        otto = server.call("POST", "/accounts/", {"email": "otto@lab.example"}).json()
        token = server.call("POST", f"/accounts/{rosa['id']}/auth_tokens/").json()["token"]
        server.stop()
        fill(server.data_dir / "cosphere.sqlite", options.count, rosa["id"], otto["id"])
        server.start()
        callers = {"researcher": f"Bearer {token}", "ADMIN": f"token {server.token}"}
        print(f"\n  p50 in ms, {options.count:,} bundles" + " " * 8 + "".join(f"{who:>14}" for who in callers))
        worst = {}
        for kind, searches, aim in (("page", PAGES, 20), ("aggregate", AGGREGATES, 50)):
            for name, keywords in searches.items():
                figures = []
                for authorization in callers.values():
                    headers = {"Authorization": authorization}
                    with httpx.Client(base_url=server.base, headers=headers, trust_env=False, timeout=60) as client:
                        figures.append(p50(client, keywords))
                print(f"  {name:<34}" + "".join(f"{each:14.1f}" for each in figures), flush=True)
                worst[(kind, name)] = (max(figures), aim)
        print()
        for kind, aim in (("page", 20), ("aggregate", 50)):
            slowest = max(value for (of, _), (value, _) in worst.items() if of == kind)
            verdict(f"slowest {kind}", slowest, aim, at_least=False, unit="ms")


if __name__ == "__main__":
    main()
