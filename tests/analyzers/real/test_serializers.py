"""orjson, json, pickle and pydantic, beside plain code on the same data."""

from __future__ import annotations

import json
import pickle
from datetime import datetime

import orjson
import pydantic
import pytest

pytestmark = pytest.mark.alone  # another test's work would be between the clocks and the looks

ROWS = [{"id": n, "at": "2026-03-14T15:09:26", "name": f"row {n}", "parts": [n] * 8} for n in range(30_000)]


class Row(pydantic.BaseModel):
    id: int
    at: datetime
    name: str
    parts: list[int]

    @pydantic.field_validator("name")
    @classmethod
    def short(cls, value: str) -> str:
        return value.strip()


class Rows(pydantic.RootModel[list[Row]]): ...


def plain(rows):
    return sorted((sum(row["parts"]) % 7, row["name"].upper()) for row in rows)


def test_orjson_json_and_pickle(captured):
    def work(clock):
        for _ in range(6):
            with clock("serialization"):
                text = orjson.dumps(ROWS)
                rows = orjson.loads(text)
            plain(rows)
        with clock("serialization"):
            json.loads(json.dumps(ROWS))
        plain(ROWS)
        with clock("serialization"):
            rows = pickle.loads(pickle.dumps(ROWS))

    case = captured(work)
    case.holds()
    for owner in ("orjson", "json", "pickle"):
        assert case.seconds(category="serialization", owner=owner) > 0.01


def test_pydantic(captured):
    text = orjson.dumps(ROWS)

    def work(clock):
        with clock("serialization"):
            rows = Rows.model_validate_json(text)
        plain(ROWS)
        with clock("serialization"):
            rows.model_dump_json()
        plain(ROWS)
        with clock("serialization"):
            for row in ROWS[:6000]:
                Row(**row)
            found = rows.model_dump()
        plain(found)

    case = captured(work)
    case.holds()
    assert case.seconds(category="serialization", owner="pydantic") > 0.1


def test_a_clients_answer_is_its_serialization(service, captured):
    import httpx

    def work(clock):
        with clock("http"), httpx.Client(base_url=service) as client:
            answer = client.get("/large")
        with clock("serialization"):
            orjson.loads(answer.content)
        with clock("serialization"):
            rows = answer.json()
        plain(rows)

    captured(work).holds()
