"""This process's sockets, file descriptors, threads and pools, by psutil."""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Protocol, cast

import psutil

from profkit.debug.pools import pool_report
from profkit.masking import Masker
from profkit.masking import masker as default_masker

TOP_PEERS = 20
MAX_LISTENING = 50
MAX_THREAD_NAMES = 100


class _Address(Protocol):
    ip: str
    port: int


class _Socket(Protocol):
    """One of psutil's rows."""

    family: int
    type: int
    laddr: object
    raddr: object
    status: str


def connections_report(pools: Mapping[str, object], *, masker: Masker = default_masker) -> dict[str, object]:
    """`{"sockets", "file_descriptors", "threads", "pools"}` of this process. Never raises.

    `sockets`: `total`, `states` (state to count, UDP as `NONE`), `unix` (count), `listening` (addresses), `peers`
    (the 20 with most sockets: `{"address", "direction", "count", "states"}`; who called us without the port, whom
    we called with it), `peers_left_out`, `error`. What the system refuses (macOS without rights) is `None`, and why
    is in `error`. Addresses are numbers, never looked up.
    """
    return {
        "sockets": _sockets(masker),
        "file_descriptors": _file_descriptors(masker),
        "threads": _threads(masker),
        "pools": pool_report(pools, masker=masker),
    }


def _sockets(masker: Masker) -> dict[str, object]:
    try:
        rows = cast("list[_Socket]", psutil.Process().net_connections(kind="all"))
    except (psutil.Error, OSError) as error:
        return {
            "total": None,
            "states": {},
            "unix": None,
            "listening": [],
            "peers": [],
            "peers_left_out": 0,
            "error": masker.mask_error(error),
        }
    inet = [row for row in rows if row.family in (socket.AF_INET, socket.AF_INET6)]
    listening = {_address(row.laddr) for row in inet if row.status == psutil.CONN_LISTEN}
    peers = _peers(inet)
    return {
        "total": len(rows),
        "states": dict(Counter(row.status for row in inet).most_common()),
        "unix": len(rows) - len(inet),
        "listening": sorted(listening)[:MAX_LISTENING],
        "peers": peers[:TOP_PEERS],
        "peers_left_out": max(0, len(peers) - TOP_PEERS),
        "error": None,
    }


def _peers(rows: list[_Socket]) -> list[dict[str, object]]:
    """Who is at the other end, most sockets first. A caller's own port says nothing, a server's says which service."""
    ours = {_port(row.laddr) for row in rows if row.status == psutil.CONN_LISTEN}
    states: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        if not row.raddr:
            continue
        inbound = _port(row.laddr) in ours
        address = cast("_Address", row.raddr).ip if inbound else _address(row.raddr)
        states.setdefault((address, "in" if inbound else "out"), Counter())[row.status] += 1
    ranked = sorted(states.items(), key=lambda item: (-item[1].total(), item[0]))
    return [
        {"address": address, "direction": direction, "count": counts.total(), "states": dict(counts)}
        for (address, direction), counts in ranked
    ]


def _address(address: object) -> str:
    if not address:
        return ""
    ip, port = cast("_Address", address).ip, cast("_Address", address).port
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _port(address: object) -> int:
    return cast("_Address", address).port if address else -1


def _file_descriptors(masker: Masker) -> dict[str, object]:
    """`open`, the soft `limit` (`None`: unlimited) and `saturation`, `open / limit`."""
    limit = _descriptor_limit()
    try:
        opened = psutil.Process().num_fds()
    except (psutil.Error, OSError, AttributeError) as error:  # num_fds is missing on Windows
        return {"open": None, "limit": limit, "saturation": None, "error": masker.mask_error(error)}
    saturation = round(opened / limit, 4) if limit else None
    return {"open": opened, "limit": limit, "saturation": saturation, "error": None}


def _descriptor_limit() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _threads(masker: Masker) -> dict[str, object]:
    """`count` of Python's threads, of the `system`'s with those that C code started, and Python's names."""
    threads = threading.enumerate()
    try:
        system = psutil.Process().num_threads()
    except (psutil.Error, OSError):
        system = None
    names = [
        {"name": masker.mask_text(thread.name), "daemon": thread.daemon, "native_id": thread.native_id}
        for thread in threads[:MAX_THREAD_NAMES]
    ]
    return {
        "count": len(threads),
        "system": system,
        "names": names,
        "names_left_out": max(0, len(threads) - MAX_THREAD_NAMES),
    }
