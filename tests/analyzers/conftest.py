"""Frames as a capture would resolve them, in one line each, what a single stack is blamed on, and a page shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from profkit_analyzers.attribution.rulings import attribute
from profkit_analyzers.changes.comparer import ProfileComparer
from profkit_analyzers.changes.comparison import Comparison
from profkit_analyzers.cli import main
from profkit_storage import Frame, MemoryStorage, Origin
from profkit_storage.categories import default_categories
from tests.analyzers.corpus import put_versions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class Frames:
    """`app("module:qualname")`, `lib("module:qualname", "distribution")`, `std(...)`, `native(text, module)`."""

    await_ = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)

    def app(self, name: str) -> Frame:
        return self._make(name, "", Origin.APPLICATION)

    def lib(self, name: str, distribution: str | None = None) -> Frame:
        top = name.partition(":")[0].partition(".")[0]
        return self._make(name, top if distribution is None else distribution, Origin.SITE_PACKAGES)

    def std(self, name: str) -> Frame:
        return self._make(name, "", Origin.STDLIB)

    def native(self, text: str, module: str = "", distribution: str = "") -> Frame:
        return Frame(text, "", 0, module, distribution, Origin.NATIVE)

    def _make(self, name: str, distribution: str, origin: Origin) -> Frame:
        module, _, qualname = name.partition(":")
        return Frame(qualname, f"/there/{module.replace('.', '/')}.py", 10, module, distribution, origin)


@pytest.fixture(scope="session")
def frames() -> Frames:
    return Frames()


@pytest.fixture
def blame(make_profile) -> Callable[..., tuple[str, str, str]]:
    """`blame(stack, **fields)`: the (category, owner, call site) of a profile with that one stack."""

    def run(stack, state=None, **fields):
        profile = make_profile(stacks=[(stack, 2.0)], states=[state] if state else (), **fields)
        found = attribute(profile, default_categories()).seconds
        assert sum(found.values()) == pytest.approx(2.0)
        (key,) = found
        return f"{key.category}/{key.subcategory}".rstrip("/"), key.owner, str(key.call_site)

    return run


@pytest.fixture
def profkit(capsys):
    """`profkit(*arguments) -> (exit code, stdout, stderr)`."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def compared(make_profile) -> Comparison:
    """Two versions, with pictures: see `corpus.put_versions`."""
    return ProfileComparer().versions(
        put_versions(MemoryStorage(), make_profile), "1.0", "1.1", pictures=True
    )


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """`shown(text, **options)`: a page in a browser; it asks for nothing, and its console stays empty."""
    contexts, complaints = [], []

    def show(text, **options):
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        one = context.new_page()
        one.on(
            "request",
            lambda request: complaints.append(request.url) if request.url != path.as_uri() else None,
        )
        one.on("console", lambda message: complaints.append(message.text))
        one.on("pageerror", lambda error: complaints.append(str(error)))
        one.goto(path.as_uri())
        return one

    yield show
    for context in contexts:
        context.close()
    assert [text for text in complaints if text != "data:,"] == []
