"""What the table says of single frames, and of bad files."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from profkit_storage import ConfigurationError, Frame, Origin
from profkit_storage.categories import Kind, default_categories, load_categories

TABLE = default_categories()


def told(frame: Frame, table=TABLE):
    match = table.match(frame)
    return None if match is None else (match.category.name, match.owner)


@pytest.mark.parametrize(
    ("name", "distribution", "expected"),
    [
        ("sqlalchemy.orm.session:Session.execute", "SQLAlchemy", ("db", "sqlalchemy")),
        ("django.db.models.query:QuerySet.get", "Django", ("db", "django.db")),
        ("django.template:render", "Django", None),
        ("qdrant_client.http:search", "qdrant-client", ("vector", "qdrant_client")),
        ("redis.client:Redis.get", "redis", ("cache", "redis")),
        ("openai._base_client:SyncAPIClient._sleep_for_retry", "openai", ("llm", "openai")),
        ("llama_index.core:run", "llama-index", ("agent", "llama_index")),
        ("llama_index.llms.openai:chat", "llama-index", ("llm", "llama_index.llms")),
        ("agents.run:Runner.run", "openai-agents", ("agent", "agents")),
        ("agents.run:Runner.run", "openai_agents", ("agent", "agents")),
        ("agents.run:Runner.run", "tensorflow-agents", None),
        ("haystack.query:search", "django-haystack", None),
        ("fireworks.core:launch", "FireWorks", None),
        ("sqlalchemyx:run", "sqlalchemyx", None),
        ("json:dumps", "json", None),
        ("httpx._client:Client.send", "httpx", ("transport", "httpx")),
        ("anyio.to_thread:run_sync", "anyio", ("wait", "anyio.to_thread")),
        (
            "anyio._backends._asyncio:SocketStream.receive",
            "anyio",
            ("transport", "anyio"),
        ),
        ("google.protobuf.json_format:Parse", "protobuf", ("serialization", "google.protobuf")),
        ("google.cloud.storage:get", "google-cloud-storage", None),
    ],
)
def test_a_package_is_known_by_its_dotted_prefix_and_where_needed_its_distribution(
    frames, name, distribution, expected
):
    assert told(frames.lib(name, distribution)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("json.encoder:JSONEncoder.encode", ("serialization", "json")),
        ("pickle:_Pickler.dump", ("serialization", "pickle")),
        ("dataclasses:asdict", ("serialization", "dataclasses.asdict")),
        ("dataclasses:_process_class", None),
        ("copy:deepcopy", ("serialization", "copy.deepcopy")),
        ("asyncio.tasks:sleep", ("wait", "asyncio.sleep")),
        ("asyncio.base_events:BaseEventLoop.run_in_executor", None),
        ("ssl:SSLSocket.read", ("transport", "ssl")),
        ("subprocess:Popen.communicate", ("wait", "subprocess")),
        ("asyncio.subprocess:Process.wait", ("wait", "subprocess")),
        ("redis.client:Redis.get", None),
    ],
)
def test_a_standard_module_is_known_only_as_one(frames, name, expected):
    assert told(frames.std(name)) == expected


@pytest.mark.parametrize("module", ["agents", "json", "redis.client", "mcp", "openai", "queue"])
def test_an_application_module_never_matches_whatever_its_name(frames, module):
    assert told(frames.app(f"{module}:run")) is None


@pytest.mark.parametrize(
    ("text", "module", "expected"),
    [
        ("orjson.dumps", "orjson", ("serialization", "orjson")),
        ("dumps", "orjson", ("serialization", "orjson")),
        ("msgpack.unpackb", "", ("serialization", "msgpack")),
        ("pickle.loads", "_pickle", ("serialization", "pickle")),
        ("cls.__pydantic_validator__.validate_json", "", ("serialization", "pydantic")),
        ("SchemaValidator.validate_json", "pydantic_core._pydantic_core", ("serialization", "pydantic")),
        ("Struct.FromString", "", ("serialization", "google.protobuf")),
        ("cursor.execute", "sqlite3", ("db", "sqlite3")),
        ("cursor.execute", "_sqlite3", ("db", "sqlite3")),
        ("self._cursor.fetchall", "", ("db", "dbapi")),
        ("con.execute().fetchall", "", ("db", "dbapi")),
        ("self.dbapi_connection.commit", "", ("db", "dbapi")),
        ("conn1.executescript", "", ("db", "dbapi")),
        ("cur.execute", "ibm_db", ("db", "ibm_db")),
        ("config.commit", "", None),
        ("executor.execute", "", ("db", "dbapi")),
        ("sqlite3.connect().execute", "", ("db", "dbapi")),
        ("(...).execute", "", ("db", "dbapi")),
        ("c.executemany", "", ("db", "dbapi")),
        ("c.executescript", "", ("db", "dbapi")),
        ("rows.fetchone", "", ("db", "dbapi")),
        ("self.x.fetchmany", "", ("db", "dbapi")),
        ("x.fetchall", "", ("db", "dbapi")),
        ("x.callproc", "", ("db", "dbapi")),
        ("c.execute", "someextension", None),
        ("execute", "", None),
        ("job.executes", "", None),
        ("connector.fetch", "", None),
        ("time.sleep", "time", ("wait", "time.sleep")),
        ("sleep", "time", ("wait", "time.sleep")),
        ("time.strftime", "time", None),
        ("self._lock.acquire", "", ("wait", "lock")),
        ("rlock.acquire", "", ("wait", "lock")),
        ("job.mutex.acquire", "", ("wait", "lock")),
        ("self.semaphore.acquire", "", ("wait", "lock")),
        ("not_empty_cond.acquire", "", ("wait", "lock")),
        ("self._write_lock.__enter__", "", ("wait", "lock")),
        ("fileLock.__enter__", "", ("wait", "lock")),
        ("(...).__enter__", "", None),
        ("telescope.acquire", "", None),
        ("pool.acquire", "", None),
        ("self._selector.poll", "", ("wait", "poll")),
        ("work_queue.get", "", ("wait", "queue")),
        ("settings.get", "", None),
        ("json.get", "", None),
        ("self._sock.recv_into", "", ("transport", "socket")),
        ("self._sslobj.read", "", ("transport", "socket")),
        ("file.read", "", None),
        ("len", "builtins", None),
        ("", "", None),
    ],
)
def test_a_native_call_is_known_by_its_module_or_else_its_text(frames, text, module, expected):
    assert told(frames.native(text, module)) == expected


def test_a_native_call_of_a_package_others_name_alike_needs_the_distribution(frames):
    assert told(frames.native("agents.step", "agents.core")) is None
    assert told(frames.native("agents.step", "agents.core", "openai-agents")) == ("agent", "agents")


def test_vector_and_cache_are_reported_as_db_with_budgets_of_their_own():
    categories = TABLE.categories
    assert {name: categories[name].reported for name in ("db", "vector", "cache")} == dict.fromkeys(
        ("db", "vector", "cache"), "db"
    )
    assert (categories["db"].budget, categories["vector"].budget) == (0.1, 0.05)
    assert (categories["db"].subcategory, categories["vector"].subcategory) == ("", "vector")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", "application"),
        ("payments", "payments"),
        ("cache", "db"),
        ("wait", "wait"),
        ("transport", "transport"),
    ],
)
def test_any_word_is_a_category_of_an_operation_and_none_of_them_is_a_wait(word, expected):
    category = TABLE.category(word)
    assert category.reported == expected
    assert category.kind is Kind.OWNER


def test_a_file_of_ones_own_is_laid_over_the_built_in_one(tmp_path, frames):
    path = tmp_path / "mine.toml"
    path.write_text(
        'schema = 1\n[categories.payments]\nremote = true\npackages = ["stripe", "redis"]\n'
        '[owners]\nstripe = "Stripe"\n'
    )
    table = load_categories(path)
    stripe = table.match(frames.lib("stripe.api:charge", "stripe"))
    assert (stripe.category.name, stripe.owner) == ("payments", "Stripe")
    assert table.match(frames.lib("redis.client:get", "redis")).category.name == "payments"
    assert table.match(frames.lib("openai:create", "openai")).category.name == "llm"
    assert told(frames.lib("stripe.api:charge", "stripe")) is None


@pytest.fixture
def own(tmp_path):
    """`own(text) -> CategoryTable`: the built-in rules with a file of this text laid over them."""

    def load(text):
        path = tmp_path / "mine.toml"
        path.write_text(f"schema = 1\n{text}")
        return load_categories(path)

    return load


@pytest.mark.parametrize(
    "name", ["db", "vector", "cache", "llm", "transport", "wait", "serialization", "http"]
)
def test_a_category_that_is_added_to_stays_what_it_is(own, frames, name):
    table = own(f'[categories.{name}]\npackages = ["ours"]')
    assert table.categories[name] == TABLE.categories[name]
    assert table.match(frames.lib("ours.core:run", "ours")).category == TABLE.categories[name]


def test_each_thing_said_of_a_category_is_overridden_by_itself(own):
    budget = own("[categories.db]\nbudget_ms = 20").categories["db"]
    assert (budget.budget, budget.remote) == (0.02, True)
    apart = own('[categories.cache]\nparent = "cache"\nremote = false').categories["cache"]
    assert (apart.reported, apart.subcategory, apart.remote, apart.budget) == ("cache", "", False, 0.01)
    below = own('[categories.orders]\nparent = "db"').categories["orders"]
    assert (below.reported, below.subcategory) == ("db", "orders")


def test_a_package_moves_whole_or_in_part_to_another_category(own, frames):
    table = own('[categories.search]\npackages = ["elasticsearch", "redis.commands.search"]')
    assert table.match(frames.lib("elasticsearch.client:search", "elasticsearch")).category.name == "search"
    assert table.match(frames.lib("redis.commands.search.x:query", "redis")).category.name == "search"
    assert table.match(frames.lib("redis.commands.core:get", "redis")).category.name == "cache"
    plain = own('[categories.application]\npackages = ["torch"]')
    assert plain.match(frames.lib("torch.nn:forward", "torch")).category.name == "application"


def test_a_function_of_ones_own_comes_before_a_pattern_of_the_built_in_file(own, frames):
    table = own('[categories.pipes]\nfunctions = ["anyio._backends._asyncio:SocketStream.send"]')
    wire = "anyio._backends._asyncio:SocketStream"
    assert table.match(frames.lib(f"{wire}.send", "anyio")).category.name == "pipes"
    assert table.match(frames.lib(f"{wire}.receive", "anyio")).category.name == "transport"


def test_a_c_call_of_ones_own_comes_before_the_built_in_ones(own, frames):
    table = own(
        '[categories.model]\n[[calls]]\ncategory = "model"\nowner = "engine"\n'
        'methods = ["infer*", "execute"]\nreceivers = ["engine"]'
    )
    found = table.match(frames.native("self.engine.infer_batch"))
    assert (found.category.name, found.owner, found.word.place, found.word.text) == (
        "model",
        "engine",
        "calls[1]",
        "engine.infer*",
    )
    assert table.match(frames.native("engine.execute")).category.name == "model"
    assert table.match(frames.native("cursor.execute")).category.name == "db"
    assert table.match(frames.native("search.infer_batch")) is None


def test_which_distributions_are_meant_can_be_told_anew(own, frames):
    theirs = frames.lib("agents.run:go", "tensorflow-agents")
    assert own("").match(theirs) is None
    told_anew = own('[distributions]\nagents = ["tensorflow-agents"]')
    assert told_anew.match(theirs).category.name == "agent"
    assert told_anew.match(frames.lib("agents.run:go", "openai-agents")) is None
    assert own("[distributions]\nagents = []").match(theirs).category.name == "agent"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("schema = 1\n[", ["not valid TOML"]),
        ("", ["schema", "None", "must be 1"]),
        ("schema = 1\nfoo = 2", ["foo", "not known", "categories"]),
        ("schema = 1\ncategories = 3", ["categories", "must be a table"]),
        ("schema = 1\n[categories.db]\nfoo = 2", ["categories.db.foo", "packages"]),
        ("schema = 1\n[categories.DB]", ["categories.DB", "lower-case"]),
        ('schema = 1\n[categories.db]\npackages = ["a b"]', ["categories.db.packages", "'a b'", "dotted"]),
        ('schema = 1\n[categories.db]\npackages = ["a", "a"]', ["'a'", "twice"]),
        ('schema = 1\n[categories.db]\npackages = "a"', ["'a'", "must be a list"]),
        (
            'schema = 1\n[categories.a]\npackages = ["x"]\n[categories.b]\npackages = ["x"]',
            ["categories.b.packages", "'x'", "'a'"],
        ),
        ('schema = 1\n[categories.db]\nfunctions = ["sleep"]', ["'sleep'", "module:qualname"]),
        ('schema = 1\n[categories.db]\nkind = "odd"', ["'odd'", "transport"]),
        ('schema = 1\n[categories.x]\nparent = "nowhere"', ["categories.x.parent", "'nowhere'"]),
        ('schema = 1\n[categories.x]\nparent = "cache"', ["'cache'", "category of its own"]),
        ("schema = 1\n[categories.db]\nbudget_ms = -1", ["budget_ms", "-1", "above 0"]),
        ("schema = 1\n[categories.db]\nbudget_ms = true", ["budget_ms", "True"]),
        ("schema = 1\n[categories.db]\nbudget_ms = nan", ["budget_ms", "nan"]),
        ('schema = 1\n[categories.db]\nremote = "yes"', ["remote", "'yes'", "true or false"]),
        (
            'schema = 1\n[[calls]]\ncategory = "zz"\nowner = "o"\nmethods = ["m"]',
            ["calls[1].category", "'zz'"],
        ),
        ('schema = 1\n[[calls]]\ncategory = "db"\nowner = "o"', ["calls[1].methods", "must be given"]),
        ('schema = 1\n[[calls]]\ncategory = "db"\nowner = "*"\nmethods = ["m"]', ["'*'", "needs receivers"]),
        (
            'schema = 1\n[[calls]]\ncategory = "db"\nowner = "*"\nmethods = ["m"]\nreceivers = ["*x*"]',
            ["'*'", "whole words"],
        ),
        (
            'schema = 1\n[[calls]]\ncategory = "db"\nowner = "o"\nmethods = ["m"]\nreceivers = ["a*b"]',
            ["calls[1].receivers", "'a*b'"],
        ),
        ("schema = 1\ncalls = 1", ["calls", "array of tables"]),
        (
            'schema = 1\n[categories.db]\npackages = ["json"]',
            ["categories.db.packages", "'json'", "must be in the list 'stdlib'"],
        ),
        (
            'schema = 1\n[categories.db]\nstdlib = ["redis"]',
            ["categories.db.stdlib", "'redis'", "must be in the list 'packages'"],
        ),
        (
            'schema = 1\n[categories.a]\nfunctions = ["x:y"]\n[categories.b]\nfunctions = ["x:y"]',
            ["categories.b.functions", "'x:y'", "'a'"],
        ),
        (
            'schema = 1\n[categories.big]\n[categories.db]\nparent = "big"',
            ["categories.db.parent", "'big'", "since 'vector' is reported under it"],
        ),
        (
            'schema = 1\n[categories.db]\nkind = "wait"',
            ["categories.db.kind", "'wait'", "must be 'owner'", "'vector'"],
        ),
        ('schema = 1\n[distributions]\nopenia = ["openai"]', ["distributions", "'openia'", "packages"]),
        ('schema = 1\n[owners]\nredsi = "Redis"', ["owners", "'redsi'", "prefix or a function"]),
        ('schema = 1\n[distributions]\na = ["x y"]', ["distributions.a", "'x y'"]),
        ("schema = 1\n[owners]\na = 5", ["owners.a", "5"]),
    ],
)
def test_a_bad_file_is_refused_by_place_and_value(tmp_path, text, names):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_categories(path)
    assert str(path) in str(caught.value)
    for name in names:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "mine.toml"
    make(path)
    with pytest.raises(ConfigurationError, match=r"mine\.toml.*cannot be read"):
        load_categories(path)


def test_what_is_remembered_of_frames_is_bounded(monkeypatch, frames):
    monkeypatch.setattr("profkit_storage.categories._MAX_CACHED_FRAMES", 10)
    table = load_categories_copy()
    for number in range(35):
        table.match(frames.lib(f"redis.client{number}:get", "redis"))
    assert len(table._known) <= 10


def load_categories_copy():
    from profkit_storage.categories import CategoryTable

    return CategoryTable(TABLE._rules)


def test_an_unknown_origin_of_frames_is_not_touched(frames):
    assert told(frames.await_) is None
    assert told(Frame("x", "", 0, "redis", "redis", Origin.SYNTHETIC)) is None


def test_the_rules_file_in_the_documentation_is_one(own, frames):
    page = (Path(__file__).parents[2] / "docs" / "analysis-json.md").read_text()
    block = page.split("## Rules of your own")[1].split("    schema = 1\n")[1].split("\n\n")[0]
    table = own(textwrap.dedent(block))
    assert told(frames.native("card_reader.authorise_all"), table) == ("payments", "terminal")
    assert told(frames.lib("ourdb.core:get", "our-db"), table) == ("db", "the old database")
    assert told(frames.lib("ourdb.core:get", "another"), table) is None
