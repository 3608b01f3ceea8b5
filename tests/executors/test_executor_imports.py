"""The server must start without the engine's libraries."""

import subprocess
import sys


def test_the_servers_side_imports_no_engine():
    code = (
        "import sys, cosphere_jupyter.executors, cosphere_jupyter.executors.base, cosphere_jupyter.executors.sources\n"
        "import cosphere_jupyter.executors.duckdb, cosphere_jupyter.executors.duckdb.child\n"
        "print(sorted({'duckdb', 'pyarrow', 'sqlglot', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_warming_imports_the_engine_and_entries_exist():
    code = (
        "import importlib, sys\n"
        "from cosphere_jupyter.executors.duckdb import DuckDBExecutor as E\n"
        "for entry in (E.warm_entry, E.describe_entry, E.unload_entry):\n"
        "    module, _, name = entry.partition(':')\n"
        "    assert callable(getattr(importlib.import_module(module), name))\n"
        "importlib.import_module(module).warm()\n"
        "print(sorted({'duckdb', 'pyarrow', 'sqlglot'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['duckdb', 'pyarrow', 'sqlglot']"
