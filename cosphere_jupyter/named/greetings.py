"""The task of the Dragon API's examples."""

from __future__ import annotations

from .functions import task


@task(quick=True, idempotent=True)
def hello(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"
