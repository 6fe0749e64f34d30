"""Blocking calls on the event loop, from the side of those that had to wait, and of the one that blocked."""

from __future__ import annotations

import asyncio
import time


async def sleepy() -> None:
    for _ in range(5):
        await asyncio.sleep(0.04)


def crunch(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(100))


def test_the_function_that_had_the_loop_is_named_with_all_it_kept_waiting(watch, facts):
    one, two = watch("one")(sleepy), watch("two")(sleepy)

    async def blocker() -> None:
        await asyncio.sleep(0.01)
        crunch(0.3)

    async def main() -> None:
        await asyncio.gather(one(), one(), two(), blocker())

    asyncio.run(main())
    found = watch.one("blocking_call", "one", "two")
    assert found.place == f"{__name__}.crunch"
    assert found.operation == "one"
    assert found.operations == 3
    assert 3 * 0.15 < found.seconds < 3 * 0.35
    assert facts(found)["operations that it kept from the loop"] == 3
    assert facts(found)["kinds of operation"] == 2
    assert len(found.exemplars) == 3


def test_an_operation_that_blocks_the_loop_itself(watch, facts):
    @watch("export")
    async def export() -> None:
        await asyncio.sleep(0.02)
        time.sleep(0.3)  # noqa: ASYNC251

    asyncio.run(export())
    found = watch.one("blocking_call")
    assert found.place.endswith("<locals>.export")
    assert "operations that it kept from the loop" not in facts(found)
    assert 0.2 < facts(found)["its own operation waited, holding the loop"] < 0.4


def test_the_same_off_the_loop_is_silent(watch):
    @watch("export")
    async def export() -> None:
        await asyncio.sleep(0.02)
        await asyncio.to_thread(time.sleep, 0.3)
        await asyncio.sleep(0.02)

    one = watch("one")(sleepy)

    async def main() -> None:
        await asyncio.gather(one(), export())

    asyncio.run(main())
    assert "blocking_call" not in watch.patterns("one", "export")


def test_many_short_steps_are_no_blocking_call(watch):
    """Together they take longer than one that is told of: the loop is busy, and nobody blocks it."""
    one = watch("one")(sleepy)

    async def busy() -> None:
        for _ in range(12):
            crunch(0.02)
            await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(one(), busy())

    asyncio.run(main())
    assert "blocking_call" not in watch.patterns("one")


def test_a_short_hold_is_silent(watch):
    one = watch("one")(sleepy)

    async def main() -> None:
        task = asyncio.create_task(one())
        await asyncio.sleep(0.01)
        crunch(0.03)
        await task

    asyncio.run(main())
    assert "blocking_call" not in watch.patterns("one")


def test_a_sleep_in_plain_code_holds_no_loop(watch):
    @watch("job")
    def job() -> None:
        time.sleep(0.2)

    job()
    assert watch.patterns("job") == set()
