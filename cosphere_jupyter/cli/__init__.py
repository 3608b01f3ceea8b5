"""The subcommands of ``jupyter cosphere``."""
