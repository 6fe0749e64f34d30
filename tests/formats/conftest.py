"""Fixtures for the formats: every renderer of pyinstrument at once, and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Error, sync_playwright
from pyinstrument.renderers import (
    ConsoleRenderer,
    HTMLRenderer,
    JSONRenderer,
    PstatsRenderer,
    SpeedscopeRenderer,
)
from pyinstrument.session import Session

RENDERERS = {
    "console": ConsoleRenderer,
    "html": HTMLRenderer,
    "json": JSONRenderer,
    "speedscope": SpeedscopeRenderer,
    "pstats": PstatsRenderer,
}


def outputs(session: Session) -> dict[str, str]:
    """Return what each of pyinstrument's renderers makes of `session`, by name."""
    return {name: renderer().render(session) for name, renderer in RENDERERS.items()}


@pytest.fixture(scope="session")
def render_all() -> Callable[[Session], dict[str, str]]:
    return outputs


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium: playwright's own or the system's. Without one the tests skip; under CI they fail."""
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=system, chromium_sandbox=False)
        except Error as error:
            hint = "no Chromium here: `apt-get install chromium` or `playwright install chromium`"
            if os.environ.get("CI"):
                pytest.fail(f"{hint}\n{error}")
            pytest.skip(hint)
        yield browser
        browser.close()
