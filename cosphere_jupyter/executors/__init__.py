"""Engines which answer a request: each compiles one typed request tree and unloads the answer as Parquet.

Nothing heavy is imported here; an engine's library is imported by the code that runs it.
"""
