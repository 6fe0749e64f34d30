"""Opens pages as a person does, and writes down whatever a browser, or a person, would complain of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

from tests.debug.showcase.scene import TOKEN


class View(NamedTuple):
    """How pages are looked at: the reader's theme, and the window in CSS pixels."""

    theme: str
    width: int
    height: int


VIEWS = {
    "light": View("light", 1280, 900),
    "dark": View("dark", 1280, 900),
    "phone": View("light", 375, 812),
}
NOTE_VIOLATIONS = """
addEventListener("securitypolicyviolation", event => console.error(
    `CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Visit:
    """A tab of a browser that knows the token, as after its password prompt.

    `complaints` are texts, each with the path it is about; `sizes` are bytes by path, with everything that was loaded;
    `address` is where the debug routes are, and `status` that of the page.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.sizes: dict[str, int] = {}
        self.status = 0
        self.address = address
        self._path = ""
        self._answers: list[Response] = []
        self._asked: set[Request] = set()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complain(f"script error: {error}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)
        page.on("dialog", lambda dialog: (self.complain(f"dialog: {dialog.message}"), dialog.dismiss()))

    def open(self, path: str) -> str:
        """Go to a page of the debug routes; return its text as it was sent."""
        self._path = path
        self._answers.clear()
        self._asked.clear()
        answer = self.page.goto(self.address + path, wait_until="load")
        assert answer is not None
        self.status = answer.status
        self.sizes[path] = sum(len(one.body()) for one in self._answers if one.status < 300 or one is answer)
        return answer.text()

    def complain(self, text: str) -> None:
        """Write down what is wrong with the page that is open."""
        self.complaints.append(f"{self._path}: {text}")

    def _on_console(self, message: ConsoleMessage) -> None:
        # A page that tells of a failure has its status, and Chromium says so.
        of_page = message.location.get("url", "").startswith(self.address + self._path)
        if message.type == "error" and not (
            of_page and "the server responded with a status of" in message.text
        ):
            self.complain(f"console: {message.text}")

    def _on_response(self, answer: Response) -> None:
        if answer.request in self._asked:  # what the page before had asked for may come late, and be gone
            self._answers.append(answer)

    def _on_failure(self, request: Request) -> None:
        if request in self._asked:
            self.complain(f"not loaded: {request.url}")

    def _on_request(self, request: Request) -> None:
        self._asked.add(request)
        if not request.url.startswith((self.address + "/", "data:", "blob:")):
            self.complain(f"asks another host, or another part of this one: {request.url}")


@contextmanager
def visit(browser: Browser, address: str, view: View, *, token: str = TOKEN) -> Iterator[Visit]:
    """Open a tab."""
    with browser.new_context(
        http_credentials={"username": "me", "password": token},
        color_scheme="dark" if view.theme == "dark" else "light",
        viewport={"width": view.width, "height": view.height},
        reduced_motion="reduce",
    ) as context:
        context.add_init_script(NOTE_VIOLATIONS)
        yield Visit(context.new_page(), address)
