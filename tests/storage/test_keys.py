import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from profkit_storage import ConfigurationError, Status, Trigger
from profkit_storage.keys import hour_prefix, is_service, parse_date, parse_hour, parse_key, profile_key
from profkit_storage.names import ELLIPSIS, MAX_TOKEN, escape_name, unescape_name

names = st.text(max_size=60) | st.text("ab/.!-%é\n\0🦉", max_size=60)
HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "a\nb",
    "\0",
    "a b",
    "%2e",
    "!2e",
    "!-",
    "!-000000000000",
    "CON",
    "né",
    "🦉" * 40,
    "x" * 5000,
    "/" * 81,
    "service=x",
    "a.b.c.d.e.f",
    "\u202e",
    "!" * 27,
]


@given(names)
@example("x" * 80)
@example("x" * 81)
@example("/" * 26 + "ab")
@example("/" * 26 + "abc")
@example("🦉" * 6 + "aaaaaaaa")
def test_a_name_is_safe_and_comes_back(name):
    token = escape_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_!-]{1,80}", token)
    back = unescape_name(token)
    if len(re.sub(rb"[^A-Za-z0-9_-]", b"!xx", name.encode())) <= MAX_TOKEN:
        assert back == name
    else:
        assert back.endswith(ELLIPSIS)
        assert name.startswith(back[:-1])
        assert len(token) > MAX_TOKEN - 12, "cut no earlier than needed"


@given(st.text("!-abcdef0123456789/", max_size=90) | st.text(max_size=90))
@example("!2E")
@example("!61")
@example("!2")
@example("!-")
@example("!-0123456789ab")
@example("a!-0123456789ab")
@example("a" * 66 + "!-0123456789ab")
@example("a" * 54 + "!-0123456789ab")
@example("!ff")
@example("!c3!28")
@example("a" * 81)
def test_only_tokens_that_escaping_makes_are_read(token):
    name = unescape_name(token)
    if name is not None and not (name.endswith(ELLIPSIS) and "!-" in token):
        assert escape_name(name) == token


@given(st.lists(names | st.sampled_from(HOSTILE), min_size=2, max_size=2, unique=True))
@example(["a" * 100 + "1", "a" * 100 + "2"])
@example(["a", "A"])
@example(["", "!-"])
@example(["x" * 66 + ELLIPSIS, "x" * 100])
def test_two_names_have_two_tokens(pair):
    first, second = map(escape_name, pair)
    assert first != second


@pytest.mark.parametrize(
    "token",
    [
        "",
        "!",
        "!g0",
        "!2",
        "!2E",
        "!61",
        "!c3",
        "!-x",
        "!-0123456789ab",
        "a!-",
        "a.b",
        "a/b",
        "é",
        "a\n",
        "a" * 81,
        "a" * 54 + "!-0123456789ab",
        "a" * 67 + "!-0123456789ab",
        "a" * 66 + "!-0123456789AB",
        "a" * 66 + "!-0123456789ab0",
    ],
)
def test_tokens_that_escaping_does_not_make(token):
    assert unescape_name(token) is None


def test_a_name_that_is_no_text_is_spelled_out():
    assert unescape_name(escape_name("caf\udce9")) == "caf\\udce9"


def test_the_layout(make_profile):
    profile = make_profile(
        service="or ders",
        category="db",
        operation="GET /items/{id}",
        wall=2.28049,
        status=Status.ERROR,
        trigger=Trigger.MANUAL,
    )
    assert profile_key(profile) == (
        "profiles/v1/date=2026-03-14/hour=15/service=or!20ders/"
        f"{profile.id}.db.GET!20!2fitems!2f!7bid!7d.2280.error.manual.pkp"
    )


@given(
    service=names,
    category=names,
    operation=names,
    wall=st.floats(0, 1e10),
    status=st.sampled_from(Status),
    trigger=st.sampled_from(Trigger),
    moment=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_a_key_says_what_went_in(make_profile, service, category, operation, wall, status, trigger, moment):
    start_ns = int(moment.timestamp()) * 1_000_000_000 + 7_999_999
    profile = make_profile(
        start_ns=start_ns,
        service=service,
        category=category,
        operation=operation,
        wall=wall,
        status=status,
        trigger=trigger,
    )
    key = profile_key(profile)
    entry = parse_key(key, 123)
    assert entry is not None
    assert entry.key == key
    assert entry.size == 123
    assert entry.id == profile.id
    assert entry.start_ns == start_ns // 1_000_000 * 1_000_000
    assert entry.wall == pytest.approx(wall, abs=0.0006)
    assert (entry.status, entry.trigger) == (status, trigger)
    for said, meant in ((entry.service, service), (entry.category, category), (entry.operation, operation)):
        assert said == meant or (said.endswith(ELLIPSIS) and meant.startswith(said[:-1]))
    directories, _, name = key.rpartition("/")
    assert len(directories.split("/")) == 5
    assert len(name) <= 255 - len(".tmp")
    assert f"date={moment:%Y-%m-%d}/hour={moment:%H}" in key


def replaced(part, by):
    return lambda key: key.replace(part, by)


@pytest.mark.parametrize("change", [
    replaced("profiles/v1", "profiles/v2"), replaced("profiles", "/profiles"), replaced("03-14", "03-15"),
    replaced("03-14", "02-30"), replaced("hour=15", "hour=16"), replaced("hour=15", "hour=25"),
    replaced("service=", "svc="),
    replaced("orders", "or.ders"), replaced("orders", ""), replaced("orders/", "orders/x/"),
    replaced(".pkp", ".pkp.tmp"),
    replaced(".pkp", ""), replaced(".pkp", ".pkp\n"), replaced(".2280.", ".02280."), replaced(".2280.", ".2280.5."),
    replaced(".2280.", ".-1."), replaced(".2280.", ".x."), replaced(".ok.", ".fine."), replaced(".slow.", ".fast."),
    replaced("agent!2e", "agent!2E"), replaced(".agent.", ".."),
    replaced("/01", "/81"), replaced("/01", "/0I"), str.lower, str.upper,
    lambda key: "", lambda key: key * 2, lambda key: key.rpartition("/")[2],
])  # fmt: skip
def test_other_names_are_no_keys(make_profile, change):
    key = profile_key(make_profile())
    assert parse_key(key, 100)
    assert change(key) != key
    assert parse_key(change(key), 100) is None


@given(st.text(max_size=100))
def test_no_name_breaks_parsing(text):
    for key in (text, f"profiles/v1/date=2026-03-14/hour=15/service={text}/{text}"):
        parse_key(key, 100)
    parse_date(text)
    parse_date(f"date={text}")
    parse_hour(f"hour={text}")
    is_service(f"service={text}")


def test_directories():
    assert parse_date("date=1970-01-02") == 86_400_000
    assert [
        parse_date(name)
        for name in ("date=2026-02-30", "date=2026-1-1", "1970-01-02", "date=", "date=0000-01-01")
    ] == [None] * 5
    assert parse_hour("hour=23") == 23 * 3_600_000
    assert [parse_hour(name) for name in ("hour=24", "hour=1", "hour=1٣", "23")] == [None] * 4
    assert is_service("service=a!2f")
    assert not any(map(is_service, ("service=", "service=a/b", "service=!", "a")))


@pytest.mark.parametrize("id", ["", "x", "../x", "7" + "Z" * 25])
def test_an_id_without_an_hour(make_profile, id):
    assert hour_prefix(id) is None
    with pytest.raises(ConfigurationError, match="must be a ULID"):
        profile_key(make_profile(id=id or "-"))
