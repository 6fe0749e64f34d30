"""Takes a picture of every debug page, in light and dark and as a phone shows it: `python -m scripts.screenshots DIR`.

With words after the directory, only of pages that have one of them in their name. They are pages of the showcase
(tests/debug/showcase), which has everything a page may have to show; the pictures are to be looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser

from tests.chromium import HINT, NoChromium, chromium
from tests.debug.showcase.running import Running, showcase
from tests.debug.showcase.visiting import VIEWS, visit

_TALLEST = 8_000
"""Pixels of a picture: what is below them is cut."""


def wanted(running: Running, words: list[str]) -> dict[str, str]:
    """Return the paths of the pages by their names."""
    pages = running.pages()
    return {name: path for name, path in pages.items() if not words or any(word in name for word in words)}


def pictures(browser: Browser, running: Running, directory: Path, words: list[str]) -> Iterator[Path]:
    """Yield each picture that was taken."""
    for view, (_, width, height) in VIEWS.items():
        with visit(browser, running.address, VIEWS[view]) as tab:
            for name, path in wanted(running, words).items():
                tab.open(path)
                tall: int = tab.page.evaluate("document.documentElement.scrollHeight")
                picture = directory / f"{name}-{view}.png"
                clip = {"x": 0, "y": 0, "width": width, "height": max(height, min(tall, _TALLEST))}
                tab.page.screenshot(path=picture, full_page=True, clip=clip)
                yield picture


def main(directory: Path, words: list[str]) -> None:
    """Take all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    with chromium() as browser, showcase() as running:
        for picture in pictures(browser, running, directory, words):
            print(picture)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m scripts.screenshots DIRECTORY [WORD ...]")
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except NoChromium as error:
        sys.exit(f"no Chromium here: `{HINT}`\n{error}")
