"""Where a function comes from, without a word about the server's directories."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import pyinstrument
import pytest

from profkit.sampling.codes import Code
from profkit.sampling.frames import frame_of, locate
from profkit_storage import Origin


def described(function: object) -> tuple[str, str, str, Origin]:
    code = function.__code__  # type: ignore[attr-defined]
    frame = frame_of(Code(code, function.__module__, code.co_qualname))
    return frame.filename, frame.module, frame.distribution, frame.origin


def test_standard_library_and_packages_are_told_from_the_application() -> None:
    assert described(json.dumps) == ("stdlib/json/__init__.py", "json", "", Origin.STDLIB)
    assert described(asyncio.sleep)[0] == "stdlib/asyncio/tasks.py"
    file, module, distribution, origin = described(pyinstrument.Profiler.start)
    assert (file, origin) == ("site-packages/pyinstrument/profiler.py", Origin.SITE_PACKAGES)
    assert (module, distribution) == ("pyinstrument.profiler", "pyinstrument")
    assert described(described)[3] is Origin.APPLICATION


@dataclass
class Mine: ...


def test_code_made_at_run_time_is_its_modules() -> None:
    # SQLAlchemy and attrs make functions from text; so do dataclasses and named tuples of the application.
    from sqlalchemy.orm import SessionTransaction

    made = SessionTransaction._connection_for_bind
    assert made.__code__.co_filename.startswith("<sqlalchemy")
    assert described(made)[1:] == ("sqlalchemy.orm.session", "SQLAlchemy", Origin.SITE_PACKAGES)
    assert described(Mine.__init__)[3] is Origin.APPLICATION
    scope: dict[str, object] = {"__name__": "no.module.at.all"}
    exec("def f(): ...", scope)
    assert described(scope["f"])[3] is Origin.APPLICATION
    exec("def g(): ...", nameless := dict[str, object]())
    assert frame_of(Code(nameless["g"].__code__, "", "g")).origin is Origin.STDLIB  # type: ignore[attr-defined]
    new = namedtuple("new", "x").__new__  # noqa: PYI024
    frame = frame_of(Code(new.__code__, new.__globals__["__name__"], "new"))
    assert frame.origin is Origin.STDLIB


def test_no_path_of_the_server_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert locate(f"{tmp_path}/shop/orders.py") == (Origin.APPLICATION, "shop/orders.py")
    assert locate("/srv/elsewhere/deep/down/shop/orders.py") == (Origin.APPLICATION, "shop/orders.py")
    assert locate("<frozen runpy>") == (Origin.STDLIB, "<frozen runpy>")
    assert locate("<string>") == (Origin.APPLICATION, "<string>")
    assert locate("/usr/lib/python3/dist-packages/yaml/loader.py")[1] == "site-packages/yaml/loader.py"
