"""Bundles and worksheets: immutable data and runs with where they come from (the CodaLab API's subject)."""
