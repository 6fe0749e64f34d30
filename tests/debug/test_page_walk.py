"""A walk through every page in a real browser, in both themes and at a phone's width, with hostile names in it."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, expect

from profkit.debug.memory.backrefs import SEARCHABLE
from tests.debug.showcase.hostile import SHOWN
from tests.debug.showcase.looking import look_at
from tests.debug.showcase.running import Running, showcase
from tests.debug.showcase.scene import READER, SECRETS
from tests.debug.showcase.visiting import VIEWS, Visit, visit

pytestmark = pytest.mark.browser
MOST_BYTES = 300_000
MOST_BYTES_OF_PROFILE = 1_000_000
STATUSES = {"health": 503, "health-ready": 503, "refused": 422}
NAMES_SHOWN = ("config", "connections", "health", "profile", "tasks", "threads", "profile-hostile", "refused")

REACHABLE = """() => [...document.querySelectorAll(
        "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
    .filter(one => !one.disabled && one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true})
        && one.getClientRects().length)
    .map((one, at) => { one.__at = at; return `${one.tagName} ${one.textContent.trim().slice(0, 30)}`; })"""

FOCUSED = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const style = getComputedStyle(one);
    const drawn = [...one.children].map(part => getComputedStyle(part))
        .some(of => of.stroke !== "none" && parseFloat(of.strokeWidth) >= 2);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    const box = one.getBoundingClientRect();
    return {
        at: one.__at ?? -1,
        what: `${one.tagName}.${one.className} ${one.textContent.trim().slice(0, 30)}`,
        seen: outlined || style.boxShadow !== "none" || one instanceof SVGElement && drawn,
        there: box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth,
    };
}"""

SUBMIT = """([path]) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = path;
    form.append(document.querySelector("input[name=form_token]").cloneNode());
    document.body.append(form);
    form.submit();
}"""


@pytest.fixture(scope="module")
def shown() -> Iterator[Running]:
    """The showcase. What its process logs is looked at, too: no page may leave an error there."""
    with showcase() as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def tab(browser: Browser, shown: Running) -> Iterator[Visit]:
    """A tab of a wide, light window."""
    with visit(browser, shown.address, VIEWS["light"]) as opened:
        yield opened


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_is_whole_and_what_has_a_name_stays_text(
    browser: Browser, shown: Running, view: str
) -> None:
    pages = shown.pages()
    assert len(pages) > 15
    with visit(browser, shown.address, VIEWS[view]) as tab:
        for name, path in pages.items():
            sent = tab.open(path)
            if tab.status != STATUSES.get(name, 200):
                tab.complain(f"status {tab.status}")
            look_at(tab, sent)
            if name in NAMES_SHOWN and SHOWN not in (tab.page.text_content("body") or ""):
                tab.complain("the hostile name is not shown")
            for secret in SECRETS:
                if secret in unescape(sent):
                    tab.complain(f"a secret: {secret}")
            if tab.sizes[path] > (MOST_BYTES_OF_PROFILE if name.startswith("profile-") else MOST_BYTES):
                tab.complain(f"{tab.sizes[path]:,} bytes")
        assert not tab.complaints, "\n".join(tab.complaints)


def test_the_keyboard_reaches_all_that_can_be_used_and_shows_where_it_is(shown: Running, tab: Visit) -> None:
    for path in shown.pages().values():
        tab.open(path)
        for text in walked_by_keyboard(tab.page):
            tab.complain(text)
    assert not tab.complaints, "\n".join(tab.complaints)


def walked_by_keyboard(page: Page) -> Iterator[str]:
    """Press Tab until it leaves the page; yield what is wrong."""
    wanted: list[str] = page.evaluate(REACHABLE)
    reached: set[int] = set()
    for _ in range(2 * len(wanted) + 20):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        if not focused["seen"]:
            yield f"no sign of the focus on {focused['what']}"
        if not focused["there"]:
            yield f"the focus is out of sight on {focused['what']}"
        reached.add(focused["at"])
    else:
        yield "the focus does not get out"
    for at, what in enumerate(wanted):
        if at not in reached:
            yield f"never reached: {what}"


def test_the_first_link_skips_to_the_content(tab: Visit) -> None:
    tab.open("/config")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.innerText").lower().startswith("skip")
    assert tab.page.locator(":focus").bounding_box()["y"] >= 0
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.closest('main') !== null")


def test_a_slow_request_is_followed_from_the_list_to_its_stack(tab: Visit) -> None:
    tab.open("/")
    tab.page.get_by_role("navigation").get_by_role("link", name="profiles").click()
    tab.page.get_by_role("link", name="GET /slow").first.click()
    expect(tab.page.get_by_role("heading", level=1)).to_contain_text("GET /slow")
    # The function that it computed in, whichever table or tree shows it.
    expect(tab.page.locator("main")).to_contain_text("burn")
    assert tab.complaints == []


def test_a_plain_browser_may_post_its_forms_and_nobody_without_a_password(
    browser: Browser, shown: Running, tab: Visit
) -> None:
    tab.open("/profile/settings")
    everything = tab.page.locator("form[method=post]:has([name=threshold]):not(:has([name=name]))")
    everything.locator("[name=threshold]").fill("0.5")
    everything.get_by_role("button").click()
    expect(tab.page.locator("main")).to_contain_text("500 ms")
    assert tab.page.url.endswith("/profile/settings")
    refused = httpx.get(f"{shown.address}/config", headers={"accept": "text/html"}, trust_env=False)
    assert refused.status_code == 401
    assert "Basic realm=" in refused.headers["www-authenticate"]
    with browser.new_context() as context, pytest.raises(Error, match="INVALID_AUTH_CREDENTIALS"):
        context.new_page().goto(f"{shown.address}/config")


def test_who_may_only_read_has_no_button_that_is_refused(browser: Browser, shown: Running) -> None:
    with visit(browser, shown.address, VIEWS["light"], token=READER) as tab:
        pages = shown.pages()
        for name in ("overview", "memory", "profile", "profile-settings", "profile-states"):
            tab.open(pages[name])
            if tab.page.locator("form[method=post] button:not([disabled])").count():
                tab.complain("a button of what this token may not do")
        assert not tab.complaints, "\n".join(tab.complaints)


POSTS = [
    "/memory/gc",
    "/memory/trace?seconds=1&frames=5",
    "/memory/growth?seconds=1&collect=true",
    "/profile?seconds=0.3",
    pytest.param(
        "/memory/backrefs?type=tests.debug.showcase.pools.Pools",
        marks=pytest.mark.skipif(not SEARCHABLE, reason="refused on Python 3.12, which it can crash"),
    ),
]


@pytest.mark.parametrize("path", POSTS)
def test_what_a_form_is_answered_is_a_page_like_the_others(tab: Visit, path: str) -> None:
    tab.open("/memory")
    tab.page.evaluate(SUBMIT, [tab.address + path])
    tab.page.wait_for_url(lambda url: not url.endswith("/memory"), wait_until="load")
    look_at(tab)
    assert not tab.complaints, "\n".join(tab.complaints)
