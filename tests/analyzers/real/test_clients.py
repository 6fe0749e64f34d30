"""httpx and openai, each against a real server."""

from __future__ import annotations

import asyncio

import httpx
import openai
import pytest

pytestmark = pytest.mark.alone  # another test's work would be between the clocks and the looks


def test_httpx_synchronously(service, captured, crunch):
    def work(clock):
        with clock("http"):
            client = httpx.Client(base_url=service)
            client.get("/slow", params={"seconds": 0.01})
        for _ in range(3):
            with clock("http"):
                client.get("/slow", params={"seconds": 0.07})
            crunch(0.03)
        for _ in range(3):
            with clock("http"):
                answer = client.get("/large")
            with clock("serialization"):
                rows = answer.json()
            assert len(rows) == 60_000
        with clock("http"):
            client.close()

    case = captured(work)
    case.holds()
    assert {blame.owner for blame in case.explanation.seconds() if blame.category == "http"} == {"httpx"}
    assert case.seconds(category="serialization", owner="json") > 0.05


def test_httpx_in_a_task(service, captured, crunch):
    async def work(clock):
        with clock("http"):
            client = httpx.AsyncClient(base_url=service)
            await client.get("/slow", params={"seconds": 0.01})
        for _ in range(3):
            with clock("http"):
                await client.get("/slow", params={"seconds": 0.07})
            crunch(0.03)
        with clock("http"):
            await asyncio.gather(*(client.get("/slow", params={"seconds": 0.1}) for _ in range(3)))
            await client.aclose()

    captured(work).holds()


def test_what_an_operation_of_an_llm_fetches_itself_is_the_llms(service, captured, crunch):
    def work(clock):
        with clock("llm"):
            with httpx.Client(base_url=service) as client:
                client.get("/slow", params={"seconds": 0.2})
            crunch(0.1)  # its own code as well

    captured(work, category="llm").holds()


def _client(kind, service):
    return kind(base_url=f"{service}/v1", api_key="none", max_retries=1)


_ASKED = {"model": "m", "messages": [{"role": "user", "content": "What?"}]}


@pytest.fixture
def warm(service):
    """A first call has been made: it makes openai's models, which is serialization of its own."""
    with _client(openai.OpenAI, service) as client:
        client.chat.completions.create(**_ASKED)
        for _ in client.chat.completions.create(**_ASKED, stream=True):
            pass


def test_openai_synchronously(service, captured, crunch, warm):
    def work(clock):
        with clock("llm"):
            client = _client(openai.OpenAI, service)
            answer = client.chat.completions.create(**_ASKED)
        assert answer.choices[0].message.content == "An answer in six short words"
        crunch(0.15)
        with clock("llm"):
            for _ in client.chat.completions.create(**_ASKED, stream=True):
                pass
            client.close()

    case = captured(work)
    case.holds()
    assert case.seconds(category="llm", owner="openai") > 0.3


def test_openai_in_a_task_with_code_between_the_words(service, captured, crunch, warm):
    async def work(clock):
        with clock("llm"):
            client = _client(openai.AsyncOpenAI, service)
            stream = await client.chat.completions.create(**_ASKED, stream=True)
            words = aiter(stream)
        while True:
            with clock("llm"):
                word = await anext(words, None)
            if word is None:
                break
            crunch(0.02)
        with clock("llm"):
            await client.chat.completions.create(**_ASKED)
            await client.close()

    case = captured(work)
    case.holds()
    assert case.seconds(category="llm", owner="openai") > 0.15


def test_a_client_that_waits_before_it_tries_again(captured, crunch):
    def work(clock):
        with clock("llm"):
            client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", max_retries=1)
            try:
                client.chat.completions.create(**_ASKED)
            except openai.APIConnectionError:
                pass
        crunch(0.1)

    case = captured(work)
    case.holds()
    assert case.seconds(category="llm", owner="openai") > 0.3
