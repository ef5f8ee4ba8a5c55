"""Tables beside the files: CSV, TSV and Parquet become columns."""
