"""What the benchmarks share: a real server, peers in processes of their own, and a table of ratios.

Machines are noisy: every figure stands beside its peer's from the same run, and the best of some rounds counts.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from real_server import RealServer  # noqa: E402

# Generated data stay between runs.
DATA = Path(os.environ.get("COSPHERE_BENCHMARK_DATA", Path.home() / ".cache" / "cosphere-benchmarks"))


def machine() -> str:
    import duckdb
    import pandas
    import pyarrow
    import tornado

    versions = f"duckdb {duckdb.__version__}, pyarrow {pyarrow.__version__}, pandas {pandas.__version__}"
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{versions}, tornado {tornado.version}; load {load}"
    )


@contextmanager
def served(*options: str, host: str = "server") -> Iterator[RealServer]:
    """A real Jupyter server with an empty workspace; ``host`` is the application that loads the extension."""
    with TemporaryDirectory(prefix="cosphere-bench-") as folder:
        server = RealServer(Path(folder), *options, host=host)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def in_process(function: str, **arguments: Any) -> dict[str, Any]:
    """Run ``module:function(**arguments)`` of this folder in a fresh process; adds ``peak_mb`` to what it returns."""
    program = (
        "import importlib, json, resource, sys; sys.path.insert(0, sys.argv[1]); "
        "module, name = sys.argv[2].split(':'); "
        "result = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[3])); "
        "result['peak_mb'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024; "
        "print('RESULT ' + json.dumps(result))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), function, json.dumps(arguments)],
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{function} failed:\n{done.stdout}\n{done.stderr}")
    return dict(json.loads(lines[-1].removeprefix("RESULT ")))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def verdict(name: str, value: float, aim: float, *, at_least: bool, unit: str = "") -> None:
    """Print a figure beside its aim."""
    met = value >= aim if at_least else value <= aim
    sign = "≥" if at_least else "≤"
    print(f"  {name:<58} {value:9.2f}{unit:<3} aim {sign} {aim:g}{unit}  {'met' if met else 'MISSED'}")
