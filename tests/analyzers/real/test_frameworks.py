"""Django's ORM, and langgraph with a stub model and with one that is asked over the network."""

from __future__ import annotations

from typing import TypedDict

import django
import openai
import pytest
from django.conf import settings
from django.db import connection, models
from django.template import Context, Engine
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.graph import END, START, StateGraph

pytestmark = pytest.mark.alone  # another test's work would be between the clocks and the looks


@pytest.fixture(scope="module")
def note(tmp_path_factory):
    """A model of Django's with 3,000 rows in SQLite."""
    path = tmp_path_factory.mktemp("django") / "a.db"
    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            USE_TZ=True,
        )
        django.setup()

    class Note(models.Model):  # noqa: DJ008 - nobody reads its name
        title = models.CharField(max_length=100)
        words = models.IntegerField()

        class Meta:
            app_label = "real"

    with connection.schema_editor() as editor:
        editor.create_model(Note)
    Note.objects.bulk_create(Note(title=f"note {number}", words=number % 90) for number in range(3000))
    yield Note
    connection.close()


def test_djangos_orm(note, captured, crunch):
    page = Engine().from_string(
        "{% for n in notes %}{% if n.words > 40 %}{{ n.title|upper }}{% endif %}{% endfor %}"
    )

    def work(clock):
        for _ in range(3):
            with clock("db"):
                notes = list(note.objects.filter(words__gt=3).order_by("-words"))
            crunch(0.05)
        page.render(Context({"notes": notes}))
        for one in notes[:150]:
            with clock("db"):
                note.objects.get(pk=one.pk)
        with clock("db"):
            note.objects.filter(words=5).update(words=6)

    case = captured(work)
    case.holds()
    assert case.seconds(category="db", owner="django.db") > 0.1


class State(TypedDict):
    text: str
    steps: int


def graph(**nodes):
    """Compile a graph that runs the nodes one after the other."""
    made = StateGraph(State)
    names = list(nodes)
    for name, function in nodes.items():
        made.add_node(name, function)
    for before, after in zip([START, *names], [*names, END], strict=True):
        made.add_edge(before, after)
    return made.compile()


def test_langgraph_with_a_stub_model(captured, crunch):
    model = FakeListChatModel(responses=["An answer"], sleep=0.1)

    def think(state: State) -> State:
        crunch(0.1)
        return {"text": model.invoke(state["text"]).content, "steps": 1}

    def again(state: State) -> State:
        return {"text": state["text"], "steps": state["steps"] + 1}

    flow = graph(think=think, **{f"again{number}": again for number in range(20)})
    flow.invoke({"text": "What?", "steps": 0})

    def work(clock):
        with clock("agent"):
            found = flow.invoke({"text": "What?", "steps": 0})
            for _ in range(5):
                flow.invoke({"text": "What?", "steps": 0})
        assert found == {"text": "An answer", "steps": 21}
        crunch(0.2)

    case = captured(work)
    case.holds()
    assert case.seconds(category="agent", owner="langchain_core") > 0.4  # the stub model's sleep
    assert case.seconds(category="agent", owner="langgraph") > 0.5  # what its nodes compute


def test_a_model_asked_from_a_node_of_langgraph_is_llm(service, captured, crunch):
    client = openai.OpenAI(base_url=f"{service}/v1", api_key="none")
    asked = {"model": "m", "messages": [{"role": "user", "content": "What?"}]}
    clocks = []

    def ask(state: State) -> State:
        with clocks[-1]("llm"):
            answer = client.chat.completions.create(**asked)
        crunch(0.05)
        return {"text": answer.choices[0].message.content or "", "steps": 1}

    flow = graph(ask=ask)

    def work(clock):
        clocks.append(clock)
        with clock("agent"):
            for _ in range(3):
                flow.invoke({"text": "What?", "steps": 0})
        crunch(0.1)

    captured(work)
    case = captured(work)
    client.close()
    case.holds()
    assert case.seconds(category="llm", owner="openai") > 0.4


def test_langgraph_in_a_task(service, captured, crunch):
    asked = {"model": "m", "messages": [{"role": "user", "content": "What?"}]}
    clocks = []

    async def ask(state: State) -> State:
        with clocks[-1]("llm"):
            async with openai.AsyncOpenAI(base_url=f"{service}/v1", api_key="none") as client:
                answer = await client.chat.completions.create(**asked)
        crunch(0.03)
        return {"text": answer.choices[0].message.content or "", "steps": 1}

    flow = graph(ask=ask)

    async def work(clock):
        clocks.append(clock)
        with clock("agent"):
            for _ in range(3):
                await flow.ainvoke({"text": "What?", "steps": 0})
        crunch(0.1)

    captured(work)
    case = captured(work)
    case.holds()
    assert case.seconds(category="llm", owner="openai") > 0.3
