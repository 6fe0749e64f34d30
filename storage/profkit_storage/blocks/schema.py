"""The tables of a block and their columns, as docs/blocks.md explains them. Imports Polars."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

Columns = Mapping[str, type[pl.DataType] | pl.DataType]

_COUNTS = {"samples": pl.UInt32, "branches": pl.UInt32, "children": pl.UInt32, "enclosing": pl.UInt32}
_PROFILES: Columns = {
    "block": pl.String,
    "profile": pl.UInt32,
    "id": pl.String,
    "operation": pl.String,
    "category": pl.String,
    "service": pl.String,
    "version": pl.String,
    "host": pl.String,
    "python": pl.String,
    "request_id": pl.String,
    "trace_id": pl.String,
    "span_id": pl.String,
    "start_ns": pl.Int64,
    "wall": pl.Float64,
    "status": pl.String,
    "trigger": pl.String,
    "cpu": pl.Float64,
    "paused": pl.Float64,
    "threshold": pl.Float64,
    "weight": pl.Float64,
    "pid": pl.Int64,
    "number": pl.Int64,
    "tags": pl.String,
    "engine": pl.String,
    "interval": pl.Float64,
    "ticks": pl.Int64,
    "sampler_cpu": pl.Float64,
    "unobserved": pl.Float64,
    "dropped_children": pl.Int64,
    **_COUNTS,
    "frame_order": pl.List(pl.UInt32),
    "node_order": pl.List(pl.UInt32),
}
_SAMPLES: Columns = {
    "block": pl.String,
    "profile": pl.UInt32,
    "node": pl.UInt32,
    "wall": pl.Float64,
    "cpu": pl.Float64,
    "branch": pl.Int32,
    "state": pl.String,
    "holder": pl.Int64,
    "inferred": pl.Boolean,
}
_NODES: Columns = {
    "block": pl.String,
    "node": pl.UInt32,
    "parent": pl.Int64,
    "frame": pl.UInt32,
    "line": pl.Int64,
}
_FRAMES: Columns = {
    "block": pl.String,
    "frame": pl.UInt32,
    "qualname": pl.String,
    "filename": pl.String,
    "first_line": pl.Int64,
    "module": pl.String,
    "distribution": pl.String,
    "origin": pl.String,
}
_BRANCHES: Columns = {
    "block": pl.String,
    "profile": pl.UInt32,
    "branch": pl.Int32,
    "name": pl.String,
    "parent": pl.Int32,
    "start": pl.Float64,
    "end": pl.Float64,
}
_CHILDREN: Columns = {
    "block": pl.String,
    "profile": pl.UInt32,
    "child": pl.Int32,
    "name": pl.String,
    "category": pl.String,
    "start": pl.Float64,
    "end": pl.Float64,
    "tags": pl.String,
    "parent": pl.Int32,
}
_ENCLOSING: Columns = {
    "block": pl.String,
    "profile": pl.UInt32,
    "number": pl.Int64,
    "slow": pl.Boolean,
}
_SETS: Columns = {
    "block": pl.String,
    "set": pl.UInt32,
    "id": pl.String,
    "service": pl.String,
    "version": pl.String,
    "host": pl.String,
    "pid": pl.Int64,
    "start_ns": pl.Int64,
    "end_ns": pl.Int64,
    "rollups": pl.UInt32,
}
_ROLLUPS: Columns = {
    "block": pl.String,
    "set": pl.UInt32,
    "operation": pl.String,
    "category": pl.String,
    "calls": pl.Int64,
    "errors": pl.Int64,
    "seconds": pl.Float64,
    "slow": pl.Int64,
    "kept": pl.Int64,
    "threshold": pl.Float64,
    "dropped_reasons": pl.List(pl.String),
    "dropped_counts": pl.List(pl.Int64),
    "buckets": pl.List(pl.Int32),
    "bucket_counts": pl.List(pl.Int64),
}
TABLES: Mapping[str, Columns] = {
    "samples": _SAMPLES,
    "branches": _BRANCHES,
    "children": _CHILDREN,
    "enclosing": _ENCLOSING,
    "nodes": _NODES,
    "frames": _FRAMES,
    "profiles": _PROFILES,
    "rollups": _ROLLUPS,
    "sets": _SETS,
}
"""Every table, in the order in which those of a block are written: what the others are joined to comes last."""

ROW_GROUP = 32_768
"""Rows that are read together of a long table."""
