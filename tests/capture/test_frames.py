"""Where a function comes from, without a word about the server's directories."""

from __future__ import annotations

import asyncio
import json
import sys
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


def test_no_path_of_the_server_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert locate(f"{tmp_path}/shop/orders.py") == (Origin.APPLICATION, "shop/orders.py")
    assert locate("/srv/elsewhere/deep/down/shop/orders.py") == (Origin.APPLICATION, "shop/orders.py")
    assert locate("<frozen runpy>") == (Origin.STDLIB, "<frozen runpy>")
    assert locate("<string>") == (Origin.APPLICATION, "<string>")
    assert locate("/usr/lib/python3/dist-packages/yaml/loader.py")[1] == "site-packages/yaml/loader.py"
