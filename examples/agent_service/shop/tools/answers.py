"""Tools: answers in words. Planted: a slow model that refuses the first attempt, so the client waits and retries."""

from __future__ import annotations

from openai.types.chat import ChatCompletionMessageParam

import profkit
from shop.messages import Answer, Message
from shop.resources import Resources
from shop.settings import Plant

SMALL, LARGE = "shop-small", "shop-large"


@profkit.profile("llm.choose_tool", category="llm")
async def choose_tool(text: str, tools: list[str], resources: Resources) -> str:
    """The tool that the small model finds right for `text`."""
    completion = await resources.llm.chat.completions.create(
        model=SMALL,
        messages=[
            {"role": "system", "content": f"Choose a tool: {', '.join(tools)}."},
            {"role": "user", "content": text},
        ],
    )
    return completion.choices[0].message.content or ""


async def answer(message: Message, resources: Resources) -> bytes:
    """A quick answer from the small model."""
    return await ask_small_model(message.text, resources)


async def plan(message: Message, resources: Resources) -> bytes:
    """A plan for a room: a hard question, and somebody thought it needs the large model."""
    ask = ask_busy_large_model if Plant.LLM_RETRY in resources.plants else ask_small_model
    return await ask(message.text, resources)


async def ask_busy_large_model(question: str, resources: Resources) -> bytes:
    """PLANTED (llm_retry): 429, the second that Retry-After asks for, then a slow answer."""
    with profkit.operation("llm.chat", category="llm", model=LARGE) as operation:
        stream = await resources.llm.chat.completions.create(
            model=LARGE, messages=_ask(question), stream=True
        )
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        operation.tag(characters=len(text))
    return _answer(LARGE, text)


async def ask_small_model(question: str, resources: Resources) -> bytes:
    """Mended: the model that has room, and is good enough."""
    with profkit.operation("llm.chat", category="llm", model=SMALL) as operation:
        stream = await resources.llm.chat.completions.create(
            model=SMALL, messages=_ask(question), stream=True
        )
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        operation.tag(characters=len(text))
    return _answer(SMALL, text)


def _ask(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": question}]


def _answer(model: str, text: str) -> bytes:
    return Answer(model=model, text=text.strip()).model_dump_json().encode()
