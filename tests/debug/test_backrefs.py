"""What keeps objects alive: chains from a root, as data and as an image; names of types and attributes, no value."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest

from profkit.debug.memory.backrefs import SEARCHABLE, BackrefsReport, find_backrefs, held_by
from profkit.debug.memory.drawing import svg_of
from profkit.debug.memory.edges import attribute, namespace
from profkit.debug.memory.references import PART, references
from profkit.debug.memory.roots import _locals, roots
from profkit.masking import masker

SECRET = "sk-live_abcdefghijklmnopqrstuvwxyz012345"
HELD: dict[str, Any] = {}


class Leaf:
    """What is looked for; nothing of it may be called."""

    def __repr__(self) -> str:
        raise AssertionError("no repr is called")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("nothing is compared")

    def __hash__(self) -> int:
        raise AssertionError("nothing is hashed")

    def __getattribute__(self, name: str) -> object:
        raise AssertionError("no attribute is asked for")


class Box:
    """An instance with attributes."""

    kept: Any = None

    def __init__(self, **attributes: object) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    @property
    def trap(self) -> object:
        raise AssertionError("no property is read")


pytestmark = pytest.mark.skipif(not SEARCHABLE, reason="refused on Python 3.12, which it can crash")


class Slots:
    """An instance with slots."""

    __slots__ = ("__weakref__", "inner", "unset")

    def __init__(self, inner: object) -> None:
        self.inner = inner


NAME = f"{__name__}.Leaf"


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    """Nothing is held by a test before."""
    HELD.clear()
    gc.collect()
    yield
    HELD.clear()


def search(name: str = NAME, **options: Any) -> BackrefsReport:
    """Search from a thread without locals of its own, as a route does."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(find_backrefs(name, **{"seconds": 60, **options})))
    thread.start()
    thread.join()
    assert orjson.loads(orjson.dumps(found[0])) == found[0]
    return found[0]


def ways(report: BackrefsReport) -> list[list[str]]:
    """What is on each chain: how it is held, or its type where that has no name."""
    return [
        [held_by(chain, number) or hop["name"] or hop["type"] for number, hop in enumerate(chain["hops"])]
        for chain in report["chains"]
    ]


def test_the_way_from_a_module_is_named_by_its_attributes() -> None:
    HELD["private-key"] = Box(entries=[Slots(Box(leaf=Leaf()))])
    report = search()
    assert report["found"] == 1
    assert report["ended"] == "all"
    assert report["note"] is None
    assert ways(report) == [
        [__name__, ".HELD", f"{__name__}.Box", ".entries", f"{__name__}.Slots", ".inner", ".leaf"]
    ]
    chain = report["chains"][0]
    assert (chain["objects"], chain["root"], chain["steps"], chain["hops_left_out"]) == (1, "module", 6, 0)
    assert chain["hops"][-1]["type"] == NAME
    assert "private-key" not in orjson.dumps(report).decode() + svg_of(report)


def test_objects_held_the_same_way_are_one_chain_and_most_come_first() -> None:
    HELD["few"] = [Leaf() for _ in range(3)]
    HELD["many"] = Box(cache={number: Leaf() for number in range(5000)})
    HELD["one"] = Slots(Leaf())
    report = search(count=2)
    assert report["found"] == 5004
    assert [chain["objects"] for chain in report["chains"]] == [5000, 3]
    assert report["chains_left_out"] == 1
    assert ways(report)[0][-2:] == [".cache", NAME]


def test_the_way_is_the_shortest() -> None:
    leaf = [Leaf()]
    HELD["far"] = [[[[leaf]]]]
    HELD["near"] = leaf
    del leaf
    assert [chain["steps"] for chain in search()["chains"]] == [3]


def test_what_only_a_running_function_holds_is_found() -> None:
    gate, stop = threading.Event(), threading.Event()

    def work() -> None:
        mine = [Leaf() for _ in range(7)]
        gate.set()
        stop.wait(60)
        mine.clear()  # an assertion of pytest's would ask for locals()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert gate.wait(10)
        report = search()
    finally:
        stop.set()
        worker.join()
    assert report["found"] == 7
    assert report["chains"][0]["root"] == "frame"
    assert ways(report)[0][0].endswith("<locals>.work")
    assert ways(report)[0][1:] == ["mine", NAME]


def test_a_functions_own_dict_of_its_variables_is_left_alone() -> None:
    gate, stop, seen = threading.Event(), threading.Event(), list[dict[str, object]]()

    def work() -> None:
        mine = "here"
        own = locals()
        gate.set()
        stop.wait(60)
        seen.append(dict(own))
        assert mine

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert gate.wait(10)
        search()
    finally:
        stop.set()
        worker.join()
    assert seen[0]["mine"] == "here"


def test_looking_at_a_running_function_keeps_nothing_of_it_alive() -> None:
    gate, checked, go_on, stop = (threading.Event() for _ in range(4))
    alive: list[bool] = []

    def work() -> None:
        mine: Any = Box()
        deaths = []
        mine.leaf = type("Mourned", (), {"__del__": lambda self: deaths.append(1)})()
        gate.set()
        go_on.wait(60)
        mine = None
        alive.append(not deaths)
        checked.set()
        stop.wait(60)
        alive.append(mine is not None)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert gate.wait(10)
        search()
        go_on.set()
        assert checked.wait(10)
    finally:
        go_on.set()
        stop.set()
        worker.join()
    assert alive == [False, False]


def test_what_only_a_suspended_task_holds_is_found() -> None:
    async def main() -> BackrefsReport:
        async def keep() -> None:
            mine = [Leaf()]
            await asyncio.sleep(60)
            assert mine

        task = asyncio.create_task(keep())
        await asyncio.sleep(0)
        try:
            return await asyncio.to_thread(find_backrefs, NAME, seconds=60)
        finally:
            task.cancel()

    report = asyncio.run(main())
    assert report["found"] == 1
    assert report["chains"][0]["root"] in {"event loop", "frame"}
    assert ways(report)[0][-1] == NAME


def test_every_frame_of_a_busy_event_loop_is_a_root() -> None:
    """A coroutine that is suspended while its callers are looked for has none then."""

    async def turn() -> None:
        for _ in range(50):
            time.sleep(0.0002)  # noqa: ASYNC251 - where others get their turn
            await asyncio.sleep(0)

    def names() -> list[bool]:
        found = [
            any(root.name.endswith("outermost_of_all") for root in roots() if root.kind == "frame")
            for _ in range(20)
        ]
        stop.set()
        return found

    async def main() -> list[bool]:
        looking = asyncio.create_task(asyncio.to_thread(names))
        while not stop.is_set():
            await asyncio.gather(*(turn() for _ in range(10)))
        return await looking

    def outermost_of_all() -> list[bool]:
        return asyncio.run(main())

    stop = threading.Event()
    assert outermost_of_all() == [True] * 20


def test_garbage_has_no_root_and_it_says_so() -> None:
    gc.disable()
    try:
        knot: list[Any] = [Leaf()]
        knot.append(knot)
        del knot
        report = search()
    finally:
        gc.enable()
    assert report["found"] == 0
    assert report["chains"] == []
    assert "garbage that waits for collection" in str(report["note"])
    assert "No object of this type" in svg_of(report)


def test_types_that_are_not_tracked_are_found_too() -> None:
    HELD["x"] = Box(raw=[bytearray(b"secret") for _ in range(4000)])
    report = search("builtins.bytearray", count=1)
    assert report["chains"][0]["objects"] == 4000
    assert ways(report)[0][-2:] == [".raw", "builtins.bytearray"]


def test_a_long_chain_is_bounded() -> None:
    link: Any = None
    for _ in range(3000):
        link = Slots(link)
    link = [link]
    inner = link
    while isinstance(inner, list) or inner.inner is not None:
        inner = inner[0] if isinstance(inner, list) else inner.inner
    inner.inner = Leaf()
    del inner
    HELD["x"] = link
    del link
    report = search()
    chain = report["chains"][0]
    assert chain["objects"] == 1
    assert chain["steps"] > 3000
    assert len(chain["hops"]) == 40
    assert chain["hops_left_out"] == chain["steps"] + 1 - 40
    assert chain["hops"][-1]["type"] == NAME
    image = svg_of(report)
    assert f"{chain['hops_left_out']:,} more" in image
    # All further links are one way: they differ in length alone.
    links = search(f"{__name__}.Slots", count=1)
    assert links["chains"][0]["objects"] > 2900
    HELD.clear()


def test_names_that_may_be_values_are_not_shown() -> None:
    box = Box(
        **{
            SECRET.replace("-", "_"): [1, Leaf()],
            "a b": Leaf(),
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789": [],
        }
    )
    HELD["x"] = box
    del box
    report = search()
    text = orjson.dumps(report).decode() + svg_of(report)
    assert report["found"] == 2
    for word in (SECRET, SECRET.replace("-", "_"), "abcdefghijklmnopqrstuvwxyz", "a b"):
        assert word not in text


def test_names_are_read_without_code() -> None:
    leaf = Leaf()
    box = Box(leaf=leaf, other=1)
    assert attribute(box, leaf, masker) == "leaf"
    assert attribute(Slots(leaf), leaf, masker) == "inner"
    assert attribute(sys, sys.modules, masker) == "modules"
    Box.kept = leaf
    try:
        assert attribute(Box, leaf, masker) == "kept"
    finally:
        Box.kept = None
    assert attribute(Box(**{"a" * 61: leaf}), leaf, masker) is None
    assert attribute({"leaf": leaf}, leaf, masker) is None
    assert namespace(box) is box.__dict__
    assert namespace(Slots(1)) is None
    assert namespace(leaf) == {}


def test_large_containers_come_in_parts_and_whole_if_they_change() -> None:
    leaves = [[number] for number in range(3 * PART)]
    factory = defaultdict(list, enumerate(leaves))
    kinds: list[Any] = [leaves, tuple(leaves), deque(leaves), dict(enumerate(leaves)), factory]
    kinds += [OrderedDict(enumerate(leaves)), set(map(id, leaves)), frozenset(map(id, leaves))]
    for kind in kinds:
        parts = list(references(kind))
        assert len(parts) > 2
        assert max(map(len, parts)) <= PART
        known = {id(one) for part in parts for one in part}
        assert known >= {
            id(one) for one in gc.get_referents(kind) if gc.is_tracked(one) and type(one) is list
        }
    assert [list] in [part[:1] for part in references(factory)]
    changing = dict(enumerate(leaves))
    walk = references(changing)
    next(walk)
    changing[-1] = [1]
    assert max(len(part) for part in walk) > 3 * PART
    assert len(list(references(leaves[:10]))) == 1


def test_a_search_ends_by_size_by_time_and_when_its_caller_leaves() -> None:
    HELD["x"] = [Leaf() for _ in range(1000)]
    report = search("no.Such", objects=1000)
    assert (report["ended"], report["looked_at"]) == ("size", 1000)
    assert "before it had seen everything" in str(report["note"])
    stop = threading.Event()
    stop.set()
    assert search("no.Such", stop=stop)["ended"] == "caller left"
    HELD["many"] = [[number] for number in range(500_000)]
    began = time.monotonic()
    report = search("no.Such", seconds=1, objects=5_000_000)
    assert report["ended"] == "time"
    assert time.monotonic() - began < 20
    HELD.clear()


def test_others_run_during_a_search() -> None:
    HELD["many"] = [[number] for number in range(100_000)]
    stop, gaps = threading.Event(), [0.0]

    def probe() -> None:
        last = time.monotonic()
        while not stop.is_set():
            time.sleep(0.001)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        search("no.Such")
    finally:
        stop.set()
        prober.join()
    assert sorted(gaps)[-5] < 0.1  # asking for referrers takes longer each time


def test_the_image_is_plain_xml_whatever_a_type_is_called() -> None:
    kind = type("Odd", (), {})
    kind.__qualname__ = "</text><script>alert(1)</script>\x00\ud800&\u202e"
    HELD["x"] = [kind()]
    report = search(f"{kind.__module__}.{kind.__qualname__}")
    assert report["found"] == 1
    image = svg_of(report)
    root = ET.fromstring(image.encode("utf-8", "replace"))
    kinds = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert kinds == {"svg", "title", "rect", "text", "g", "line", "path"}
    assert not [one for one in root.iter() if {"style", "href", "onload"} & one.attrib.keys()]
    assert float(root.attrib["height"]) > 200


@pytest.mark.parametrize("make", [lambda: (number for number in [Leaf()]), lambda: iter([Leaf()])])
def test_what_has_a_finalizer_is_looked_through_at_once(make: Callable[[], object]) -> None:
    HELD["x"] = make()
    assert search()["found"] == 1


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="not looked at on 3.12; each look is its own since 3.13"
)
def test_locals_that_a_function_has_asked_for_stay_as_they_are() -> None:
    class Kept:
        """May be referred to weakly."""

    def suspended() -> Iterator[None]:
        user = Kept()
        yield
        del user

    shared: Any = suspended()
    next(shared)
    taken = shared.gi_frame.f_locals
    user: Any = dict(_locals(shared.gi_frame))["user"]
    assert taken["user"] is user
    alone: Any = suspended()
    next(alone)
    user = dict(_locals(alone.gi_frame))["user"]
    left = weakref.ref(user)
    del user
    next(alone, None)
    assert left() is None, "a dictionary that nobody else has asked for keeps nothing"
