"""Which budget an operation has, and that a wrong file is refused by its place and value."""

from __future__ import annotations

import pytest

from profkit_analyzers import Budgets, load_budgets
from profkit_storage import ConfigurationError
from profkit_storage.categories import default_categories


@pytest.fixture
def load(tmp_path):
    def run(text):
        path = tmp_path / "budgets.toml"
        path.write_text(text)
        return load_budgets(path, default_categories())

    return run


def test_without_any_it_is_the_threshold():
    assert Budgets().seconds("checkout", "db", 1.5) == 1.5


def test_an_operation_goes_before_its_category_and_that_before_the_default(load):
    budgets = load(
        'default = 3\n[operations]\n"pay" = 0.7\n"checkout.*" = 1.5\n"checkout.c*" = 9\n[categories]\ndb = 0.2'
    )
    assert budgets.seconds("checkout.cart", "db", 1.0) == 1.5
    assert budgets.seconds("pay", "", 1.0) == 0.7
    assert budgets.seconds("find", "db", 1.0) == 0.2
    assert budgets.seconds("find", "", 1.0) == 3.0
    assert budgets.seconds("chat", "llm", 1.0) == 2.0, "from categories.toml"


def test_a_file_without_a_default_leaves_the_thresholds(load):
    assert load("").seconds("find", "", 1.25) == 1.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default = -1", "default: -1: must be seconds from 0"),
        ("default = nan", "default: nan: must be seconds from 0"),
        ("default = true", "default: True: must be seconds from 0"),
        ('[operations]\na = "1s"', "operations.a: '1s': must be seconds from 0"),
        ("operations = 3", "operations: 3: must be a table"),
        (
            "[operation]\na = 3",
            r"operation: \{'a': 3\}: not known; allowed are categories, default, operations",
        ),
        ("default = ", "not valid TOML"),
    ],
)
def test_what_is_no_budget_is_refused(load, text, message):
    with pytest.raises(ConfigurationError, match=message):
        load(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.toml' cannot be read"):
        load_budgets(tmp_path / "none.toml", default_categories())


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_no_number_of_seconds_is_refused(seconds):
    with pytest.raises(ConfigurationError, match=f"budget {seconds}: must be a finite number of seconds"):
        Budgets(default=seconds)
