"""Keep a dataset's tables as Delta tables in a folder or in S3."""
