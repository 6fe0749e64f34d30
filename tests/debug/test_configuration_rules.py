"""How much `/debug/config` shows: names alone, what the masking leaves, or by the user's own rules; and what else."""

from __future__ import annotations

import dataclasses
import enum
import importlib.metadata
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pydantic
import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import (
    DebugContext,
    DiagnosticEndpoints,
    HealthChecker,
    ShowValues,
    TokenAuth,
    ValueRules,
)
from profkit.debug.configuration import ConfigurationReport
from profkit.debug.configuration.asking import Asking
from profkit.debug.configuration.distributions import _read, distributions
from profkit_storage import ConfigurationError

Headers = Callable[..., dict[str, str]]


class Size(enum.Enum):
    LARGE = "hunter2"


@dataclasses.dataclass
class Llm:
    max_tokens: str = "hunter2"
    api_key: pydantic.SecretStr = dataclasses.field(default_factory=lambda: pydantic.SecretStr("hunter2"))
    size_token: Size = Size.LARGE
    api_keys: tuple[str, ...] = ("hunter2",)


@dataclasses.dataclass
class Shop:
    region: str = "eu-central"
    workers: int = 417
    tenants: dict[str, str] = dataclasses.field(default_factory=lambda: {"acme-key": "hunter2"})
    llm: Llm = dataclasses.field(default_factory=Llm)


def shown(show_values: Any, config: object = None, **more: Any) -> ConfigurationReport:
    context = DebugContext(config=Shop() if config is None else config, show_values=show_values, **more)
    report = context.configuration()
    assert orjson.loads(orjson.dumps(report)) == report
    return report


def test_never_shows_names_types_and_sources_alone(
    token_auth: TokenAuth, bearer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULES_TEST_REGION", "eu-central")
    endpoints = DiagnosticEndpoints(
        auth=token_auth,
        config=Shop(),
        environment=True,
        show_values="never",
        features={"new_checkout": "eu-central"},
    )
    client = TestClient(endpoints)
    report = client.get("/config", headers=bearer()).json()
    assert report["show_values"] == "never"
    llm = dict.fromkeys(("max_tokens", "api_key", "size_token", "api_keys"), "***")
    assert report["application"]["values"] == {
        "region": "***",
        "workers": "***",
        "tenants": "***",
        "llm": llm,
    }
    settings = report["application"]["settings"]
    assert settings["workers"] == {"type": "int", "source": "default", "name": None}
    assert settings["llm.api_key"]["type"] == "pydantic.types.SecretStr"
    assert report["features"]["values"] == {"new_checkout": "***"}
    assert report["environment"]["RULES_TEST_REGION"] == "***"
    assert set(report["environment"].values()) == {"***"}
    assert set(report["profkit"]["values"].values()) == {"***"}
    assert report["process"]["command_line"] == ["***"]
    page = client.get("/config", headers={**bearer(), "accept": "text/html"}).text
    for text in (str(report), page):
        for value in ("eu-central", "417", "hunter2", "acme"):
            assert value not in text
    assert "names, types and sources alone" in page


@pytest.mark.parametrize("config", [["hunter2"], "hunter2", {"a": ["hunter2"], "b": {"c": "hunter2"}}, 417])
def test_never_hides_a_configuration_of_any_shape(config: object) -> None:
    assert "hunter2" not in str(shown(ShowValues.NEVER, config))
    assert "417" not in str(shown(ShowValues.NEVER, config)["application"])


def values(rules: ValueRules, config: object = None) -> Any:
    report = shown(rules, config)
    assert report["show_values"] == "rules"
    assert report["application"] is not None
    return report["application"]["values"]


def test_a_value_is_shown_by_its_exact_name_and_no_other() -> None:
    names = {
        "llm.max_tokens",
        "llm.api_key",
        "llm.size_token",
        "llm.api_keys",
        "max_tokens",
        "nothing",
        "llm.x.y",
    }
    found = values(ValueRules(show=frozenset(names)))
    assert found["llm"] == {
        "max_tokens": "hunter2",
        "api_key": "***",
        "size_token": "hunter2",
        "api_keys": "***",
    }
    assert found["tenants"] == {"acme-key": "***"}
    one = {"a": {"token": "hunter2"}, "token": "hunter2", "a.token": "hunter2"}
    assert values(ValueRules(show=frozenset({"a.token"})), one) == {
        "a": {"token": "hunter2"},
        "token": "***",
        "a.token": "***",
    }


def test_what_is_shown_by_name_is_no_longer_than_anything_else() -> None:
    config = {"token": "x" * 100_000 + "\ud800", "big": 2**80, "key": b"x"}
    found = values(ValueRules(show=frozenset({"token", "big"})), config)
    assert len(found["token"]) == 16_384
    assert found["big"] == str(2**80)


def test_the_users_function_hides_more_and_one_that_raises_hides() -> None:
    asked: list[str] = []

    def hide(name: str) -> bool:
        asked.append(name)
        if name == "workers":
            raise RuntimeError("hunter2")
        return name in {"region", "llm", "new_checkout", "RULES_TEST_X"}

    os.environ["RULES_TEST_X"] = "plain"
    try:
        report = shown(
            ValueRules(hide=hide, show=frozenset({"region"})),
            environment=True,
            features={"new_checkout": True, "b": {"c": 1}},
        )
    finally:
        del os.environ["RULES_TEST_X"]
    assert report["application"]["values"] == {  # type: ignore[index]
        "region": "***",
        "workers": "***",
        "tenants": {"acme-key": "***"},
        "llm": "***",
    }
    assert report["features"] == {"values": {"new_checkout": "***", "b": {"c": 1}}, "error": None}
    assert report["environment"]["RULES_TEST_X"] == "***"  # type: ignore[index]
    assert {"tenants.acme-key", "b.c", "threshold", "PATH"} <= set(asked)
    assert "llm.max_tokens" not in asked  # it is hidden with what it is in


def test_words_and_patterns_hold_on_every_route(token_auth: TokenAuth, bearer: Headers) -> None:
    def fails() -> None:
        raise RuntimeError("badge AC-1234 is unknown")

    rules = ValueRules(words=("badge",), patterns=(r"AC-\d+",))
    app = DiagnosticEndpoints(
        auth=token_auth,
        config={"badgeNo": "x1y2", "note": "see AC-1234"},
        pools={"AC-1234": object()},
        show_values=rules,
        checks=HealthChecker(version="AC-1234").add("staff AC-1234", fails),
    )
    client = TestClient(app)
    text = ""
    for path in ("/config", "/connections", "/health", "/tasks"):
        answer = client.get(path, headers=bearer())
        assert answer.status_code in {200, 503}
        text += answer.text
    assert "AC-1234" not in text
    assert "x1y2" not in text
    assert "see ***" in text
    masker = app.context.masker
    assert (masker.words, masker.rules) == (("badge",), (r"AC-\d+",))


@pytest.mark.parametrize(
    "given", ["always", "", None, 5, True, ["never"], ShowValues, ValueRules, lambda name: True]
)
def test_what_does_not_say_how_much_is_refused(token_auth: TokenAuth, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"show_values.*ShowValues\.NEVER.*ValueRules"):
        DiagnosticEndpoints(auth=token_auth, show_values=given)


async def later(name: str = "") -> Any:
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"words": ("--",)}, "words"), ({"patterns": ("(",)}, r"rules: '\('"), ({"hide": 5}, "hide"),
        ({"hide": later}, "hide"), ({"show": "llm"}, "show"), ({"show": {1}}, "show"), ({"show": None}, "show"),
    ],
)  # fmt: skip
def test_bad_rules_are_refused(arguments: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        ValueRules(**arguments)


@pytest.mark.parametrize("revision", ["", "a\nb", "x" * 201, 5, b"abc"])
def test_a_bad_revision_is_refused(token_auth: TokenAuth, revision: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"revision.*1 to 200"):
        DiagnosticEndpoints(auth=token_auth, revision=revision)


@pytest.mark.parametrize("features", [5, "x", ["x"], later])
def test_bad_features_are_refused(token_auth: TokenAuth, features: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"features.*mapping"):
        DiagnosticEndpoints(auth=token_auth, features=features)


def test_the_revision_is_given_or_in_the_environment_or_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
    monkeypatch.delenv("PROFKIT_REVISION", raising=False)
    assert shown(ShowValues.MASKED)["revision"] == {"value": None, "source": "unknown", "name": None}
    monkeypatch.setenv("PROFKIT_REVISION", commit)
    environment = {"value": commit, "source": "environment", "name": "PROFKIT_REVISION"}
    assert shown(ShowValues.MASKED)["revision"] == environment
    argument = {"value": "v1.2-3-g9f86d08", "source": "argument", "name": None}
    assert shown(ShowValues.MASKED, revision="v1.2-3-g9f86d08")["revision"] == argument
    secret = shown(ShowValues.MASKED, revision="ghp_abcdefghijklmnopqrst")["revision"]["value"]
    assert secret == "***"


def test_the_variable_of_the_revision_is_no_unknown_setting(caplog: pytest.LogCaptureFixture) -> None:
    from profkit import Settings

    Settings.from_env({"PROFKIT_REVISION": "abc"})
    assert caplog.text == ""


def test_features_are_a_mapping_or_come_from_a_function() -> None:
    flags: dict[str, object] = {
        "new_checkout": True,
        "share": 0.25,
        "api_token": "hunter2",
        "by": {"eu": False},
    }
    masked = {**flags, "api_token": "***"}
    for features in (flags, lambda: flags):
        assert shown(ShowValues.MASKED, features=features)["features"] == {"values": masked, "error": None}

    def fails() -> Any:
        raise ConnectionError("no flags at redis://:hunter2@flags")

    failed = shown(ShowValues.MASKED, features=fails)["features"]
    assert failed == {"values": {}, "error": "ConnectionError: no flags at redis://:***@flags"}
    failed = shown(ShowValues.MASKED, features=lambda: [1])["features"]
    assert failed == {"values": {}, "error": "TypeError: the function returned list, and no mapping"}


def test_a_function_that_hangs_spoils_only_its_own_part() -> None:
    asked, go = [], threading.Event()

    def hangs() -> Any:
        asked.append(threading.current_thread())
        go.wait(20)
        return {"a": 1}

    context = DebugContext(config=hangs, features={"b": 2}, asking=Asking(0.05))
    try:
        report = context.configuration()
        assert report["application"]["error"] == "TimeoutError: the function took longer than 0.05 s"  # type: ignore[index]
        assert report["features"] == {"values": {"b": 2}, "error": None}
        error = context.configuration()["application"]["error"]  # type: ignore[index]
        assert error == "TimeoutError: the function has not come back since an earlier request"
        assert len(asked) == 1
    finally:
        go.set()
    asked[0].join(10)
    assert context.configuration()["application"]["values"] == {"a": 1}  # type: ignore[index]


def test_what_a_function_raises_is_told_whatever_it_is() -> None:
    def exits() -> Any:
        sys.exit(3)

    error = DebugContext(config=exits).configuration()["application"]["error"]  # type: ignore[index]
    assert error == "RuntimeError: SystemExit 3"


def test_the_page_has_value_and_source_side_by_side(token_auth: TokenAuth, bearer: Headers) -> None:
    app = DiagnosticEndpoints(
        auth=token_auth,
        config=Shop(workers=3),
        features={"new_checkout": True},
        revision="abc123",
        environment=True,
    )
    page = TestClient(app).get("/config", headers={**bearer(), "accept": "text/html"}).text
    rows = "".join(page.replace("<wbr>", "").split())
    assert (
        '<tdclass="code">workers</td><td><spanclass="number"data-value="3">3</span></td><tdclass="quiet">given</td>'
        in rows
    )
    assert (
        '<tdclass="code">llm.max_tokens</td><td><spanclass="text">***</span></td><tdclass="quiet">default</td>'
        in rows
    )
    assert "abc123" in page
    assert "new_checkout" in page
    assert (
        '<tdclass="code">llm.api_key</td><td><spanclass="text">***</span></td><tdclass="quiet">notknown</td>'
        in rows
    )
    assert '<tdclass="code">threshold</td><td><spanclass="number"data-value="1.0">1</span>' in rows
    assert '<spanclass="number">s</span></td><tdclass="quiet">default</td>' in rows  # with its unit


@pytest.mark.parametrize(
    "config", [None, [1, {"a": 2}], "text", {}, {"": {"": 1}, "a.b": {"c": {}}}, lambda: 1 / 0]
)
def test_the_page_shows_any_shape(token_auth: TokenAuth, bearer: Headers, config: object) -> None:
    client = TestClient(DiagnosticEndpoints(auth=token_auth, config=config))
    answer = client.get("/config", headers={**bearer(), "accept": "text/html"})
    assert answer.status_code == 200


def test_versions_are_those_that_the_installers_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {
        "good-1.0.dist-info/METADATA": "Metadata-Version: 2.1\r\nName: Good.One\r\nVersion: 1.0\r\n\r\nName: no\r\n",
        "old-2.egg-info/PKG-INFO": "Metadata-Version: 1.0\nName: old\nVersion: 2\nSummary: x\n",
        "nameless-3.dist-info/METADATA": "Metadata-Version: 2.1\nVersion: 3\n\nName: later",
        "empty-4.dist-info/METADATA": "",
        "bytes-5.dist-info/METADATA": "",
    }
    for name, text in written.items():
        file = tmp_path / name
        file.parent.mkdir()
        file.write_bytes(b"\xff\xfe" if "bytes" in name else text.encode())
    (tmp_path / "none-6.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    _read.cache_clear()
    try:
        found = distributions()
        assert {name: found[name] for name in ("Good.One", "old")} == {"Good.One": "1.0", "old": "2"}
        assert not {"nameless", "later", "no", "", "empty", "none"} & set(found)
        for name in ("orjson", "starlette", "psutil"):
            assert found[name] == importlib.metadata.version(name)
    finally:
        _read.cache_clear()


def test_a_snapshot_of_a_profiler_in_use_has_it_all(live_profiler: PerformanceProfiler) -> None:
    began = time.perf_counter()
    report = DebugContext(profiler=live_profiler, environment=True).snapshot("configuration")["configuration"]
    assert set(ConfigurationReport.__annotations__) == set(report)  # type: ignore[call-overload]
    assert time.perf_counter() - began < 5


def test_profkits_own_settings_are_shown_by_no_name_of_the_applications() -> None:
    profiler = PerformanceProfiler(Settings(storage="memory://", service="password=hunter2"))
    rules = ValueRules(show=frozenset({"service"}))
    context = DebugContext(profiler=profiler, config={"service": "token=shown-on-purpose"}, show_values=rules)
    found: Any = context.configuration()
    assert found["application"]["values"]["service"] == "token=shown-on-purpose"
    assert found["profkit"]["values"]["service"] == "password=***"
    assert profiler.shutdown(5)
