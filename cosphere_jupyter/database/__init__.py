"""Where the workspace's records live: SQLite on a personal server."""
