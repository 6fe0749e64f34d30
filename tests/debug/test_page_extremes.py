"""Pages of a process in which everything is far more, far longer, or not there: none is too long, none an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.debug.showcase.looking import look_at
from tests.debug.showcase.running import Running, showcase
from tests.debug.showcase.scene import Scene
from tests.debug.showcase.visiting import VIEWS, visit

pytestmark = pytest.mark.browser
CROWD = Scene(
    tasks=3_000, threads=500, settings=20_000, operations=500, pools=300, name_length=10_000, tracing=True
)
MOST_BYTES = 300_000
MOST_BYTES_OF_PROFILE = 1_000_000
STATUSES = {"health": 503, "health-ready": 503, "refused": 422}


@pytest.fixture(scope="module")
def crowded() -> Iterator[Running]:
    with showcase(CROWD) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.mark.parametrize("view", ["light", "phone"])
def test_no_page_of_a_crowded_process_is_too_long_or_too_wide(
    browser: Browser, crowded: Running, view: str
) -> None:
    with visit(browser, crowded.address, VIEWS[view]) as tab:
        for name, path in crowded.pages().items():
            sent = tab.open(path)
            if tab.status != STATUSES.get(name, 200):
                tab.complain(f"status {tab.status}")
            look_at(tab, sent)
            most = MOST_BYTES_OF_PROFILE if name.startswith("profile-") else MOST_BYTES
            if tab.sizes[path] > most:
                tab.complain(f"{tab.sizes[path]:,} bytes")
        assert not tab.complaints, "\n".join(tab.complaints)


@pytest.mark.parametrize(
    ("store", "said"), [("none", "No store is configured"), ("gone", "cannot be read now")]
)
def test_no_page_fails_without_profiles(browser: Browser, store: str, said: str) -> None:
    with showcase(Scene(store=store)) as running, visit(browser, running.address, VIEWS["light"]) as tab:
        pages = running.pages()
        for name in ("overview", "health", "profile", "profile-settings"):
            sent = tab.open(pages[name])
            if tab.status >= 500 and name not in STATUSES:
                tab.complain(f"status {tab.status}")
            look_at(tab, sent)
            if name == "profile":
                assert said in sent
                assert ("checkout" in sent) is (store == "gone"), "what is in flight is shown nevertheless"
        assert not tab.complaints, "\n".join(tab.complaints)
        assert "Traceback" not in running.log()
