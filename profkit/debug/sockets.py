"""This process's sockets, file descriptors and threads, by psutil."""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from typing import Literal, Protocol, TypedDict, cast

import psutil

from profkit.masking import Masker

TOP_PEERS = 20
MAX_LISTENING = 50
MAX_THREAD_NAMES = 100


class PeerReport(TypedDict):
    """One other end: who called us, without the port, or whom we called, with it; `states` are counts by state."""

    address: str
    direction: Literal["in", "out"]
    count: int
    states: dict[str, int]


class SocketsReport(TypedDict):
    """Sockets of this process. `states` are counts by state, UDP's as `NONE`; `unix` counts those of that family.

    `listening` are addresses, at most 50; `peers` the 20 with most sockets, `peers_left_out` how many more there are.
    What the system refuses (macOS without rights) is `None`, and why is in `error`. Addresses are never looked up.
    """

    total: int | None
    states: dict[str, int]
    unix: int | None
    listening: list[str]
    peers: list[PeerReport]
    peers_left_out: int
    error: str | None


class DescriptorsReport(TypedDict):
    """File descriptors: how many are `open`, the soft `limit` (`None`: none), and `saturation`, `open / limit`."""

    open: int | None
    limit: int | None
    saturation: float | None
    error: str | None


class ThreadName(TypedDict):
    """One of Python's threads; `native_id` is the system's."""

    name: str
    daemon: bool
    native_id: int | None


class ThreadNames(TypedDict):
    """`count` of Python's threads, of the `system`'s with those that C code started, and Python's first 100."""

    count: int
    system: int | None
    names: list[ThreadName]
    names_left_out: int


class SystemReport(TypedDict):
    """What the system tells of this process."""

    sockets: SocketsReport
    file_descriptors: DescriptorsReport
    threads: ThreadNames


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


def system_report(masker: Masker) -> SystemReport:
    """Return what the system tells. It takes some milliseconds, more where the host has very many sockets."""
    return {
        "sockets": _sockets(masker),
        "file_descriptors": _file_descriptors(masker),
        "threads": _threads(masker, _system_threads()),
    }


def without_system(why: str, masker: Masker) -> SystemReport:
    """Return what is known without asking the system, and why it is no more."""
    return {
        "sockets": _no_sockets(why),
        "file_descriptors": {"open": None, "limit": _descriptor_limit(), "saturation": None, "error": why},
        "threads": _threads(masker, None),
    }


def _no_sockets(why: str) -> SocketsReport:
    return {
        "total": None,
        "states": {},
        "unix": None,
        "listening": [],
        "peers": [],
        "peers_left_out": 0,
        "error": why,
    }


def _sockets(masker: Masker) -> SocketsReport:
    try:
        rows = cast("list[_Socket]", psutil.Process().net_connections(kind="all"))
    except (psutil.Error, OSError) as error:
        return _no_sockets(masker.mask_error(error))
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


def _peers(rows: list[_Socket]) -> list[PeerReport]:
    """Who is at the other end, most sockets first. A caller's own port says nothing, a server's says which service."""
    ours = {_port(row.laddr) for row in rows if row.status == psutil.CONN_LISTEN}
    states: dict[tuple[str, Literal["in", "out"]], Counter[str]] = {}
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
    return host_and_port(cast("_Address", address).ip, cast("_Address", address).port)


def host_and_port(host: str, port: int) -> str:
    """Return an address as one writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port(address: object) -> int:
    return cast("_Address", address).port if address else -1


def _file_descriptors(masker: Masker) -> DescriptorsReport:
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


def _system_threads() -> int | None:
    try:
        return psutil.Process().num_threads()
    except (psutil.Error, OSError):
        return None


def _threads(masker: Masker, system: int | None) -> ThreadNames:
    threads = threading.enumerate()
    return {
        "count": len(threads),
        "system": system,
        "names": [
            {"name": masker.mask_text(thread.name), "daemon": thread.daemon, "native_id": thread.native_id}
            for thread in threads[:MAX_THREAD_NAMES]
        ],
        "names_left_out": max(0, len(threads) - MAX_THREAD_NAMES),
    }
