"""The catalogue at scale: searches and pages at 1,000 and at 100,000 items.

``python benchmarks/catalogue.py [--sizes 1000 100000]``. The items are written into the database of a stopped server;
everything that is measured goes over HTTP, as a RESEARCHER, to whom the workspace's permission rule applies.
"""

from __future__ import annotations

import argparse
import random
import sqlite3

import httpx
from common import machine, percentile, served, timed, verdict

ROUNDS = 40
WORDS = ["iot", "flights", "weather", "taxi", "patients", "runs", "images", "genome", "events", "sensors"]
SPEC = (
    '[{"name":"value","type":"FLOAT","size":19203,"is_enum":false,"is_nullable":false,"distribution":null},'
    '{"name":"location","type":"STRING","size":190234,"is_enum":false,"is_nullable":true,"distribution":null}]'
)


def fill(path: str, count: int) -> None:
    chance = random.Random(7)
    rows = []
    for number in range(count):
        first, second = chance.choice(WORDS), chance.choice(WORDS)
        name = f"{first}_{chance.randrange(10**6)}.{second}_{number}"
        rows.append((number + 1, name, name, "ATHENA", SPEC, "[]", "2026-01-01", "2026-01-01", f"a table of {first}"))
    with sqlite3.connect(path) as database:
        database.executemany(
            "INSERT INTO catalogue_items (id, name, name_folded, executor_type, spec, sample, created_at, updated_at, "
            "description) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        database.executemany(
            "INSERT INTO permissions (resource_type, resource_id, subject_type, subject_id, level) "
            "VALUES ('catalogue_item', ?, 'everyone', 0, 1)",
            [(row[0],) for row in rows],
        )
    database.close()


def measure(count: int) -> dict[str, float]:
    with served() as server:
        rosa = server.call("POST", "/accounts/", {"email": "rosa@lab.example"}).json()
        token = server.call("POST", f"/accounts/{rosa['id']}/auth_tokens/").json()["token"]
        server.stop()
        fill(str(server.data_dir / "cosphere.sqlite"), count)
        server.start()
        searches = {
            "a rare word": f"query=_{count // 2}&limit=50",
            "a frequent word": "query=weather&limit=50",
            "and, and not": "query=taxi%20%26events%20~sensors&limit=50",
            "two letters": "query=_9&limit=50",
            "nothing found": "query=nosuchtable&limit=50",
            "the first page": "limit=50",
            "a page in the middle": f"limit=50&offset={count // 2}",
            "by name": "name=nosuchtable",
        }
        found = {}
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=server.base, headers=headers, trust_env=False, timeout=60) as client:
            for name, query in searches.items():
                times = []
                for number in range(ROUNDS):
                    # Another address each time: an answer that was kept would tell nothing of searching.
                    path = f"/catalogue/items/?{query}&n={number}"
                    seconds, answer = timed(lambda path=path: client.get(path))
                    assert answer.status_code == 200, answer.text
                    times.append(seconds * 1000)
                found[name] = percentile(times, 0.5)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    options = parser.parse_args()
    print(machine())
    results = {size: measure(size) for size in options.sizes}
    print("\n  p50 in ms      " + "".join(f"{size:>12,} items" for size in options.sizes) + "   growth")
    for name in results[options.sizes[0]]:
        figures = [results[size][name] for size in options.sizes]
        print(f"  {name:<22}" + "".join(f"{each:12.1f}      " for each in figures) + f"{figures[-1] / figures[0]:6.1f}")
    print()
    worst = max(results[options.sizes[-1]].values())
    verdict(f"slowest search or page at {options.sizes[-1]:,} items", worst, 50, at_least=False, unit="ms")


if __name__ == "__main__":
    main()
