"""What `/debug/config` shows: all of the settings, none of the secrets."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
import types
from importlib.metadata import version
from typing import Any

import orjson
import pydantic
import pydantic_settings
import pytest

from profkit.debug.configuration import configuration_report, distributions, mask_arguments
from profkit.masking import Masker, masker


@dataclasses.dataclass(frozen=True)
class OwnSettings:
    storage: str = "s3://key:hunter2@bucket/prefix"
    threshold: float = 1.0


def report(config: object = None, *, environment: bool = False) -> Any:
    found = configuration_report(config, settings=OwnSettings(), masker=masker, environment=environment)
    assert orjson.loads(orjson.dumps(found)) == found
    assert "hunter2" not in orjson.dumps(found).decode()
    return found


def test_it_holds_profkits_settings_python_and_the_process() -> None:
    found = report()
    assert found["profkit"]["values"] == {"storage": "s3://key:***@bucket/prefix", "threshold": 1.0}
    assert found["application"] is None
    assert found["features"] is None
    assert found["environment"] is None
    assert found["show_values"] == "masked"
    python, process = found["python"], found["process"]
    assert python["version"] == ".".join(map(str, sys.version_info[:3]))
    assert python["implementation"] == "CPython"
    assert process["pid"] == os.getpid()
    assert 0 < process["uptime"] < 36_000
    assert found["distributions"]["orjson"] == version("orjson")
    assert list(found["distributions"]) == sorted(found["distributions"], key=str.lower)
    assert distributions() is distributions()


class Base:
    region = "eu"
    debug = False


class Plain(Base):
    DATABASE = "postgresql://u:hunter2@h/db"

    def __init__(self) -> None:
        self.api_key = "hunter2"
        self.debug = True
        self._cache = "hunter2"

    @property
    def computed(self) -> str:
        raise AssertionError("no property is computed")

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("password", "port")

    def __init__(self) -> None:
        self.password = "hunter2"
        self.port = 80


class Model(pydantic.BaseModel):
    url: pydantic.PostgresDsn = pydantic.PostgresDsn("postgresql://u:hunter2@h/db")
    key: pydantic.SecretStr = pydantic.SecretStr("hunter2")
    workers: int = 4


class FromEnvironment(pydantic_settings.BaseSettings):
    model_config = pydantic_settings.SettingsConfigDict(env_prefix="CONFIG_TEST_")
    token: str = ""
    port: int = 80


module = types.ModuleType("settings")
module.DEBUG, module.SECRET_KEY, module.helper, module.os = True, "hunter2", "no setting", os  # type: ignore[attr-defined]
MODEL = {"url": "postgresql://u:***@h/db", "key": "***", "workers": 4}
PLAIN = {"region": "eu", "debug": True, "DATABASE": "postgresql://u:***@h/db", "api_key": "***"}


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (Plain(), PLAIN),
        (Base, {"region": "eu", "debug": False}),
        (Slotted(), {"password": "***", "port": 80}),
        (Model(), MODEL),
        (module, {"DEBUG": True, "SECRET_KEY": "***"}),
        ({"db": {"passwd": "hunter2", "n": 1}}, {"db": {"passwd": "***", "n": 1}}),
        (OwnSettings(), {"storage": "s3://key:***@bucket/prefix", "threshold": 1.0}),
        (lambda: Model(), MODEL),  # noqa: PLW0108 - a plain function
        (functools.cache(Plain), PLAIN),
        (functools.partial(dict, token="hunter2", a=1), {"token": "***", "a": 1}),
        (types.SimpleNamespace(a=1, secret="hunter2"), {"a": 1, "secret": "***"}),
        ([1, "redis://:hunter2@h"], [1, "redis://:***@h"]),
        (object(), "<object>"),
    ],
)
def test_the_applications_settings(config: object, shown: object) -> None:
    found = report(config)["application"]
    assert found["values"] == shown
    assert found["error"] is None


def test_pydantic_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_TEST_TOKEN", "hunter2")
    monkeypatch.setenv("CONFIG_TEST_PORT", "8080")
    assert report(FromEnvironment)["application"]["error"] is None
    assert report(FromEnvironment())["application"]["values"] == {"token": "***", "port": 8080}


def test_a_function_that_raises_or_is_asynchronous_is_shown_as_such() -> None:
    def fails() -> object:
        raise KeyError("no such thing: password=hunter2")

    async def later() -> object:
        return {}

    shown = {"type": None, "values": None, "settings": {}}
    assert report(fails)["application"] == {**shown, "error": "KeyError: 'no such thing: password=***'"}
    error = "TypeError: the function is asynchronous; give one that is not"
    assert report(later)["application"] == {**shown, "error": error}


def test_a_settings_function_that_validates_shows_no_input() -> None:
    class Checked(pydantic.BaseModel):
        db_password: str = pydantic.Field(min_length=12)
        pin: pydantic.SecretStr = pydantic.Field(min_length=12)
        opts: dict[str, int]

    def load() -> object:
        return Checked.model_validate(
            {"db_password": "hunter2", "pin": "hunter2", "opts": {"api_key": "hunter2"}}
        )

    shown = "ValidationError: db_password (string_too_short), pin (too_short), opts.api_key (int_parsing)"
    assert report(load)["application"]["error"] == shown


def test_a_long_error_is_masked_before_it_is_cut() -> None:
    flags = ", ".join(f"FLAG_{n}: on" for n in range(76))

    def load() -> object:
        raise RuntimeError(
            f"settings: {flags} cannot connect to app:Sup3rSecretPassw0rd@db.internal:5432/prod"
        )

    assert "Sup3r" not in str(report(load)["application"])


def test_the_environment_is_shown_masked_and_only_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_TEST_PASSWD", "hunter2")
    monkeypatch.setenv("CONFIG_TEST_JSON", '{"apiKey": "hunter2", "n": 1}')
    monkeypatch.setenv("CONFIG_TEST_URL", "amqp://u:hunter2@h/")
    monkeypatch.setenv("CONFIG_TEST_PLAIN", "yes")
    shown = report(environment=True)["environment"]
    assert shown["CONFIG_TEST_PASSWD"] == "***"
    assert shown["CONFIG_TEST_JSON"] == '{"apiKey":"***","n":1}'
    assert shown["CONFIG_TEST_URL"] == "amqp://u:***@h/"
    assert shown["CONFIG_TEST_PLAIN"] == "yes"
    assert "CONFIG_TEST_PLAIN" not in str(report())


def test_the_users_own_words_are_hidden() -> None:
    own = Masker(words=("badge",))
    found = configuration_report({"badgeNo": "x1"}, settings=None, masker=own)
    assert found["application"]["values"] == {"badgeNo": "***"}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["run", "--password", "hunter2", "x"], ["run", "--password", "***", "x"]),
        (["run", "--token=hunter2", "--port", "80"], ["run", "--token=***", "--port", "80"]),
        (["run", "--password", "--verbose"], ["run", "--password", "***"]),
        (["x", "--password", "-hunter2"], ["x", "--password", "***"]),
        (["x", "--password", "--token", "hunter2"], ["x", "--password", "***", "***"]),
        (["x", "--no-password", "--host", "h"], ["x", "--no-password", "--host", "h"]),
        (["mysql", "-phunter2", "-uroot"], ["mysql", "-p***", "-uroot"]),
        (
            ["docker", "exec", "db", "/usr/bin/mysql", "-psecret"],
            ["docker", "exec", "db", "/usr/bin/mysql", "-p***"],
        ),
        (["mysql", "-p", "hunter2"], ["mysql", "-p", "***"]),
        (["sshpass", "-p", "1234", "ssh", "h"], ["sshpass", "-p", "***", "ssh", "h"]),
        (["redis-cli", "-a", "hunter2"], ["redis-cli", "-a", "***"]),
        (["ls", "-a", "dir"], ["ls", "-a", "dir"]),
        (["curl", "-u", "admin:hunter2", "http://h/"], ["curl", "-u", "***", "http://h/"]),
        (["curl", "-uadmin:hunter2"], ["curl", "-u***"]),
        (["curl", "--user", "admin:hunter2"], ["curl", "--user", "***"]),
        (["python", "-u", "-m", "uvicorn", "app:main", "--port", "80"],) * 2,
        (["uvicorn", "-p", "8000", "-p", "80:80/tcp", "-p8080", "-p", "no:cacheprovider"],) * 2,
        (["docker", "run", "-u", "1000:1000", "-v", "/a:/b", "-p127.0.0.1:80:80", "-pedantic"],) * 2,
        (["DB_PASSWD=hunter2", "redis://:hunter2@h"], ["DB_PASSWD=***", "redis://:***@h"]),
        (["-m", "app"], ["-m", "app"]),
    ],
)
def test_command_lines(arguments: list[str], shown: list[str]) -> None:
    assert mask_arguments(arguments, masker) == shown


def test_a_long_command_line_is_cut() -> None:
    shown = mask_arguments(["x"] * 300, masker)
    assert len(shown) == 201
    assert shown[-1] == "... (100 more)"


def test_the_command_line_of_a_real_process() -> None:
    code = (
        "from profkit.debug.configuration import configuration_report as r; from profkit.masking import masker\n"
        "print(r(None, settings=None, masker=masker)['process']['command_line'][-3:])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "serve", "--api-key", "hunter2"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "['serve', '--api-key', '***']"
