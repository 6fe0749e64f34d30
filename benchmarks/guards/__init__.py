"""What must hold, measured. Ratios are of pairs within one run, so that a noisy machine is noisy for both sides.

`python -m benchmarks.run` prints the figures beside their limits; tests/test_guards.py holds `GUARDS`, with the slack
that each figure has on a machine that does other things too, and one retry.
"""

from __future__ import annotations

from benchmarks.guards.bursts import bursts, bursts_in_coroutine
from benchmarks.guards.calls import coroutine_call, function_call
from benchmarks.guards.computing import (
    awaits_in_operation,
    fib_in_operation,
    orjson_in_operation,
    tree_in_operation,
)
from benchmarks.guards.ending import slow_end
from benchmarks.guards.fan_out import (
    gather_beside_neighbour,
    socket_beside_neighbour,
    timers_beside_neighbour,
)
from benchmarks.guards.many import overlapping, suspended
from benchmarks.guards.measuring import Measurement, Row
from benchmarks.guards.memory import long_operation
from benchmarks.guards.neighbours import four_threads, innocent_thread
from benchmarks.guards.parts import known_parts
from benchmarks.guards.web import hello_world

__all__ = ["GUARDS", "Measurement", "OTHERS", "Row"]

GUARDS: tuple[Row, ...] = (
    function_call,
    coroutine_call,
    fib_in_operation,
    tree_in_operation,
    awaits_in_operation,
    orjson_in_operation,
    innocent_thread,
    bursts,
    known_parts,
    gather_beside_neighbour,
)
"""About a minute in all."""
OTHERS: tuple[Row, ...] = (
    bursts_in_coroutine,
    timers_beside_neighbour,
    socket_beside_neighbour,
    four_threads,
    overlapping,
    suspended,
    slow_end,
    long_operation,
    hello_world,
)
"""Measured too, but too long, or too much at the mercy of the machine, for every test run."""
