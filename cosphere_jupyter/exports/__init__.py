"""Typed downloads: asked for by type, polled, then fetched as a file."""
