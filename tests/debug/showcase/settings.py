"""Settings of the showcase: nested, of many types, with secrets in all the places where they are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from pydantic import SecretStr

from tests.debug.showcase.hostile import LONG, NAMES, SCRIPT
from tests.debug.showcase.scene import SECRETS, Scene


class Region(Enum):
    NORTH = "north"
    SOUTH = "south"


@dataclass
class Database:
    url: str = f"postgresql://orders:{SECRETS[0]}@db-1.internal:5432/orders?application_name=orders"
    pool_size: int = 20
    pool_timeout: float = 2.5
    echo: bool = False
    replicas: list[str] = field(default_factory=lambda: ["db-2.internal", "db-3.internal"])


@dataclass
class Model:
    name: str = "m-large"
    api_key: SecretStr = field(default_factory=lambda: SecretStr(SECRETS[2]))
    temperature: float = 0.2
    timeout: timedelta = timedelta(seconds=30)
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {SECRETS[2]}"})
    fallbacks: tuple[dict[str, Any], ...] = (
        {"name": "m-small", "after": 2, "budget": 0.05},
        {"name": SCRIPT, "after": None, "budget": 1e-9},
    )


@dataclass
class Shop:
    """The application's settings."""

    region: Region = Region.NORTH
    catalogue: PurePosixPath = field(default_factory=lambda: PurePosixPath("/srv/orders/catalogue.json"))
    workers: int = 4
    database: Database = field(default_factory=Database)
    model: Model = field(default_factory=Model)
    admin_password: str = SECRETS[1]
    motto: str = ""
    notes: str = "The first line.\nThe second, which is longer than a line can be: " + "and so on " * 30
    buckets: list[float] = field(
        default_factory=lambda: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
    )
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    word: str = LONG
    deep: dict[str, Any] = field(
        default_factory=lambda: {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": "the bottom"}}}}}}}}}
    )


def settings(scene: Scene) -> Shop:
    """Return them, with as many more as the scene asks for."""
    extra: dict[str, Any] = {name: name for name in NAMES}
    extra["nested"] = {name: {"value": name, "count": index} for index, name in enumerate(NAMES)}
    extra |= {f"switch_{number:05}": number % 7 for number in range(scene.settings)}
    if scene.name_length:
        extra[scene.name] = scene.name
    return Shop(extra=extra)


def features() -> dict[str, object]:
    """Return the feature switches."""
    return {"new_checkout": True, "rollout": 0.25, SCRIPT: "on", "regions": ["north", "south"]}
