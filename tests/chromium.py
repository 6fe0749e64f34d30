"""A Chromium to drive, for the tests and for `make screenshots`: playwright's own or the system's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HINT = "apt-get install chromium` or `playwright install chromium"


class NoChromium(Exception):
    """There is none on this machine, or it does not start."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run one; raises `NoChromium`."""
    from playwright.sync_api import Error, sync_playwright  # here: it takes 0.2 s, and few tests need it

    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=system, chromium_sandbox=False)
        except Error as error:
            raise NoChromium(str(error)) from None
        yield browser
        browser.close()
