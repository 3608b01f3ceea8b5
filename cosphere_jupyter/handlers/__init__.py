"""The HTTP faces: each handler parses, calls a feature and renders. No rule lives here."""
