"""Closed hours of a service as Parquet blocks (docs/blocks.md): many profiles, or sets of rollups, in a few tables.

A block lies beside the layouts of its originals, below `blocks/v1/date=YYYY-MM-DD/hour=HH/service=S`, as
`{block}.{table}.parquet` and `{block}.manifest.json`, which is written last: a block is there when its manifest is.

What scans needs no Polars; what writes a block or loads from one does.
"""
