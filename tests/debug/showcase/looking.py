"""What must hold of every page, whatever is on it, seen in a browser."""

from __future__ import annotations

from tests.debug.showcase.hostile import MARK, OWNED
from tests.debug.showcase.visiting import Visit

INLINE = """sent => {
    const page = new DOMParser().parseFromString(sent, "text/html");
    const leads = ["href", "src", "action", "formaction"];
    const found = [...page.querySelectorAll("style, [style], script:not([src]):not([type='application/json'])")];
    for (const one of page.querySelectorAll("*"))
        for (const {name, value} of one.attributes)
            if (name.startsWith("on") || leads.includes(name) && /^\\s*(javascript|data|vbscript):/i.test(value))
                found.push(one);
    return found.map(one => `inline: ${one.outerHTML.slice(0, 80)}`);
}"""
SHAPE = """() => {
    const all = selector => [...document.querySelectorAll(selector)];
    const found = [];
    const one = (selector, what) => {
        if (all(selector).length !== 1) found.push(`${all(selector).length} of ${what}`);
    };
    one("h1", "h1"); one("main", "main"); one("body > header", "header"); one("header nav[aria-label]", "named nav");
    if (document.documentElement.lang !== "en") found.push("no language");
    const turned = document.body.innerText.match(/.{0,20}[\\u202a-\\u202e\\u2066-\\u2069].{0,20}/);
    if (turned) found.push(`text that turns what follows: ${turned[0]}`);
    if (!document.title.trim()) found.push("no title");
    if (all("h1").some(one => !one.innerText.trim())) found.push("an empty h1");
    for (const one of all("th:not([scope])")) found.push(`a th without scope: ${one.innerText.slice(0, 40)}`);
    const ids = all("[id]").map(one => one.id);
    for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) found.push(`two of the id ${id}`);
    for (const one of all("a[href^='#']"))
        if (!document.getElementById(decodeURIComponent(one.hash.slice(1))))
            found.push(`a link to nothing: ${one.hash}`);
    return found;
}"""

WIDE = """width => {
    const page = document.scrollingElement;
    if (page.scrollWidth <= width) return [];
    const scrolls = one => {
        for (let at = one.parentElement; at && at !== document.body; at = at.parentElement)
            if (getComputedStyle(at).overflowX !== "visible") return true;
        return false;
    };
    return [...document.body.querySelectorAll("*")]
        .filter(one => one.getBoundingClientRect().right > width + 1 && !scrolls(one))
        .slice(0, 5)
        .map(one => `${page.scrollWidth} px: ${one.tagName}.${one.className} ${one.textContent.trim().slice(0, 40)}`);
}"""

CUT = """() => [...document.querySelectorAll("main *")]
    .filter(one => one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1
        && getComputedStyle(one).overflowX === "hidden" && getComputedStyle(one).textOverflow !== "ellipsis")
    .map(one => `cut off: ${one.tagName}.${one.className} ${one.textContent.trim().slice(0, 40)}`)"""

HIDDEN = """width => width < 1000 ? [] : [...document.querySelectorAll("main .wide, main section")]
    .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
    .map(one => `a wide window has to be scrolled sideways for ${one.innerText.trim().slice(0, 40)}`)"""


def look_at(tab: Visit, sent: str = "") -> None:
    """Complain of what is wrong with the page that is open, and with its text as it was sent."""
    page = tab.page
    assert page.viewport_size is not None
    width = page.viewport_size["width"]
    for found in (
        page.evaluate(INLINE, sent),
        page.evaluate(SHAPE),
        page.evaluate(WIDE, width),
        page.evaluate(CUT),
        page.evaluate(HIDDEN, width),
    ):
        for text in found:
            tab.complain(text)
    if page.locator(f"[{MARK}]").count():
        tab.complain("a name has become an element")
    if page.title() == OWNED:
        tab.complain("a name was run")
