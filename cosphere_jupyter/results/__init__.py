"""The result store: Parquet files in folders, visible only when a manifest names them."""
