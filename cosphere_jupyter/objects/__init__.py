"""Versioned objects with data that follows the schema of an action."""
