"""Objectives: which one an operation is held against, and what a file of them may say."""

from __future__ import annotations

import dataclasses

import pytest

from profkit_analyzers.slo.objectives import Objective, default_objectives, load_objectives, matches
from profkit_storage import ConfigurationError

STARTING = Objective(latency_seconds=2.0, latency_share=0.95, availability=0.999, error_rate=0.01)


@pytest.fixture
def load(tmp_path):
    def run(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return load_objectives(path)

    return run


def test_the_starting_values_are_those_of_every_operation():
    assert default_objectives().of("GET /", "http") == STARTING


def test_a_file_is_laid_over_them_key_by_key(load):
    found = load("schema = 1\n[default]\nlatency_seconds = 3\n")
    assert found.of("any", "") == dataclasses.replace(STARTING, latency_seconds=3.0)


def test_the_nearer_one_wins_key_by_key(load):
    found = load("""
        schema = 1
        [default]
        availability = 0.99
        [categories.llm]
        latency_seconds = 20
        error_rate = 0.05
        [operations."GET /users/{id}"]
        min_calls = 5
        [operations."GET /users/*"]
        latency_seconds = 0.5
        [operations."GET *"]
        latency_seconds = 1
        error_rate = false
        [operations."GET /users/[1]"]
        latency_seconds = 9
    """)
    seen = {
        name: found.of(name, category)
        for name, category in [
            ("a", ""),
            ("chat", "llm"),
            ("GET /", "llm"),
            ("GET /users/me", "http"),
            ("GET /users/{id}", "http"),
            ("GET /users/1", "http"),
            ("GET /users/[1]", "http"),
        ]
    }
    base = dataclasses.replace(STARTING, availability=0.99)
    get = dataclasses.replace(base, latency_seconds=1.0, error_rate=None)
    users = dataclasses.replace(get, latency_seconds=0.5)
    assert seen == {
        "a": base,
        "chat": dataclasses.replace(base, latency_seconds=20.0, error_rate=0.05),
        "GET /": get,
        "GET /users/me": users,
        "GET /users/{id}": dataclasses.replace(users, min_calls=5),
        "GET /users/1": users,
        "GET /users/[1]": dataclasses.replace(users, latency_seconds=9.0),
    }


@pytest.mark.parametrize(
    ("pattern", "operation", "is_meant"),
    [
        ("*", "", True),
        ("GET *", "GET /", True),
        ("GET *", "get /", False),
        ("*.route", "agent.route", True),
        ("*.route", "agentXroute", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a*", "a\nb", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("[!a]*", "[!a]b", True),
        ("a+", "aa", False),
        ("*a" * 30 + "*b", "a" * 5_000, False),
    ],
)
def test_what_a_pattern_means(pattern, operation, is_meant):
    assert matches(operation, pattern) is is_meant


SHARE = "must be from 0.000001 to 0.999999 with up to six decimals, or false"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "schema: None: must be 1"),
        ("schema = 2", "schema: 2: must be 1"),
        ("schema = true", "schema: True: must be 1"),
        ("schema = [", "not valid TOML"),
        ("schema = 1" + "0" * 5_000, "not valid TOML"),
        ("schema = 1\ndefualt = 1", "defualt: 1: not known; allowed are categories, default, operations, schema"),
        ("schema = 1\ndefault = 1", "default: 1: must be a table"),
        ("schema = 1\n[categories]\nllm = 2", "categories.llm: 2: must be a table"),
        (
            "schema = 1\n[operations.'GET /']\nlatency = 2",
            'operations."GET /".latency: 2: not known; allowed are availability, error_rate, latency_seconds, lat',
        ),
        ("schema = 1\n[default]\navailability = 99.9", f"default.availability: 99.9: {SHARE}"),
        ("schema = 1\n[default]\navailability = 1", f"default.availability: 1: {SHARE}"),
        ("schema = 1\n[default]\navailability = 1.0", f"default.availability: 1.0: {SHARE}"),
        ("schema = 1\n[default]\nerror_rate = 0", f"default.error_rate: 0: {SHARE}"),
        ("schema = 1\n[default]\nerror_rate = true", f"default.error_rate: True: {SHARE}"),
        ("schema = 1\n[default]\nerror_rate = nan", f"default.error_rate: nan: {SHARE}"),
        ("schema = 1\n[default]\nerror_rate = -inf", f"default.error_rate: -inf: {SHARE}"),
        ("schema = 1\n[default]\nerror_rate = 1e-7", f"default.error_rate: 1e-07: {SHARE}"),
        ("schema = 1\n[default]\nerror_rate = 0.0000015", f"default.error_rate: 1.5e-06: {SHARE}"),
        ("schema = 1\n[default]\nlatency_share = '95 %'", f"default.latency_share: '95 %': {SHARE}"),
        ("schema = 1\n[default]\nlatency_seconds = 0", "default.latency_seconds: 0: must be seconds from 0.000001 to"),
        ("schema = 1\n[default]\nlatency_seconds = inf", "default.latency_seconds: inf: must be seconds from"),
        ("schema = 1\n[default]\nlatency_seconds = true", "default.latency_seconds: True: must be seconds from"),
        (
            "schema = 1\n[default]\nlatency_seconds = false",
            "must be seconds from 0.000001 to 604800; latency_share = false turns the objective off",
        ),
        ("schema = 1\n[default]\nmin_calls = 0", "default.min_calls: 0: must be a whole number from 1 to"),
        ("schema = 1\n[default]\nmin_calls = 2.0", "default.min_calls: 2.0: must be a whole number from 1 to"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_is_allowed(load, text, wrong):
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert "mine.toml: " in str(caught.value)
    assert wrong in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"schema = 1 # \xe9")
    for name in ("none.toml", "latin.toml", "", "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_objectives(tmp_path / name)


@pytest.mark.parametrize("share", [0.999999, 0.000001, 0.3, 0.29, 0.57, 0.9995, 0.123457])
def test_shares_are_whole_millionths_whatever_their_float(load, share):
    assert load(f"schema = 1\n[default]\nerror_rate = {share}").of("a", "").error_rate == share


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"availability": 1.0}, f"availability 1.0: {SHARE}"),
        ({"error_rate": False}, f"error_rate False: {SHARE}"),
        ({"latency_seconds": None}, "latency_seconds None: must be seconds from 0.000001 to 604800"),
        ({"latency_seconds": 604801}, "latency_seconds 604801: must be seconds from"),
        ({"min_calls": True}, "min_calls True: must be a whole number"),
    ],
)
def test_an_objective_made_by_hand_is_checked_too(fields, wrong):
    with pytest.raises(ConfigurationError) as caught:
        Objective(**fields)
    assert wrong in str(caught.value)
