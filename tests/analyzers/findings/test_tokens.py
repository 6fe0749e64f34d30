"""Time to the first token, from the tags of captured operations; tags that say nothing, or nonsense, are none."""

from __future__ import annotations

import asyncio
import time

import pytest

LATE = {"gen_ai.response.time_to_first_chunk": 0.9, "gen_ai.request.model": "m-large"}


def ask(watch, seconds: float = 1.05, **tags: object) -> None:
    @watch("reply")
    def reply() -> None:
        with watch.profiler.operation("llm.chat", category="llm") as call:
            time.sleep(seconds)
            call.tag(**tags)

    reply()


def test_waiting_for_the_first_token(watch, facts):
    ask(watch, **LATE)
    found = watch.one("time_to_first_token", "reply")
    assert (found.operation, found.place) == ("reply", "llm.chat")
    assert found.seconds == pytest.approx(0.9)
    assert facts(found)["model"] == "m-large"
    assert facts(found)["to the first token, an answer"] == pytest.approx(0.9)
    assert facts(found)["streaming after it, an answer"] == pytest.approx(0.15, abs=0.1)
    assert "shorter prompt" in found.advice


def test_streaming_for_long(watch):
    ask(watch, ttft_ms=200, model="m-small")
    found = watch.one("time_to_first_token", "reply")
    assert found.seconds == pytest.approx(0.85, abs=0.1)
    assert "shorter answer" in found.advice


def test_the_tags_of_the_operation_itself(watch):
    with watch.profiler.operation("llm.stream", category="llm") as call:
        time.sleep(1.05)
        call.tag(time_to_first_token=0.8)
    assert watch.one("time_to_first_token").place == "llm.stream"


def test_without_tags_and_with_nonsense_in_them_there_is_nothing(watch):
    nonsense = (
        {},
        {"model": "m"},
        *({"ttft": value} for value in (-1, "soon", float("nan"), 30, True, 10**400)),
    )

    async def ask_with(tags: dict[str, object]) -> None:
        async with watch.profiler.operation("llm.chat", category="llm") as call:
            await asyncio.sleep(1.05)
            call.tag(**tags)

    @watch("reply")
    async def reply() -> None:
        await asyncio.gather(*map(ask_with, nonsense))

    asyncio.run(reply())
    (profile,) = watch.captured("reply")
    assert len(profile.children) == len(nonsense)
    assert watch.patterns("reply") == set()


def test_a_short_answer_is_nobodys_concern(watch):
    ask(watch, 0.3, ttft=0.25)
    assert watch.patterns("reply") == set()
