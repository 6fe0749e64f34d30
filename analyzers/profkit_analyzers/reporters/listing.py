"""Stored profiles as a list: a table, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import seconds
from profkit_analyzers.reporters.terminal import Screen, written
from profkit_storage import ProfileEntry, Status

_WIDE = 120
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def started(entry: ProfileEntry) -> datetime:
    """Return when the operation started, in UTC."""
    return _EPOCH + timedelta(microseconds=entry.start_ns // 1000)


def render(entries: Sequence[ProfileEntry], screen: Screen) -> str:
    """Return one line for each profile, in the order given."""
    if screen.width is None or screen.width >= _WIDE:
        return _wide(entries, screen)
    columns = (
        Column("id"),
        Column("start (UTC)"),
        Column("seconds", right=True, style="bold"),
        Column("operation", shrink=True),
    )
    rows = [[entry.id, _clock(entry), seconds(entry.wall), _noted(entry)] for entry in entries]
    return written(in_columns(columns, rows, screen.width), screen)


def to_dict(entry: ProfileEntry) -> dict[str, object]:
    """Return an entry as plain values for JSON, as docs/analysis-json.md tells."""
    return {
        "id": entry.id,
        "operation": entry.operation,
        "category": entry.category,
        "service": entry.service,
        "start": started(entry).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seconds": round(entry.wall, 6),
        "status": str(entry.status),
        "trigger": str(entry.trigger),
        "size": entry.size,
        "key": entry.key,
    }


def _wide(entries: Sequence[ProfileEntry], screen: Screen) -> str:
    columns = (
        Column("id"),
        Column("start (UTC)"),
        Column("seconds", right=True, style="bold"),
        Column("status"),
        Column("trigger"),
        Column("category", shrink=True, style="cyan"),
        Column("operation", shrink=True),
        Column("service", shrink=True),
    )
    rows = [
        [
            entry.id,
            _clock(entry),
            seconds(entry.wall),
            entry.status,
            entry.trigger,
            entry.category,
            entry.operation,
            entry.service,
        ]
        for entry in entries
    ]
    return written(in_columns(columns, rows, screen.width), screen)


def _clock(entry: ProfileEntry) -> str:
    return f"{started(entry):%Y-%m-%d %H:%M:%S}"


def _noted(entry: ProfileEntry) -> str:
    return entry.operation if entry.status is Status.OK else f"{entry.status}: {entry.operation}"
