"""`profkit explain`: what it prints of a profile, and its errors."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from profkit_analyzers.attribution.explanation import explain
from profkit_analyzers.cli import main
from profkit_analyzers.reporters import explanation as page
from profkit_analyzers.reporters.terminal import Screen
from profkit_storage import ChildOperation, Sampling, State, Trigger, open_storage
from profkit_storage.categories import default_categories

HOSTILE = "evil\x1b]0;owned\x07\x1b[2J\r\n\u202eright\x9b31m"


@pytest.fixture
def run(capsys):
    """`run(*arguments) -> (exit code, stdout, stderr)`."""

    def run(*arguments):
        code = main(["explain", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def stored(tmp_path, make_profile):
    """`stored(**fields) -> (id, store)`."""

    def put(**fields):
        with open_storage(tmp_path / "store") as storage:
            return storage.put(make_profile(**fields)).id, tmp_path / "store"

    return put


def test_it_shows_each_group_with_its_rule_word_and_what_was_passed(run, stored):
    id, store = stored(wall=2.4)
    code, out, err = run(id[:12].lower(), store)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["agent.route (agent)", f"profile {id}, 2.40 s"]
    first = next(index for index, line in enumerate(lines) if line.startswith("1 "))
    assert lines[first].split() == "1 1.20 s 50.0 % waiting llm openai app.llm.complete (line 80)".split()
    assert lines[first + 1].startswith("    rule 2    a library that the innermost application function")
    assert "AsyncCompletions.create" in lines[first + 2]
    assert '"openai" in categories.llm.packages of categories.toml' in lines[first + 2]
    assert lines[first + 3] == "    past      [await] (a wait, hands on)"
    assert lines[-1] == "not observed: 0.12 s"
    assert "sqlite3.cursor.execute" in out
    assert "called by sqlalchemy.orm.session.Session.execute (line 2303)" in out


def test_top_shortens_it_and_says_what_is_left(run, stored):
    id, store = stored()
    _, out, _ = run(id, store, "--top", 2)
    assert "and 2 smaller groups, 0.48 s in all: see --top" in out
    assert len(json.loads(run(id, store, "--format", "json")[1])["groups"]) == 4
    document = json.loads(run(id, store, "--format", "json", "--top", 2)[1])
    assert (document["groups_count"], len(document["groups"])) == (4, 2)


def test_json_sums_to_the_operations_wall_time(run, stored):
    id, store = stored(wall=2.4)
    document = json.loads(run(id, store, "--format", "json")[1])
    spent = sum(group["seconds"] for group in document["groups"])
    assert (document["schema"], document["id"], document["seconds"]) == (1, id, 2.4)
    assert spent + document["unobserved"] == pytest.approx(2.4)


def test_it_says_the_same_as_the_ranking_with_the_same_rules(run, stored, tmp_path, capsys):
    id, store = stored()
    rules = tmp_path / "rules.toml"
    rules.write_text('schema = 1\n[categories.brain]\npackages = ["openai"]\n')
    document = json.loads(run(id, store, "--rules", rules, "--format", "json")[1])
    first = document["groups"][0]
    assert (first["category"], first["rule"]) == ("brain", 2)
    assert first["stack"][first["decided"]]["word"] == {
        "place": "categories.brain.packages",
        "text": "openai",
        "source": str(rules),
        "distribution": "",
    }
    main(["analyze", str(store), "--rules", str(rules), "--format", "json"])
    ranked = json.loads(capsys.readouterr().out)["categories"]
    for category, seconds in ranked.items():
        found = sum(group["seconds"] for group in document["groups"] if group["category"] == category)
        assert found == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_stored_drives_it(make_profile, frames, width):
    stacks = [
        ([frames.app(f"{HOSTILE}:a"), frames.lib(f"redis.{HOSTILE}:get{HOSTILE}" * 3, "redis")], 2.0),
        ([frames.app("app:a"), *(frames.std(f"asyncio.m{n}:{HOSTILE}") for n in range(30))], 1.0),
        ([frames.app("订单:查询"), frames.await_], 1.0),
    ]
    profile = make_profile(
        operation=HOSTILE,
        category=HOSTILE,
        stacks=stacks,
        states=[State.RUNNING, State.RUNNING, State.WAITING],
        children=(ChildOperation(HOSTILE, HOSTILE, 3, 4, {}),),
    )
    found = page.render(explain(profile, default_categories()), Screen(width), 10)
    assert max(map(cell_len, found.split("\n"))) <= width
    assert "\x1b" not in found.replace("\\x1b", "")
    assert not {"\x07", "\r", "\u202e", "\x9b"} & set(found)
    assert "operation evil" in found or width < 80


def test_a_profile_without_samples_has_no_groups_and_is_no_error(run, stored):
    id, store = stored(stacks=[], wall=2.0)
    code, out, _ = run(id, store)
    assert code == 0
    assert out.splitlines()[-1] == "not observed: 2.00 s"


def test_a_capture_of_the_whole_process_is_of_thread_seconds(run, stored):
    id, store = stored(
        stacks=[(["app:a"], 2.0), (["app:b"], 2.0)], wall=2.0, trigger=Trigger.MANUAL, sampling=Sampling()
    )
    lines = run(id, store)[1].splitlines()
    assert lines[1] == f"profile {id}, 2.00 s; 4.00 s of threads and tasks side by side"
    assert [line.split()[3] for line in lines if line[:2] in ("1 ", "2 ")] == ["50.0", "50.0"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["01M00000000000000000000000", "STORE"], ["01M00000000000000000000000"]),
        (["abc", "STORE"], ["'ABC'", "first 6 or more"]),
        (["ID", "/no/such/store"], ["/no/such/store", "no such directory"]),
        (["ID", "STORE", "--top", "0"], ["--top", "0"]),
        (["ID", "STORE", "--format", "html"], ["'html'", "table", "json"]),
        (["ID", "STORE", "--rules", "/no/such.toml"], ["/no/such.toml", "cannot be read"]),
        (["ID"], ["STORE"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(run, stored, arguments, words):
    id, store = stored()
    code, out, err = run(*({"ID": id, "STORE": store}.get(word, word) for word in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in err
