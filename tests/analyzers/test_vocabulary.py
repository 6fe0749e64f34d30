"""Every prefix that the method lists, and where it lands; what shares its import name with others must not."""

from __future__ import annotations

import pytest

from profkit_analyzers import explain
from profkit_storage import Origin
from profkit_storage.categories import Kind, default_categories

TABLE = default_categories()

PREFIXES = {
    "db": """
        sqlalchemy django.db psycopg psycopg2 psycopg_pool asyncpg aiopg pg8000 MySQLdb pymysql aiomysql asyncmy mysql
        mariadb sqlite3 aiosqlite pyodbc aioodbc pymssql oracledb cx_Oracle ibm_db_dbi vertica_python snowflake
        clickhouse_driver clickhouse_connect duckdb pymongo motor beanie mongoengine cassandra neo4j pynamodb
        azure.cosmos google.cloud.bigquery google.cloud.firestore google.cloud.spanner elasticsearch opensearchpy
        pysolr peewee tortoise sqlmodel databases pony
    """,
    "vector": """
        chromadb pinecone qdrant_client weaviate pymilvus lancedb marqo pgvector faiss turbopuffer
    """,
    "cache": """
        redis valkey coredis aiocache pymemcache pylibmc aiomcache memcache diskcache dogpile.cache cachetools
    """,
    "llm": """
        openai anthropic litellm google.genai google.generativeai vertexai google.cloud.aiplatform mistralai cohere groq
        ollama together replicate fireworks cerebras azure.ai.inference ibm_watsonx_ai aleph_alpha_client voyageai
        writerai xai_sdk portkey_ai huggingface_hub transformers sentence_transformers vllm sglang llama_cpp tiktoken
        tokenizers torch langchain_openai langchain_anthropic langchain_aws langchain_google_genai llama_index.llms
        instructor outlines guidance
    """,
    "agent": """
        langgraph langchain langchain_core llama_index autogen autogen_agentchat autogen_core ag2 crewai pydantic_ai
        smolagents agents google.adk semantic_kernel agent_framework haystack dspy agno strands beeai_framework
        claude_agent_sdk pipecat promptflow mcp fastmcp a2a
    """,
    "serialization": """
        json orjson ujson simplejson rapidjson msgpack msgspec pydantic pydantic_core marshmallow attrs cattrs
        dataclasses:asdict copy:deepcopy pickle cloudpickle dill marshal google.protobuf google._upb betterproto avro
        fastavro thrift yaml ruamel tomllib cbor2 bson xml lxml csv pyarrow.ipc jsonschema fastjsonschema base64 zlib
        gzip zstandard
    """,
    "transport": """
        httpx httpcore h11 h2 aiohttp requests urllib3 botocore aiobotocore grpc websockets ssl socket anyio
    """,
    "wait": """
        select selectors threading _thread concurrent.futures queue _queue time:sleep asyncio.tasks:sleep tenacity
        backoff asyncio.locks asyncio.queues
    """,
}
STANDARD = frozenset(
    """
    sqlite3 json pickle marshal tomllib xml csv base64 zlib gzip ssl socket select selectors threading _thread queue
    _queue concurrent.futures asyncio.locks asyncio.queues dataclasses:asdict copy:deepcopy time:sleep
    asyncio.tasks:sleep
    """.split()
)
CONFIRMED = {
    "a2a": ("a2a-sdk", "a2a"),
    "agents": ("openai-agents", "tensorflow-agents"),
    "autogen": ("ag2", "sphinx-autogen"),
    "cassandra": ("cassandra-driver", "cassandra"),
    "databases": ("databases", "my-databases"),
    "fireworks": ("fireworks-ai", "FireWorks"),
    "guidance": ("guidance", "guidance-notes"),
    "haystack": ("haystack-ai", "django-haystack"),
    "instructor": ("instructor", "instructor-tools"),
    "mcp": ("mcp", "minecraft-mcp"),
    "memcache": ("python-memcached", "memcache"),
    "motor": ("motor", "motor-control"),
    "outlines": ("outlines", "outlines-of-maps"),
    "pony": ("pony", "pony-stable"),
    "replicate": ("replicate", "replicate-db"),
    "strands": ("strands-agents", "strands"),
    "together": ("together", "get-together"),
}
"""Prefixes that others use too: the distribution that is meant, and one that is not."""

LISTED = [(name, category) for category, names in PREFIXES.items() for name in names.split()]


def distribution_of(prefix):
    return CONFIRMED.get(prefix, (prefix.partition(".")[0],))[0]


@pytest.mark.parametrize(("prefix", "category"), LISTED)
def test_each_prefix_lands_in_its_category(frames, prefix, category):
    name = prefix if ":" in prefix else f"{prefix}.inner:Thing.work"
    frame = frames.std(name) if prefix in STANDARD else frames.lib(name, distribution_of(prefix))
    match = TABLE.match(frame)
    assert match is not None
    assert match.category.name == category
    assert match.word.text == prefix
    assert match.category.reported == ("db" if category in ("vector", "cache") else category)


@pytest.mark.parametrize(("prefix", "category"), LISTED)
def test_no_prefix_is_matched_by_part_of_a_name_or_in_the_application(frames, prefix, category):
    module = prefix.partition(":")[0]
    for name in (f"{module}x:work", f"my_{module}:work", f"app.{module}:work"):
        for frame in (frames.lib(name, "other"), frames.std(name)):
            found = TABLE.match(frame)
            assert found is None or found.word.text not in (prefix, module)
    assert TABLE.match(frames.app(f"{module}.inner:work")) is None


@pytest.mark.parametrize(("prefix", "distributions"), CONFIRMED.items())
def test_a_name_that_others_use_too_is_confirmed_by_its_distribution(frames, prefix, distributions):
    right, wrong = distributions
    found = TABLE.match(frames.lib(f"{prefix}.core:run", right))
    assert found.word == (f"categories.{found.category.name}.packages", prefix, "categories.toml", right)
    assert TABLE.match(frames.lib(f"{prefix}.core:run", wrong)) is None
    assert TABLE.match(frames.lib(f"{prefix}.core:run", "")) is None


def test_what_has_to_be_confirmed_is_all_tested_here():
    assert TABLE._rules.distributions.keys() == CONFIRMED.keys()


def test_the_categories_are_of_their_kinds_and_no_prefix_is_listed_twice():
    assert len(LISTED) == len(set(LISTED))
    assert {category for _, category in LISTED} <= TABLE.categories.keys()
    kinds = {name: category.kind for name, category in TABLE.categories.items()}
    assert (kinds["transport"], kinds["wait"], kinds["db"]) == (Kind.TRANSPORT, Kind.WAIT, Kind.OWNER)


@pytest.mark.parametrize(
    "text", ["lock.acquire", "self._lock.acquire", "work_queue.get", "poller.poll", "time.sleep"]
)
def test_waits_without_frames_are_known_by_their_calls(make_profile, frames, text):
    frame = frames.native(text)
    assert frame.origin is Origin.NATIVE
    (group,) = explain(make_profile(stacks=[([frames.app("app:f"), frame], 1.0)], category=""), TABLE).groups
    assert group.blame.category == "application"
    assert group.stack[0].role == "wait"
    assert group.stack[0].word.place.startswith("calls[")
