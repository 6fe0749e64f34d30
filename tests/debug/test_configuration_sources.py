"""Where `/debug/config` says that values came from: what can be known, and never more."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import pickle
import uuid
from pathlib import Path
from typing import Any

import attrs
import pydantic
import pydantic_settings
import pytest

from profkit import PerformanceProfiler, Settings
from profkit.debug import DebugContext
from profkit.debug.configuration import configuration_report
from profkit.debug.configuration.likeness import is_like
from profkit.debug.configuration.sources import MAX_SETTINGS, find_settings
from profkit.masking import masker

Config = pydantic_settings.SettingsConfigDict


def sources(config: object) -> dict[str, str]:
    """By setting: `default`, `environment SHOP_PORT`."""
    found = configuration_report(config, settings=None, masker=masker)["application"]
    assert found is not None
    assert found["error"] is None
    return {name: f"{one['source']} {one['name'] or ''}".strip() for name, one in found["settings"].items()}


def types(config: object) -> dict[str, str]:
    return {".".join(one.path): one.setting["type"] for one in find_settings(config, masker)}


class Inner(pydantic.BaseModel):
    api_key: pydantic.SecretStr = pydantic.SecretStr("none")
    model: str = "m-small"
    retries: int = 2


class Shop(pydantic_settings.BaseSettings):
    model_config = Config(env_prefix="SHOP_", env_nested_delimiter="__")

    port: int = 80
    debug: bool = False
    name: str = "shop"
    url: pydantic.PostgresDsn | None = None
    hosts: frozenset[str] = frozenset()
    limits: dict[str, int] = {}
    llm: Inner = Inner()
    old: str = pydantic.Field("x", validation_alias=pydantic.AliasChoices("OLD_NAME", "OLDER_NAME"))
    path: Path = Path("/srv")


def test_pydantic_settings_are_traced_to_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "SHOP_PORT": "8080",
        "SHOP_DEBUG": "on",
        "SHOP_URL": "postgresql://u:hunter2@h/db",
        "SHOP_HOSTS": '["b", "a"]',
        "SHOP_LIMITS": '{"a": 1}',
        "SHOP_LLM__API_KEY": "hunter2",
        "SHOP_LLM": '{"model": "m-large"}',
        "older_name": "y",
        "SHOP_PATH": "/srv/app/",
    }
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert sources(Shop()) == {
        "port": "environment SHOP_PORT",
        "debug": "environment SHOP_DEBUG",
        "name": "default",
        "url": "environment SHOP_URL",
        "hosts": "environment SHOP_HOSTS",
        "limits": "environment SHOP_LIMITS",
        "llm.api_key": "environment SHOP_LLM__API_KEY",
        "llm.model": "environment SHOP_LLM",
        "llm.retries": "default",
        "old": "environment older_name",
        "path": "environment SHOP_PATH",
    }


def test_what_the_environment_does_not_hold_is_only_called_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PORT", "8080")
    monkeypatch.setenv("SHOP_NAME", "other")
    settings = Shop(port=9090, name="mine", llm=Inner(model="m-large"))
    found = sources(settings)
    assert (found["port"], found["name"], found["llm.model"]) == ("set", "set", "set")
    assert found["llm.retries"] == found["debug"] == "default"
    monkeypatch.setenv("SHOP_PORT", "9090")  # now it holds that value: more cannot be told
    assert sources(settings)["port"] == "environment SHOP_PORT"
    monkeypatch.setenv("SHOP_DEBUG", "true")  # after it was read
    assert sources(settings)["debug"] == "default"


def test_case_counts_where_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Exact(pydantic_settings.BaseSettings):
        model_config = Config(case_sensitive=True)
        some_port: int = 1

    monkeypatch.setenv("SOME_PORT", "2")
    assert sources(Exact(some_port=2)) == {"some_port": "set"}
    monkeypatch.setenv("some_port", "2")
    assert sources(Exact()) == {"some_port": "environment some_port"}


def test_env_files_and_secret_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first.env").write_text("FILED_PORT=1\nFILED_NAME='a b'\nFILED_EMPTY\n")
    (tmp_path / "second.env").write_text("FILED_PORT=2\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "filed_password").write_text("hunter2\n")
    (secrets / "filed_big").write_bytes(b"x" * 100_000)

    class Filed(pydantic_settings.BaseSettings):
        model_config = Config(
            env_prefix="FILED_",
            env_file=(tmp_path / "first.env", tmp_path / "second.env", tmp_path / "gone.env"),
            secrets_dir=secrets,
        )
        port: int = 0
        name: str = ""
        password: str = ""
        big: str = ""
        directory: str = ""
        other: str = ""

    monkeypatch.setenv("FILED_NAME", "from the environment")
    settings = Filed(directory="x")
    (secrets / "filed_directory").mkdir()
    assert sources(settings) == {
        "port": "env_file FILED_PORT",
        "name": "environment FILED_NAME",
        "password": "secret_file filed_password",
        "big": "set",
        "directory": "set",
        "other": "default",
    }
    shown = str(configuration_report(settings, settings=None, masker=masker)["application"])
    assert str(tmp_path) not in shown
    assert "hunter2" not in shown


def test_a_plain_model_knows_what_it_was_given() -> None:
    class Outer(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        inner: Inner = Inner()
        given: Inner = Inner()
        made: list[str] = pydantic.Field(default_factory=list)

    found = sources(Outer(given=Inner(retries=2), extra="x"))
    assert found == {
        "inner.api_key": "default",
        "inner.model": "default",
        "inner.retries": "default",
        "given.api_key": "default",
        "given.model": "default",
        "given.retries": "set",
        "made": "default",
        "extra": "set",
    }


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class Hostile:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("no code of the application's is run")

    __hash__ = None  # type: ignore[assignment]


def never() -> Any:
    raise AssertionError("no factory of the application's is called")


@dataclasses.dataclass(frozen=True)
class Deep:
    host: str = "localhost"
    level: Level = Level.LOW


DEEP = Deep("h")


@dataclasses.dataclass
class Plain:
    needed: int
    same: str = "a"
    other: str = "a"
    number: float = 1.0
    level: Level = Level.LOW
    names: list[str] = dataclasses.field(default_factory=list)
    more: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    made: object = dataclasses.field(default_factory=never)
    odd: object = Hostile
    deep: Deep = dataclasses.field(default_factory=Deep)
    given: Deep = dataclasses.field(default=DEEP)
    whole: Deep = dataclasses.field(default_factory=never)


def test_a_dataclass_is_compared_with_its_defaults() -> None:
    settings = Plain(
        1, other="b", number=1, more={"a": [1]}, made=Hostile(), odd=Hostile(), given=DEEP, whole=Deep("x")
    )
    assert sources(settings) == {
        "needed": "set",
        "same": "default",
        "other": "set",
        "number": "set",
        "level": "default",
        "names": "default",
        "more": "set",
        "made": "unknown",
        "odd": "set",
        "deep.host": "default",
        "deep.level": "default",
        "given.host": "default",
        "given.level": "default",
        "whole.host": "set",
        "whole.level": "default",
    }


def test_values_with_parts_of_unknown_types_are_not_compared() -> None:
    @dataclasses.dataclass
    class Holding:
        items: tuple[object, ...] = (1, (Hostile(),))
        keys: object = frozenset({Level.LOW})

    assert sources(Holding(items=(1, (Hostile(),)), keys=frozenset({Level.HIGH}))) == {
        "items": "unknown",
        "keys": "unknown",
    }
    assert sources(Holding(items=(2, (Hostile(),)))) == {"items": "set", "keys": "default"}


def test_attrs_classes_and_named_tuples() -> None:
    @attrs.define
    class Defined:
        needed: int
        same: int = 1
        other: int = 1
        items: list[int] = attrs.Factory(list)
        made: object = attrs.Factory(never)

    assert sources(Defined(1, other=2, made=3)) == {
        "needed": "set",
        "same": "default",
        "other": "set",
        "items": "default",
        "made": "unknown",
    }
    Pair = collections.namedtuple("Pair", "host port", defaults=[80])  # noqa: PYI024 - the untyped kind, too
    assert sources(Pair("h")) == {"host": "set", "port": "default"}


def test_of_mappings_and_objects_nothing_is_known() -> None:
    class Thing:
        port = 1

    assert sources(Thing()) == {"port": "unknown"}
    mapping = {"a": 1, "db": {"host": "h", "tags": {}, "models": Inner(retries=3)}, 5: None}
    assert sources(mapping) == {
        "a": "unknown",
        "db.host": "unknown",
        "db.tags": "unknown",
        "db.models.api_key": "default",
        "db.models.model": "default",
        "db.models.retries": "set",
        "5": "unknown",
    }
    assert sources(lambda: {"a": 1}) == {"a": "unknown"}
    assert sources([1]) == {}
    assert sources("text") == {}


def test_types_are_named_and_nothing_else() -> None:
    assert types({"a": 1, "b": pydantic.SecretStr("x"), "c": None, "d": Level.LOW, "e": [1]}) == {
        "a": "int",
        "b": "pydantic.types.SecretStr",
        "c": "NoneType",
        "d": f"{__name__}.Level",
        "e": "list",
    }


def test_cycles_depth_and_number_are_bounded() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = cycle
    assert sources(cycle) == {"a": "unknown", "self": "unknown"}
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    (found,) = find_settings(deep, masker)
    assert len(found.path) == 12
    many = {f"k{n}": {f"l{m}": m for m in range(50)} for n in range(100)}
    assert len(find_settings(many, masker)) == MAX_SETTINGS
    while deep:
        deep = deep.popitem()[1]


class Broken(collections.UserDict[str, int]):
    def __iter__(self) -> Any:
        raise RuntimeError("hunter2")


def test_a_mapping_that_cannot_be_read_spoils_nothing() -> None:
    found = configuration_report(Broken(), settings=None, masker=masker)["application"]
    assert found is not None
    assert found["settings"] == {}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("a", "a"), (True, "Yes"), (False, "off"), (8080, "8080"), (1.5, "1.50"), (b"x", "x"), (None, "null"),
        (pydantic.SecretStr("x"), "x"), (pydantic.SecretBytes(b"x"), "x"), (Level.HIGH, "2"),
        (pydantic.HttpUrl("https://h"), "https://h"), ({"a": [1, "b"]}, '{"a": [1, "b"]}'), ((1, 2), "[1, 2]"),
        ({1, 2}, "[2, 1, 1]"), (uuid.UUID(int=5), str(uuid.UUID(int=5)).upper()), (decimal.Decimal("1.0"), "1"),
        (dt.timedelta(seconds=90), "90"), (dt.date(2026, 1, 2), "2026-01-02"), (Path("/a/b"), "/a/b/"),
    ],
)  # fmt: skip
def test_a_value_is_like_the_text_it_was_made_of(value: object, held: str) -> None:
    assert is_like(value, held)


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("a", "A"), (True, "maybe"), (1, "one"), (1, "2"), (None, ""), ([1], "[1, 2]"), ([1, 2], "1,2"), ({}, "x"),
        ({"a": 1}, '{"a": 1, "b": 2}'), ({1}, "[1, 2]"), (Hostile(), "x"), (Inner(), "{}"), (2**80, "1"),
        (dt.date(2026, 1, 2), "tomorrow"), (decimal.Decimal(1), "one"), (Level.HIGH, "1"), (list(range(300)), "[1]"),
        ([[[[[[[[[[[[[[1]]]]]]]]]]]]]], "[[[[[[[[[[[[[[1]]]]]]]]]]]]]]"), ("x", 5),
        (5, None), ("x" * 70_000, "x" * 70_000),
    ],
)  # fmt: skip
def test_a_value_that_is_another_or_cannot_be_compared_is_not(value: object, held: object) -> None:
    assert not is_like(value, held)


def own(profiler: PerformanceProfiler) -> dict[str, tuple[str, str | None]]:
    report = DebugContext(profiler=profiler).configuration()["profkit"]
    assert set(report["settings"]) == set(report["values"])  # type: ignore[call-overload]
    return {
        name: (one["source"], one["name"])
        for name, one in report["settings"].items()
        if one["source"] != "default"
    }


def test_profkits_own_settings_are_known_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFKIT_THRESHOLD", "1")
    monkeypatch.setenv("PROFKIT_INTERVAL", "0.5")
    monkeypatch.setenv("PROFKIT_MAX_PROFILES", "")
    profiler = PerformanceProfiler()
    profiler.configure(service="shop", storage="memory://", interval=0.02)
    known = {
        "service": ("argument", None),
        "storage": ("argument", None),
        "interval": ("argument", None),
        "threshold": ("environment", "PROFKIT_THRESHOLD"),
    }
    assert own(profiler) == known
    profiler.set_threshold(0.5)
    profiler.set_threshold(0.5, "db")
    profiler.enabled = False
    changed = dict.fromkeys(("threshold", "thresholds", "enabled"), ("live", None))
    assert own(profiler) == known | changed
    profiler.configure(storage="memory://")
    assert own(profiler) == {
        "storage": ("argument", None),
        "threshold": known["threshold"],
        "interval": ("environment", "PROFKIT_INTERVAL"),
    }
    profiler.shutdown()


def test_settings_that_are_given_remember_their_variables_too() -> None:
    made = Settings.from_env({"PROFKIT_SERVICE": "shop"}, threshold=2.0)
    profiler = PerformanceProfiler(made)
    assert own(profiler) == {"service": ("environment", "PROFKIT_SERVICE"), "threshold": ("argument", None)}
    profiler.shutdown()
    direct = Settings(threshold=2.0)
    assert {name for name, one in direct.sources().items() if one.kind != "default"} == {"threshold"}
    for copied in (copy.copy(made), pickle.loads(pickle.dumps(made)), dataclasses.replace(made)):
        assert copied == made
        assert hash(copied) == hash(made)
        assert {name for name, one in copied.sources().items() if one.kind == "argument"} == {
            "service",
            "threshold",
        }
