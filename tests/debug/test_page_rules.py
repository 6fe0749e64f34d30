"""axe-core's rules of accessibility, on every page in both themes and at a phone's width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import npm
from tests.conftest import missing
from tests.debug.showcase.running import Running, showcase
from tests.debug.showcase.visiting import VIEWS, visit

pytestmark = pytest.mark.browser
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SAME = {
    "health-live",
    "health-ready",
    "health-startup",
    "profile-empty",
    "profile-deep",
    "profile-of-request",
}
"""Pages made as others are: the rules take a second for each."""
BOX = re.compile(r"<g class=\"box ")
"""A flame graph's: the name that is cut to its width (`Session.exec…`) is whole in its label, as that rule forbids."""
GRAVE = {"serious", "critical"}
ALL = {"type": "tag", "values": TAGS}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""What may differ between the themes."""
RUN = "runOnly => axe.run(document, {runOnly, resultTypes: ['violations']})"


@pytest.fixture(scope="module")
def shown() -> Iterator[Running]:
    with showcase() as running:
        yield running


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, which npm installs for the tests."""
    found = npm.package("axe-core")
    if found is None:
        missing("axe-core", "npm install --global axe-core")
    return (found / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, axe: str, rules: dict[str, Any] = ALL) -> list[tuple[str, str]]:
    """Return what breaks a rule: how grave it is, and the rule with the first elements that do."""
    page.evaluate(axe)  # not as a script of the page, which its policy forbids
    found: list[dict[str, Any]] = page.evaluate(RUN, rules)["violations"]
    for one in found:
        if one["id"] == "label-content-name-mismatch":
            one["nodes"] = [node for node in one["nodes"] if not BOX.match(node["html"])]
    return [(str(one["impact"]), told(one)) for one in found if one["nodes"]]


def told(violation: dict[str, Any]) -> str:
    nodes = [f"{node['html'][:120]} ({node['failureSummary']})" for node in violation["nodes"][:3]]
    return f"{violation['id']}, {len(violation['nodes'])} times: " + "; ".join(nodes)


@pytest.mark.parametrize("view", VIEWS)
def test_no_page_breaks_a_grave_rule(
    browser: Browser, shown: Running, axe: str, view: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lesser: list[str] = []
    with visit(browser, shown.address, VIEWS[view]) as tab:
        for name, path in shown.pages().items():
            if name in SAME:
                continue
            tab.open(path)
            for impact, text in violations(tab.page, axe, COLOURS if view == "dark" else ALL):
                if impact in GRAVE:
                    tab.complain(text)
                else:
                    lesser.append(f"{path}: {impact}: {text}")
        assert not tab.complaints, "\n".join(tab.complaints)
    if lesser:
        with capsys.disabled():
            print("\n" + "\n".join(lesser))  # noqa: T201 - nothing fails, but somebody should know


def test_the_rules_see_what_breaks_them(browser: Browser, axe: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content(
            "<html><body><img src='data:,'><p style='color:#aaa;background:#fff'>faint</p></body></html>"
        )
        found = {text.partition(",")[0]: impact for impact, text in violations(page, axe)}
    assert found["image-alt"] == "critical"
    assert found["color-contrast"] == "serious"
