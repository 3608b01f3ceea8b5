"""The rooms of bundles, put together: the part of the workspace's services that the CodaLab face stands on."""

from __future__ import annotations

from logging import Logger
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .accounts.service import Accounts
    from .database.engine import Database
    from .downloads.service import Downloads
    from .exports.service import Exports
    from .results.folder import FolderStore
    from .services import Settings
    from .tasks.engine import TaskEngine


class BundleRooms:
    """What `Services` has of bundles; the attributes above are those of other rooms that it is built from."""

    settings: Settings
    log: Logger
    accounts: Accounts
    database: Database
    downloads: Downloads
    exports: Exports
    store: FolderStore
    tasks: TaskEngine

    def _build_bundles(self) -> None:
        from .bundles.contents import Contents
        from .bundles.freeze import Freezing
        from .bundles.interpret import Interpreter
        from .bundles.people import Users
        from .bundles.runs import Runs
        from .bundles.service import Bundles
        from .bundles.store import BundleStore
        from .bundles.uploads import Uploads
        from .bundles.worksheet_service import Worksheets
        from .bundles.worksheet_sources import WorksheetSources
        from .exports.bundles import BundleType

        bundle_store = BundleStore(self.settings.data_dir / "bundles")
        self.users = Users(self.database, self.accounts)
        self.runs = Runs.build(self.database, self.tasks, bundle_store, self.settings, self.log)
        self.bundle_contents = Contents(self.database, bundle_store, self.runs.live_folder)
        self.uploads = Uploads(self.database, self.bundle_contents)
        self.bundles = Bundles(self.database, self.runs, self.bundle_contents.discard)
        self.worksheets = Worksheets(self.database)
        self.worksheet_sources = WorksheetSources(self.database)
        self.interpreter = Interpreter(self.database, self.bundle_contents)
        self.freezing = Freezing(self.database, self.bundle_contents, self.downloads, self.store)
        self.exports.register(BundleType(self.bundle_contents.find))
