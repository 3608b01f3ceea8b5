"""Runs and makes as tests start them: stored as the API stores them, followed to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support import Api

FINAL = ("ready", "failed", "killed")
DEFAULTS = {"name": "run", "description": "", "tags": [], "allow_failed_dependencies": False}


class Bench:
    """Starts bundles of one account after another, and waits for them."""

    def __init__(self, services: Any, owner: Api) -> None:
        self.services = services
        self.owner = owner

    async def store(self, bundle_type: str, state: str = "created", account: Api | None = None, **values: Any) -> Any:
        """Store a bundle without starting anything."""
        from cosphere_jupyter.bundles.records import Dependency, NewBundle, store_bundle

        parents = [Dependency(*each) for each in values.pop("dependencies", ())]
        metadata = {**DEFAULTS, **values.pop("metadata", {})}
        new = NewBundle(
            (account or self.owner).account["id"], bundle_type, metadata, state, dependencies=parents, **values
        )
        return await self.services.database.write(lambda connection: store_bundle(connection, new))

    async def start(self, bundle_type: str, account: Api | None = None, **values: Any) -> Any:
        """Store a run or make and start it, as one transaction."""
        from cosphere_jupyter.bundles.records import Dependency, NewBundle, store_bundle

        parents = [Dependency(*each) for each in values.pop("dependencies", ())]
        metadata = {**DEFAULTS, **values.pop("metadata", {})}
        owner_id = (account or self.owner).account["id"]
        new = NewBundle(owner_id, bundle_type, metadata, dependencies=parents, **values)

        def work(connection: Any) -> Any:
            return self.services.runs.start(connection, store_bundle(connection, new))

        return await self.services.database.write(work)

    async def run(self, command: str, *dependencies: tuple[str, ...], **values: Any) -> Any:
        """Start a run; dependencies are (child_path, parent_uuid[, parent_path])."""
        return await self.start("run", command=command, dependencies=dependencies, **values)

    async def make(self, *dependencies: tuple[str, ...], **values: Any) -> Any:
        return await self.start("make", dependencies=dependencies, **values)

    async def ended(self, bundle: Any, seconds: float = 60) -> Any:
        """Wait until a bundle has ended and return it."""
        return await self.reaches(bundle, lambda found: found.state in FINAL, seconds)

    async def done(self, command: str, *dependencies: tuple[str, ...], **values: Any) -> Any:
        """Run a command to its end."""
        return await self.ended(await self.run(command, *dependencies, **values))

    async def reaches(self, bundle: Any, condition: Callable[[Any], bool], seconds: float = 60) -> Any:
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            found = await self.read(bundle)
            if condition(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, found
            await asyncio.sleep(0.03)

    async def read(self, bundle: Any) -> Any:
        from cosphere_jupyter.bundles.records import read_bundle

        return await self.services.database.read(lambda connection: read_bundle(connection, bundle.uuid))

    async def update(self, bundle: Any, **changes: Any) -> Any:
        from cosphere_jupyter.bundles.records import update_bundle

        return await self.services.database.write(lambda connection: update_bundle(connection, bundle, **changes))

    async def dataset(self, files: Mapping[str, str] | str, **values: Any) -> Any:
        """Store a dataset that is ready: files of a folder, or the text of the only file."""
        from cosphere_jupyter.bundles.contents import adopt
        from cosphere_jupyter.bundles.hashing import measure

        bundle = await self.store("dataset", state="ready", **values)
        store = self.store_of_contents
        aside = store.aside(bundle.uuid)
        if isinstance(files, str):
            aside.write_text(files)
        else:
            aside.mkdir()
            for path, text in files.items():
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                (aside / path).write_text(text)
        measured = measure(aside)
        location = store.publish(bundle.uuid, aside)
        return await self.services.database.write(lambda connection: adopt(connection, bundle, location, measured))

    @property
    def store_of_contents(self) -> Any:
        return self.services.runs._place.folders.store

    def contents(self, bundle: Any) -> Path:
        """Where the contents of a bundle lie."""
        return self.store_of_contents.path(bundle.location)

    def text(self, bundle: Any, path: str = "stdout") -> str:
        return (self.contents(bundle) / path).read_text()

    def names(self, bundle: Any) -> list[str]:
        root = self.contents(bundle)
        return sorted(str(each.relative_to(root)) for each in root.rglob("*"))

    async def has_tidied(self, seconds: float = 20) -> bool:
        """Wait until no folder of a run is left: the last thing that is done."""
        root = self.services.runs._place.folders.root
        deadline = asyncio.get_running_loop().time() + seconds
        while root.exists() and (left := list(root.iterdir())):
            assert asyncio.get_running_loop().time() < deadline, left
            await asyncio.sleep(0.02)
        return True
