"""Durations read the same wherever a page has them: written by Python, and by the scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from profkit_storage.formats import flamegraph
from profkit_storage.formats.durations import in_seconds

WRITTEN = [
    (0.0, "0 ms"),
    (0.0123, "12.3 ms"),
    (0.045678, "45.7 ms"),
    (0.9994, "999 ms"),
    (0.9996, "1.00 s"),
    (1.234, "1.23 s"),
    (59.99, "59.99 s"),
    (59.999, "1 min 00 s"),
    (185, "3 min 05 s"),
    (3599.6, "1 h 00 min"),
    (7440, "2 h 04 min"),
    (172_790, "47 h 59 min"),
    (172_800, "2 d"),
    (2_592_000, "30 d"),
    (1_234.5 * 86_400, "1,234 d 12 h"),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_durations_read_well(value: float, text: str) -> None:
    assert in_seconds(value) == text


def test_the_scripts_write_them_alike(browser: Browser, make_profile) -> None:
    page = browser.new_page()
    page.set_content(flamegraph.render(make_profile()))
    found = page.evaluate("values => values.map(flameTree.inSeconds)", [value for value, _ in WRITTEN])
    page.close()
    assert found == [text for _, text in WRITTEN]
