"""How far estimates are from what requests give: ``python benchmarks/estimate.py [--seed N]``.

500 generated requests (seeded) on the demo's tables and on a generated one of 4 million rows with skewed and correlated
columns. Each is estimated

- counted: with the exact count, and results of up to 20,000 rows written for a try: what the API answers;
- sample: from the stored sample alone, as for tables that cannot be counted in time;
- profile: from the profile alone, what fills ``estimated_size`` when a request is made.

The truth is the unload, run for real. Errors are factors, max(estimate / truth, truth / estimate); of rows with one
added to both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from cosphere_jupyter.catalogue.profiles import Profile
from cosphere_jupyter.catalogue.service import CatalogueItem
from cosphere_jupyter.cli import demo_data
from cosphere_jupyter.downloads import spec as rules
from cosphere_jupyter.downloads.estimate import COUNT_SECONDS, Estimate, combine, learnt_factor
from cosphere_jupyter.executors.duckdb import DuckDBExecutor, child
from cosphere_jupyter.executors.duckdb.estimating import PROBE_ROWS

SEED = 20_130_101
ROWS = 4_000_000
SHARES = {"flights": 0.4, "weather": 0.12, "planes": 0.05, "airports": 0.03, "readings": 0.4}
MODES = ("counted", "sample", "profile")


@dataclass
class Case:
    """A request, what was estimated in each mode, how long that took, and what it gave."""

    table: str
    spec: dict[str, Any]
    estimates: dict[str, Estimate] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0


class Bench:
    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.data = folder / "data"
        self.executor = DuckDBExecutor([self.data], memory_limit="2GB", threads=os.cpu_count() or 1)
        self.items: dict[str, CatalogueItem] = {}
        self.profiles: dict[str, Profile] = {}
        self.values: dict[str, list[dict[str, Any]]] = {}

    def prepare(self) -> None:
        demo_data.prepare(self.data)
        if not (self.data / "readings.parquet").exists():
            make_readings(self.data / "readings.parquet")
        for number, name in enumerate(SHARES):
            source = self.executor.resolve(f"{name}.parquet")
            columns = child.describe(plain(self.executor.describe_params(source)))["columns"]
            work = self.folder / "profiles" / name
            work.mkdir(parents=True)
            start = time.perf_counter()
            child.profile(plain(self.executor.profile_params(source, columns, work, work / "tmp")), ignore)
            seconds = time.perf_counter() - start
            found = json.loads((work / child.OUTCOME).read_text())
            print(f"profile of {name}: {found['rows']:,} rows, {len(columns)} columns, {seconds:.2f} s")
            for scratch in work.glob("*[!e].parquet"):
                scratch.unlink()
            spec, sample = json.dumps(found["columns"]), json.dumps(found["sample"])
            self.items[name] = CatalogueItem(number, name, "DUCKDB", f"{name}.parquet", spec, sample, None, None, None)
            self.profiles[name] = Profile(
                number, source.version, found["rows"], found["estimator"], str(work / "sample.parquet"), 1.0
            )
            self.values[name] = self.some_rows(name)

    def some_rows(self, name: str) -> list[dict[str, Any]]:
        """Rows that filters take their values from: others than those of the stored sample."""
        table = pq.read_table(self.data / f"{name}.parquet")
        chosen = random.Random(f"{self.seed}{name}").sample(range(table.num_rows), min(2_000, table.num_rows))
        return table.take(chosen).to_pylist()

    def cases(self, number: int) -> list[Case]:
        dice = random.Random(self.seed)
        tables = dice.choices(list(SHARES), list(SHARES.values()), k=number)
        return [Case(table, self.spec(dice, table)) for table in tables]

    def spec(self, dice: random.Random, table: str) -> dict[str, Any]:
        columns = {column["name"]: column for column in self.items[table].spec}
        chosen = dice.sample(list(columns), dice.randint(1, min(8, len(columns))))
        filters: list[dict[str, Any]] = []
        for _ in range(dice.choices([0, 1, 2, 3], [2, 4, 3, 2])[0]):
            name = dice.choice(list(columns))
            filters += self.filters(dice, table, columns[name])
        return {"columns": chosen, "filters": filters, "randomize_ratio": dice.choice([1, 1, 0.5, 0.1])}

    def filters(self, dice: random.Random, table: str, column: dict[str, Any]) -> list[dict[str, Any]]:
        name, rows = column["name"], self.values[table]
        found = [row[name] for row in dice.sample(rows, min(20, len(rows))) if row[name] is not None]
        values = sorted(value.isoformat() if hasattr(value, "isoformat") else value for value in found)
        if not values:
            return []
        value = dice.choice(values)
        if column["type"] == "BOOLEAN" or (column["type"] == "STRING" and dice.random() < 0.9) or dice.random() < 0.15:
            return [{"name": name, "operator": dice.choice(["=", "=", "=", "!="]), "value": value}]
        if dice.random() < 0.4:
            low, high = sorted([value, dice.choice(values)])
            return [
                {"name": name, "operator": ">=", "value": low},
                {"name": name, "operator": dice.choice(["<", "<="]), "value": high},
            ]
        return [{"name": name, "operator": dice.choice([">", ">=", "<", "<="]), "value": value}]

    def run(self, case: Case) -> None:
        item, profile = self.items[case.table], self.profiles[case.table]
        query = rules.select(item, case.spec)
        assert not isinstance(query, str), (query, case.spec)
        source = self.executor.resolve(item.source or "")
        types = {column["name"]: column["type"] for column in item.spec}
        for mode in MODES:
            start = time.perf_counter()
            found = None
            if mode != "profile":
                sample = Path(profile.sample_name)
                params = self.executor.estimate_params(
                    source, query, types, sample, COUNT_SECONDS, exact=mode == "counted"
                )
                found = child.estimate(plain(params), ignore)
            case.estimates[mode] = combine(item, query, profile, found)
            case.seconds[mode] = time.perf_counter() - start
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            params = self.executor.unload_params(source, query, types, folder, Path(folder) / "tmp")
            start = time.perf_counter()
            result = child.unload(plain(params), ignore)
            case.seconds["unload"] = time.perf_counter() - start
        case.rows, case.bytes = result["rows"], result["bytes"]

    def with_learning(self, cases: list[Case]) -> Callable[[Case], float]:
        """Return the error of bytes of each case when the factors follow the cases before it."""
        profiles = dict(self.profiles)
        errors: dict[int, float] = {}
        for case in cases:
            profile, item = profiles[case.table], self.items[case.table]
            query = rules.select(item, case.spec)
            assert not isinstance(query, str)
            errors[id(case)] = factor(combine(item, query, profile, None).size, case.bytes)
            learnt = learnt_factor(item, query, profile, case.rows, case.bytes)
            profiles[case.table] = replace(profile, factor=learnt)
        print("factors learnt: " + ", ".join(f"{name} {each.factor:.2f}" for name, each in profiles.items()))
        return lambda case: errors[id(case)]


def make_readings(path: Path) -> None:
    """Zipf-like devices, cities that depend on countries, lognormal prices with NULLs, rare comments."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"""COPY (
              SELECT i AS id,
                TIMESTAMP '2024-01-01' + to_microseconds(i * 7_000_000 + (random() * 5e6)::BIGINT) AS at,
                'device-' || floor(pow(2000, random()) - 1)::INT AS device,
                country,
                country || '-city-' || floor(random() * random() * 20)::INT AS city,
                CASE WHEN random() >= 0.3
                  THEN round(exp(1 + 2 * sqrt(-ln(1 - random())) * cos(6.2832 * random())), 2) END AS price,
                (random() * 100)::INT AS quality,
                random() < 0.1 AS flag,
                CASE WHEN random() >= 0.8 THEN 'note ' || md5(random()::VARCHAR) END AS comment
              FROM (
                SELECT i, ['DE', 'FR', 'PL', 'US', 'JP', 'BR'][1 + floor(6 * random() * random())::INT] AS country
                FROM range({ROWS}) t(i)
              )
            ) TO '{path}' (FORMAT PARQUET, COMPRESSION snappy)"""
        )


def factor(estimate: float, truth: float) -> float:
    return max(estimate / truth, truth / estimate) if estimate > 0 and truth > 0 else float("inf")


def line(name: str, errors: list[float], within: float) -> str:
    errors = sorted(errors)
    inside = sum(error <= within for error in errors) / len(errors)
    middle, ninth = errors[len(errors) // 2], errors[min(len(errors) - 1, int(len(errors) * 0.9))]
    return (
        f"  {name:<28} n={len(errors):<4} median {middle:.3f}  p90 {ninth:.3f}  max {errors[-1]:.2f}  "
        f"within {within:g}x: {inside:.0%}  beyond 2x: {sum(error > 2 for error in errors)}"
    )


def report(bench: Bench, cases: list[Case]) -> None:
    big = [case for case in cases if case.rows >= 1_000]
    huge = [case for case in cases if case.rows > PROBE_ROWS]
    small = [case for case in cases if case.rows < 1_000]
    for mode in MODES:
        print(f"\n{mode}:")
        parts = (("more than 20,000 rows", huge), ("1,000 rows and more", big), ("fewer", small), ("all", cases))
        for name, some in parts:
            rows = [factor((case.estimates[mode].rows or 0) + 1, case.rows + 1) for case in some]
            print(line(f"rows, {name}", rows, 1.1))
            print(line(f"bytes, {name}", [factor(case.estimates[mode].size, case.bytes) for case in some], 1.25))
        inside = sum(case.estimates[mode].low <= case.bytes <= case.estimates[mode].high for case in cases)
        seconds = sorted(case.seconds[mode] for case in cases)
        print(
            f"  low to high holds the truth: {inside / len(cases):.0%}; "
            f"seconds: median {seconds[len(seconds) // 2]:.4f}, p90 {seconds[int(len(seconds) * 0.9)]:.4f}, "
            f"max {seconds[-1]:.3f}"
        )
    print("\nprofile, with the factors learnt from the requests before:")
    learnt = bench.with_learning(cases)
    print(line("bytes, 1,000 rows and more", [learnt(case) for case in big], 1.25))
    print(line("bytes, all", [learnt(case) for case in cases], 1.25))
    print("\nby table (counted, bytes, all):")
    for table in SHARES:
        if some := [case for case in cases if case.table == table]:
            print(line(table, [factor(case.estimates["counted"].size, case.bytes) for case in some], 1.25))
    seconds = sorted(case.seconds["unload"] for case in cases)
    print(f"\nthe unloads themselves: median {seconds[len(seconds) // 2]:.3f} s, max {seconds[-1]:.2f} s")
    print("the worst (counted, bytes):")
    worst = sorted(cases, key=lambda case: -factor(case.estimates["counted"].size, case.bytes))[:8]
    for case in worst:
        found = case.estimates["counted"]
        print(
            f"  {case.table} {case.rows} rows, {case.bytes} bytes, estimated {found.size}: {case.spec} [{found.method}]"
        )


def plain(params: Any) -> Any:
    return json.loads(json.dumps(params))


def ignore(progress: dict[str, Any]) -> None:
    pass


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=500)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--folder", type=Path, help="keep the generated data here")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given.folder or Path(scratch), given.seed)
        bench.data.mkdir(parents=True, exist_ok=True)
        bench.prepare()
        cases = bench.cases(given.requests)
        for case in cases:
            bench.run(case)
        report(bench, cases)


if __name__ == "__main__":
    main()
