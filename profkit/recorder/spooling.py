"""Puts a spool behind a store, as the settings say."""

from __future__ import annotations

import os
from pathlib import Path

from profkit.config import Settings
from profkit.faults import Faults
from profkit.masking import masker
from profkit_storage import ProfileStorage
from profkit_storage.spool import Spool, spool_directory
from profkit_storage.spooled import SpooledStorage

_OFF = "off"


def with_spool(storage: ProfileStorage | None, settings: Settings, faults: Faults) -> ProfileStorage | None:
    """Return the store with a spool for what it cannot take; the store itself where none is wanted.

    One in memory has none unless a directory is given: what it holds is gone with the process anyway.
    """
    path = os.fspath(settings.spool)
    if storage is None or path == _OFF or not settings.spool_bytes:
        return storage
    if not path and storage.url.startswith("memory:"):
        return storage
    directory = spool_directory(storage.url, Path(path).expanduser().absolute() if path else None)
    spool = Spool(directory, max_bytes=settings.spool_bytes, max_age=settings.spool_age)
    return SpooledStorage(
        storage, spool, on_failure=lambda error: faults.add("store_failed", masker.mask_error(error))
    )
