"""Numbers of stacks, which are the same in every profile."""

from __future__ import annotations

import dataclasses
import gc
import threading
import weakref
from typing import Any

import pytest

from profkit_analyzers.attribution import stacks
from profkit_analyzers.attribution.rulings import attribute
from profkit_analyzers.attribution.stacks import Stacks, known_stacks
from profkit_analyzers.findings.marks import Traits
from profkit_storage import Node, Profile
from profkit_storage.categories import CategoryTable, load_categories


@pytest.fixture
def table(tmp_path: Any) -> CategoryTable:
    rules = tmp_path / "rules.toml"
    rules.write_text("schema = 1\n")
    return load_categories(rules)


def test_a_stack_has_one_number_wherever_it_is(make_profile: Any, frames: Any, table: CategoryTable) -> None:
    known = Stacks(table)
    main, get, send = (
        frames.app("app:main"),
        frames.lib("redis.client:get", "redis"),
        frames.lib("httpx:get", "httpx"),
    )
    first = make_profile(stacks=[([main, get], 1.0), ([main, send], 1.0)])
    other = make_profile(stacks=[([main, send], 1.0), ([get], 1.0), ([main, get], 1.0)])
    numbers, others = known.numbers(first), known.numbers(other)
    assert _paths(first, numbers).items() & _paths(other, others).items() == _paths(first, numbers).items()
    assert len(known) == 4  # main, both below it, and redis by itself
    again = dataclasses.replace(first, id="another")
    assert known.numbers(again) == numbers
    assert len(known) == 4


def test_the_line_is_part_of_a_stack(make_profile: Any, frames: Any, table: CategoryTable) -> None:
    profile = make_profile(stacks=[([frames.app("app:main")], 1.0)])
    known = Stacks(table)
    [node] = profile.nodes
    moved = dataclasses.replace(profile, nodes=(Node(node.parent, node.frame, node.line + 1),))
    assert known.numbers(profile) != known.numbers(moved)


def test_of_many_nodes_those_are_numbered_that_are_asked_for(
    make_profile: Any, frames: Any, table: CategoryTable
) -> None:
    shared = make_profile(
        stacks=[([frames.app("app:main"), frames.app(f"app:f{number}")], 1.0) for number in range(400)]
    )
    few = [dataclasses.replace(shared, samples=shared.samples[first : first + 3]) for first in (0, 100, 101)]
    known, whole = Stacks(table), Stacks(table)
    for profile in few:
        numbers = known.numbers(profile)
        assert [known.frames[numbers[sample.node]] for sample in profile.samples] == [
            shared.frames[shared.nodes[sample.node].frame] for sample in profile.samples
        ]
        assert [known.callers[numbers[sample.node]] for sample in profile.samples] == [0, 0, 0]
        assert numbers is known.numbers(few[0]), "found once for all that share the nodes"
    assert len(known) == 1 + 3 + 4
    assert len(whole.numbers(shared)) == len(whole) == 401  # type: ignore[arg-type]


def test_tables_of_nodes_are_told_apart_and_let_go(
    make_profile: Any, frames: Any, table: CategoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "_SPARSE", 0)
    monkeypatch.setattr(stacks, "_SHARED", 2)  # nodes, of which each has one
    known = Stacks(table)
    for number in range(50):  # the memory of one that is let go may become another's
        profile = make_profile(stacks=[([frames.app(f"app:f{number}")], 1.0)])
        [sample] = profile.samples
        assert known.frames[known.numbers(profile)[sample.node]].qualname == f"f{number}"
    assert len(known._shared) == 2
    other = dataclasses.replace(profile, frames=(frames.app("app:other"),))
    assert known.frames[known.numbers(other)[0]].qualname == "other"


def test_what_numbers_is_let_go_without_the_collector(
    make_profile: Any, frames: Any, table: CategoryTable
) -> None:
    """It pauses while profiles are read, and a table that is given up holds 100,000 stacks."""
    shared = make_profile(stacks=[([frames.app(f"app:f{number}")], 1.0) for number in range(100)])
    few = dataclasses.replace(shared, samples=shared.samples[:2])
    known = Stacks(table)
    numbers, gone = known.numbers(few), weakref.ref(known)
    assert numbers[few.samples[0].node] == 0
    gc.collect()
    gc.disable()
    try:
        del known
        assert gone() is None
    finally:
        gc.enable()
    with pytest.raises(ReferenceError, match="has to keep what gives them"):
        numbers[few.samples[1].node]


def test_many_nodes_are_not_numbered_for_many_samples(
    make_profile: Any, frames: Any, table: CategoryTable
) -> None:
    shared = make_profile(stacks=[([frames.app(f"app:f{number}")], 0.001) for number in range(6_000)])
    known = Stacks(table)
    numbers = known.numbers(dataclasses.replace(shared, samples=shared.samples[:200] * 5))
    assert len(known) == 0
    assert numbers[shared.samples[150].node] == 0


def test_too_many_are_forgotten_and_the_answer_stays(
    make_profile: Any, frames: Any, table: CategoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "_MOST", 10)
    profiles = [
        make_profile(stacks=[([frames.app(f"app:f{number}"), frames.lib("redis.client:get", "redis")], 1.0)])
        for number in range(20)
    ]
    found = [attribute(profile, table) for profile in profiles]
    assert len(known_stacks(table)) <= 12
    assert [attribute(profile, table) for profile in profiles] == found


def test_several_threads_get_the_same_numbers(make_profile: Any, frames: Any, table: CategoryTable) -> None:
    known, traits = Stacks(table), Traits(table)
    profiles = [
        make_profile(stacks=[([frames.app(f"app:f{number}"), frames.lib(f"redis:g{number}", "redis")], 1.0)])
        for number in range(300)
    ]
    found: list[list[list[int]]] = []

    def count() -> None:
        numbers = [known.numbers(profile) for profile in profiles]
        traits.learn(known)
        assert len(traits.requests) >= 600
        found.append(numbers)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(numbers == found[0] for numbers in found)
    assert len(known) == len(traits.near) == len(traits.requests) == 600


def _paths(profile: Profile, numbers: list[int]) -> dict[tuple[object, ...], int]:
    """Return the number of each stack, by its frames and lines."""
    return {tuple(profile.stack(node)): number for node, number in enumerate(numbers)}
