"""What this process is connected to: sockets, file descriptors, threads, pools, and what it serves now."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import TypedDict

from profkit.debug.pools import PoolReader, PoolReport, SearchReport
from profkit.debug.problems import Problem
from profkit.debug.servers import ServerReport, server_report
from profkit.debug.sockets import (
    DescriptorsReport,
    SocketsReport,
    SystemReport,
    ThreadNames,
    system_report,
    without_system,
)
from profkit.masking import Masker
from profkit.masking import masker as default_masker

WITHIN = 1.0
"""Seconds for what the system tells, beside those for the pools."""
LIMITER = "anyio.to_thread"


class ConnectionsReport(TypedDict):
    """What this process is connected to, and what it serves now.

    `pools`: those given first, then those found, at most 100; `pools_left_out` how many more there are. `pool_search`
    says how these were looked for, `None` if they were not, or not yet.
    """

    sockets: SocketsReport
    file_descriptors: DescriptorsReport
    threads: ThreadNames
    pools: list[PoolReport]
    pools_left_out: int
    pool_search: SearchReport | None
    server: ServerReport


def connections_report(
    pools: Mapping[str, object],
    *,
    masker: Masker = default_masker,
    find_pools: bool = False,
    limiter: object = None,
    reader: PoolReader | None = None,
) -> ConnectionsReport:
    """Return the connections of this process, masked and bounded. Never raises; it takes some seconds at most.

    `find_pools` looks for pools that are not given too, of which `limiter` is one: that of anyio's worker threads in
    the event loop that answers. `reader` remembers what was found, and which pools hang.
    """
    reader = reader or PoolReader()
    system = _begin_system(reader, masker)
    found = reader.search() if find_pools else None
    near = {} if limiter is None or not find_pools else {LIMITER: limiter}
    states, left_out = reader.read(pools, found, near, masker=masker)
    told = _end_system(system, masker)
    return {
        "pools": states,
        "pools_left_out": left_out,
        "pool_search": None if found is None else found.report(),
        "server": server_report([] if found is None else found.servers, masker=masker),
        "sockets": told["sockets"],
        "file_descriptors": told["file_descriptors"],
        "threads": told["threads"],
    }


def _begin_system(reader: PoolReader, masker: Masker) -> Future[SystemReport] | None:
    try:
        return reader.begin("system", lambda: system_report(masker))
    except Problem:
        return None


def _end_system(system: Future[SystemReport] | None, masker: Masker) -> SystemReport:
    if system is None:
        return without_system("not asked: too much is being asked at once", masker)
    try:
        return system.result(WITHIN)
    except TimeoutError:
        return without_system(f"the system does not answer within {WITHIN:g} s", masker)
    except Exception as error:  # noqa: BLE001 - the pools are worth having
        return without_system(masker.mask_error(error), masker)
