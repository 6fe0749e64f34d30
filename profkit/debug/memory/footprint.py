"""How much memory the process has from the system, and what Python's and the C library's allocators made of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, cast

import psutil

from profkit.debug.memory.holds import LOOK_LIMIT, Cost, TooLarge, allocated_blocks, held
from profkit.debug.memory.single import Recent

_STATUS = {
    "VmHWM": "rss_peak_bytes",
    "RssAnon": "anonymous_bytes",
    "RssFile": "file_bytes",
    "RssShmem": "shmem_bytes",
}
_AGE = 5.0
_NO_ARENAS = "CPython tells the size of its arenas only by writing to standard error"
_NO_MALLINFO = "this C library has no mallinfo2 (glibc 2.33 and later have)"

# The heap's lock is held meanwhile: 40 ms for 200,000 holes of a kilobyte and a half between blocks in use.
_walking = Cost("counting the C library's free blocks", "bytes are resident", 0.04 / 4e9)


class ProcessMemory(TypedDict):
    """What the system says of this process, in bytes; None where it does not say.

    `rss` is resident, of it `anonymous_bytes` (heaps, stacks), `file_bytes` (code, mapped files) and `shmem_bytes`;
    `percent` is its share of the host's memory. `uss` is the process's own alone, `pss` has its share of what is
    shared; these two take the kernel `seconds` (20 ms for each GB) and are `age` seconds old.
    """

    rss: int
    vms: int
    percent: float
    rss_peak_bytes: int | None
    anonymous_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    uss: int | None
    pss: int | None
    swap: int | None
    seconds: float
    age: float


class MallocMemory(TypedDict):
    """glibc's heap, in bytes: objects beyond 512 bytes, and what libraries in C allocate.

    `heap_bytes` came from the system for it, of which `in_use_bytes` are in use and `free_bytes`, in `free_blocks`
    pieces, are free but still resident in part; `mapped_bytes` are large blocks with a mapping each. `stall_seconds`:
    how long counting the free pieces took, during which others may have waited for the heap.
    """

    heap_bytes: int
    in_use_bytes: int
    free_bytes: int
    free_blocks: int
    releasable_bytes: int
    mapped_bytes: int
    mapped_blocks: int
    stall_seconds: float


class HeapMemory(TypedDict):
    """Allocators: blocks that Python's objects have, the arenas they lie in, and the C library's heap.

    What cannot be had is None, and `unknown` says why, by its name.
    """

    python_blocks: int
    python_arena_bytes: int | None
    malloc: MallocMemory | None
    unknown: dict[str, str]


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


class _Shares(TypedDict):
    uss: int | None
    pss: int | None
    swap: int | None
    seconds: float


def process_memory() -> ProcessMemory:
    """Return what the system says of this process."""
    sizes = psutil.Process().memory_info()
    status = _status()
    shares, age = _shares.get()
    return {
        "rss": sizes.rss,
        "vms": sizes.vms,
        "percent": round(sizes.rss / psutil.virtual_memory().total * 100, 2),
        "rss_peak_bytes": status.get("rss_peak_bytes"),
        "anonymous_bytes": status.get("anonymous_bytes"),
        "file_bytes": status.get("file_bytes"),
        "shmem_bytes": status.get("shmem_bytes"),
        **shares,
        "age": age,
    }


def heap_memory(limit: float = LOOK_LIMIT) -> HeapMemory:
    """Return what the allocators say, as far as it stops the process for at most `limit` seconds."""
    unknown = {"python_arena_bytes": _NO_ARENAS}
    malloc = None
    try:
        malloc = _malloc(limit)
    except (TooLarge, NotImplementedError) as error:
        unknown["malloc"] = str(error)
    return {
        "python_blocks": allocated_blocks(),
        "python_arena_bytes": None,
        "malloc": malloc,
        "unknown": unknown,
    }


def _status() -> dict[str, int]:
    """Return what Linux keeps count of anyway, a fifth of a millisecond; nothing elsewhere."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            key, _, rest = line.partition(":")
            if key in _STATUS:
                found[_STATUS[key]] = int(rest.split()[0]) * 1024
    return found


def _measure_shares() -> _Shares:
    began = time.perf_counter()
    full: object = None
    with contextlib.suppress(psutil.Error, OSError):  # needs rights on some systems
        full = psutil.Process().memory_full_info()
    uss, pss, swap = (cast("int | None", getattr(full, name, None)) for name in ("uss", "pss", "swap"))
    return {"uss": uss, "pss": pss, "swap": swap, "seconds": round(time.perf_counter() - began, 4)}


_shares = Recent(_measure_shares, _AGE)


def _malloc(limit: float) -> MallocMemory:
    """Raises `TooLarge`, and `NotImplementedError` where the C library does not tell."""
    ask = _mallinfo2()
    if ask is None:
        raise NotImplementedError(_NO_MALLINFO)
    rss = psutil.Process().memory_info().rss
    _walking.check(rss, limit)
    info, stall = held(ask)
    _walking.learn(rss, stall)
    return {
        "heap_bytes": info.arena,
        "in_use_bytes": info.uordblks,
        "free_bytes": info.fordblks,
        "free_blocks": info.ordblks,
        "releasable_bytes": info.keepcost,
        "mapped_bytes": info.hblkhd,
        "mapped_blocks": info.hblks,
        "stall_seconds": round(stall, 6),
    }


@functools.cache
def _mallinfo2() -> Callable[[], _Mallinfo2] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):  # musl, and glibc before 2.33
        return None
    ask.restype = _Mallinfo2
    ask.argtypes = []
    return cast("Callable[[], _Mallinfo2]", ask)
