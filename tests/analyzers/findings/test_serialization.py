"""Large serialization, captured from json and orjson; small documents in between other work are none."""

from __future__ import annotations

import json
import time

import orjson
import pytest

ROWS = [{"id": number, "name": f"item {number}", "tags": ["a", "b", str(number)]} for number in range(1000)]


@pytest.mark.parametrize("owner", ["json", "orjson"])
def test_one_large_document(watch, owner, facts):
    # A C encoder keeps the sampler out for as long as it runs: between two calls it is seen.
    large = ROWS * (30 if owner == "json" else 300)

    @watch("export json")
    def export_json() -> None:
        for _ in range(6):
            json.dumps(large)

    @watch("export orjson")
    def export_orjson() -> None:
        for _ in range(6):
            orjson.dumps(large)

    export_json() if owner == "json" else export_orjson()
    found = watch.one("large_serialization")
    assert f"<locals>.export_{owner} (line " in found.place
    assert facts(found)["by"] == owner
    assert ("faster encoder" in found.advice) == (owner == "json")


def test_small_documents_between_other_work_are_silent(watch):
    @watch("stream")
    def stream() -> None:
        for _ in range(60):
            json.dumps(ROWS)
            time.sleep(0.006)

    stream()
    assert watch.patterns("stream") == set()
