"""The profiles that are analyzed: 2 to 5 s each, 15 to 60 deep, 10 to 80 stacks; and the same in other forms."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks.storage.profiles import NOON, Service
from profkit_storage import LocalStorage, Profile, encode
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.formats import pprof, pyinstrument
from profkit_storage.keys import profile_key

_ROOT = Path(tempfile.gettempdir()) / "profkit-benchmark-analysis"
_PART = 1_000
_SPACING_NS = 864_000_000
"""Between two of them: 100,000 in a day."""

Form = Callable[[Path, Profile], None]


def raw(count: int) -> Path:
    """Return a store of so many profiles, each by itself."""
    return _made(f"raw-{count}", partial(_fill, count, _put))


def compacted(count: int) -> Path:
    """Return a store of the same ones in blocks."""
    return _made(f"compacted-{count}", partial(_compact, count))


def as_pprof(count: int) -> Path:
    """Return a directory of the same ones as files for `go tool pprof`."""
    return _made(f"pprof-{count}", partial(_fill, count, _put_pprof))


def as_pyinstrument(count: int) -> Path:
    """Return a directory of the same ones as sessions of pyinstrument."""
    return _made(f"pyinstrument-{count}", partial(_fill, count, _put_session))


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """Return a directory that is there from an earlier time, or is made now."""
    directory = _ROOT / name
    if not directory.exists():
        making = _ROOT / f"{name}.{os.getpid()}"
        making.mkdir(parents=True)
        make(making)
        making.rename(directory)
    return directory


def _fill(count: int, form: Form, directory: Path) -> None:
    with multiprocessing.get_context("spawn").Pool() as pool:
        pool.map(partial(_fill_part, form, directory), range(0, count, _PART), chunksize=1)


def _fill_part(form: Form, directory: Path, first: int) -> None:
    service, walls = Service(), random.Random(first)
    service.redraw(first)
    for number in range(first, first + _PART):
        form(directory, service.profile(NOON + number * _SPACING_NS, walls.uniform(2.0, 5.0)))


def _put(directory: Path, profile: Profile) -> None:
    # Not by a store's `put`, which brings each down to the disk by itself.
    path = directory / profile_key(profile)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(profile))


def _put_pprof(directory: Path, profile: Profile) -> None:
    # Without the label of its request: with it no two samples are alike, and pprof was ended after eight minutes.
    alike = dataclasses.replace(profile, request_id="")
    (directory / f"{profile.id}.pb.gz").write_bytes(pprof.render(alike))


def _put_session(directory: Path, profile: Profile) -> None:
    (directory / f"{profile.id}.json").write_text(pyinstrument.render(profile), encoding="utf-8")


def _compact(count: int, directory: Path) -> None:
    shutil.copytree(raw(count), directory, dirs_exist_ok=True)
    for _ in Compaction(LocalStorage(directory), grace=timedelta(0)).run():
        pass
