"""The page: whole, escaped, and reaching nothing."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import pytest
from playwright.sync_api import Browser
from pyinstrument.renderers import HTMLRenderer

from profkit_storage import Frame, Origin, Profile, ProfkitError
from profkit_storage.formats import html
from profkit_storage.merging import MergedProfile

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
ADDRESS = re.compile(r"(?:https?:)?//[\w.-]+\.\w{2,}[^\"'\s]*")


@pytest.fixture(scope="module")
def page(make_profile) -> str:
    return html.render(make_profile())


@pytest.fixture(scope="module")
def hostile(make_profile) -> Profile:
    frame = Frame(f"{HOSTILE}.f", f"/srv/{HOSTILE}.py", 1, "f", "", Origin.APPLICATION)
    return make_profile(stacks=[([frame, frame], 1.0)], operation=HOSTILE, service="s")


def test_no_address_is_left_but_the_names_of_svg(page):
    assert set(ADDRESS.findall(page)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"<(?:link|iframe|object|embed|base|form)\b|@import|url\(\s*['\"]?(?!#)\w", page)


def test_pyinstruments_page_still_has_what_is_taken_out(make_profile):
    theirs = HTMLRenderer().render(html.to_session(make_profile()))
    assert "fonts.googleapis.com" in theirs, "nothing to take out any more: simplify"
    assert "fonts.googleapis.com" not in html.without_addresses(theirs)


def test_another_address_a_later_pyinstrument_might_load_is_taken_out_too():
    script = 'a.src="https://cdn.example.com/x.js";b=`http://example.com/y`;c="http://www.w3.org/2000/svg"'
    assert html.without_addresses(script) == 'a.src="data:,";b=`data:,`;c="http://www.w3.org/2000/svg"'


def test_the_scripts_are_pyinstruments_but_for_the_link(page):
    app = files("pyinstrument").joinpath("renderers/html_resources/app.js").read_text(encoding="utf-8")
    assert html.without_addresses(app) in page
    assert 0 < len(app) - len(html.without_addresses(app)) < 400


def test_the_head_names_the_operation(make_profile):
    page = html.render(make_profile(operation='GET /a?b="<c>&d"'))
    assert "<title>GET /a?b=&quot;&lt;c&gt;&amp;d&quot; 2.280 s - profkit</title>" in page
    assert page.index("<title>") < page.index("</head>")


def test_a_hostile_profile_adds_no_element(hostile, page):
    text = html.render(hostile)
    for tag in ("<script", "</script", "<style", "<!--"):
        assert len(re.findall(tag, text, re.IGNORECASE)) == len(re.findall(tag, page, re.IGNORECASE)), tag


def test_the_policy_allows_these_scripts_and_nothing_else(page):
    policy = dict(part.strip().partition(" ")[::2] for part in html.content_security_policy(page).split(";"))
    scripts = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy == {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{digest}'" for digest in hashes),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "sandbox": "allow-scripts",
    }
    assert len(hashes) == 3


def test_a_page_of_an_unknown_form_is_one_clear_error(make_profile, monkeypatch):
    monkeypatch.setattr(HTMLRenderer, "render", lambda *_: "<html><script>one</script></html>")
    with pytest.raises(ProfkitError, match=r"5\.1\.3"):
        html.render(make_profile())


Serve = Callable[[str, "str | None"], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(page, policy) -> address` of a server that answers with them."""
    servers: list[ThreadingHTTPServer] = []

    def start(page: str, policy: str | None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                if policy is not None:
                    self.send_header("Content-Security-Policy", policy)
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def pages(make_profile, page, hostile) -> dict[str, str]:
    """Pages by a text that each must show."""
    empty = html.render(make_profile(stacks=[], wall=1.0))
    merged = MergedProfile()
    for operation in ("one", HOSTILE):
        merged.add(make_profile(operation=operation, stacks=[(["root", "of_two"], 1.0), (["root"], 1.0)]))
    return {
        "handle_message": page,
        "owned": html.render(hostile),
        "No samples": empty,
        "of_two": html.render_merged(merged),
    }


@pytest.mark.browser
@pytest.mark.parametrize("header", [True, False], ids=["served", "as a file"])
def test_a_browser_shows_it_and_asks_nobody(browser: Browser, serve: Serve, pages, header):
    for expected, text in pages.items():
        address = serve(text, html.content_security_policy(text) if header else None)
        tab = browser.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.on("console", lambda message, complaints=complaints: complaints.append(message.text))
        tab.on("pageerror", lambda error, complaints=complaints: complaints.append(str(error)))
        tab.goto(address)
        tab.get_by_text(expected).first.wait_for(timeout=10_000)
        if expected != "No samples":
            tab.get_by_text("Timeline").click()
            tab.locator("canvas").first.wait_for(timeout=10_000)
        assert tab.title() != "owned"
        assert tab.locator("img").count() == 0
        assert asked == [address]
        assert complaints == []
        tab.close()
