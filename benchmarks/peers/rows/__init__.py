"""The rows by name, in the order of the table."""

from __future__ import annotations

from benchmarks.peers.rows.base import Row
from benchmarks.peers.rows.calls import AsyncCall, SyncCall
from benchmarks.peers.rows.computing import Awaits, Fib, Orjson, TreeWalk
from benchmarks.peers.rows.concurrent import FourThreads, InnocentThread, Overlapping, Suspended
from benchmarks.peers.rows.memory import LongOperation
from benchmarks.peers.rows.truth import Bursts, Gather, KnownParts
from benchmarks.peers.rows.web import HelloWorld, HelloWorldCpu

ROWS: dict[str, type[Row]] = {
    "sync-call": SyncCall,
    "async-call": AsyncCall,
    "fib": Fib,
    "tree": TreeWalk,
    "awaits": Awaits,
    "orjson": Orjson,
    "innocent": InnocentThread,
    "four-threads": FourThreads,
    "hello": HelloWorld,
    "hello-cpu": HelloWorldCpu,
    "overlapping": Overlapping,
    "suspended": Suspended,
    "memory": LongOperation,
    "parts": KnownParts,
    "bursts": Bursts,
    "gather": Gather,
}
