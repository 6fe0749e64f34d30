"""Collections of garbage and imports inside an operation, captured; without them there is nothing."""

from __future__ import annotations

import gc
import importlib
import sys

import pytest


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that takes a while to import."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.15)\nsum(range(2_000_000))\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_to_import"
    sys.modules.pop("slow_to_import", None)


def test_an_import_in_an_operation_and_none_the_second_time(watch, module, facts):
    @watch("first")
    def first() -> None:
        import slow_to_import  # noqa: F401

    @watch("second")
    def second() -> None:
        import slow_to_import  # noqa: F401

        sum(number * number for number in range(2_000_000))

    first()
    second()
    found = watch.one("slow_import")
    assert found.operation == "first"
    assert "<locals>.first (line " in found.place
    assert facts(found)["module"] == module
    assert found.seconds > 0.15
    assert watch.patterns("first") == {"slow_import"}  # what the module does is no finding of the operation's


def test_an_import_by_name(watch, module):
    @watch("plugin")
    def plugin() -> None:
        importlib.import_module(module)

    plugin()
    assert "<locals>.plugin (line " in watch.one("slow_import").place


def test_collections(watch, facts):
    kept = [[number] for number in range(600_000)]

    @watch("collects")
    def collects() -> None:
        for _ in range(4):
            gc.collect()

    @watch("calm")
    def calm() -> int:
        return sum(len([number]) for number in range(1_500_000))

    gc.collect()
    collects()
    gc.disable()
    try:
        calm()
    finally:
        gc.enable()
    assert len(kept) == 600_000
    found = watch.one("gc_pause")
    assert found.operation == "collects"
    assert found.seconds > 0.1
    assert 0 < facts(found)["the longest pause"] < found.seconds
    assert watch.findings("calm") == []
