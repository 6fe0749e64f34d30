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


def check_spool(storage: ProfileStorage | None, settings: Settings) -> None:
    """Look whether the spool could be written if the settings name its directory; the usual one is what there is.

    Raises:
        StorageError: it cannot be made or written.
    """
    spool = _spool(storage, settings) if os.fspath(settings.spool) else None
    if spool is not None:
        spool.check_possible()


def with_spool(storage: ProfileStorage | None, settings: Settings, faults: Faults) -> ProfileStorage | None:
    """Return the store with a spool for what it cannot take; the store itself where none is wanted.

    One in memory has none unless a directory is given: what it holds is gone with the process anyway.
    """
    spool = _spool(storage, settings)
    if storage is None or spool is None:
        return storage
    return SpooledStorage(
        storage, spool, on_failure=lambda error: faults.add("store_failed", masker.mask_error(error))
    )


def _spool(storage: ProfileStorage | None, settings: Settings) -> Spool | None:
    path = os.fspath(settings.spool)
    if storage is None or path == _OFF or not settings.spool_bytes:
        return None
    if not path and storage.url.startswith("memory:"):
        return None
    directory = spool_directory(storage.url, Path(path).expanduser().absolute() if path else None)
    return Spool(directory, max_bytes=settings.spool_bytes, max_age=settings.spool_age)
