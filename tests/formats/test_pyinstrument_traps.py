"""The eleven traps of building a pyinstrument session, each with the countermeasure it needs."""

from __future__ import annotations

import json
import re
import time

import pytest
from pyinstrument.renderers import ConsoleRenderer, HTMLRenderer, JSONRenderer
from pyinstrument.session import Session

from profkit_storage import Frame, Origin, State
from profkit_storage.formats.pyinstrument import MAX_DEPTH, THREAD, merged_session, render, to_session
from profkit_storage.merging import MergedProfile

AWAIT = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)
HOSTILE = "</script><script>alert(1)</script><!--<SCRIPT>"


def tree_of(session: Session) -> dict[str, object]:
    return json.loads(JSONRenderer(show_all=True).render(session))["root_frame"]


def shape(node: dict[str, object]) -> tuple[object, ...]:
    return (node["function"], *(shape(child) for child in node["children"]))


def test_1_every_record_begins_with_the_thread_that_the_session_starts_at(make_profile, render_all):
    for stacks in [[(["root", "a"], 1.0), (["root", "b"], 1.0)], [(["r"], 1.0), (["s"], 1.0)], []]:
        session = to_session(make_profile(stacks=stacks, wall=2.0))
        assert session.start_call_stack[0] == THREAD
        assert all(stack[0] == THREAD for stack, _ in session.frame_records)
        render_all(session)
    # a root all records share is not shown under the thread's name
    shared = to_session(make_profile(stacks=[(["root", "a"], 1.0), (["root", "b"], 1.0)]))
    assert tree_of(shared)["function"] == "root"


def test_2_await_is_bare_only_where_it_is_the_leaf(make_profile, render_all):
    session = to_session(make_profile(stacks=[(["root", AWAIT, "below"], 1.0), (["root", AWAIT], 2.0)]))
    render_all(session)
    root = tree_of(session)
    assert root["await_time"] == pytest.approx(2.0)
    assert {shape(child) for child in root["children"]} == {("[await]", ("below",)), ("[await]",)}


@pytest.mark.parametrize("origin", Origin)
def test_3_the_third_field_is_a_number(make_profile, render_all, origin):
    frame = Frame("f", "a\x00b\x00c", 0, "", "", origin)
    session = to_session(make_profile(stacks=[(["root", frame, "leaf"], 1.0)]))
    render_all(session)
    for string in session.frame_records[0][0]:
        assert int(string.partition("\x01")[0].split("\x00")[2]) >= 0
        assert string.count("\x00") == 2


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, 1_500, 20_000])
def test_4_a_deep_stack_keeps_its_root_and_its_leaf(make_profile, render_all, depth):
    names = [f"f{index}" for index in range(depth)]
    profile = make_profile(stacks=[(names, 1.0), (names[:-1], 1.0)])
    session = to_session(profile)
    rendered = render_all(session)
    json.loads(rendered["json"])  # CPython 3.11 reads nested JSON no deeper than its recursion limit
    stack = [string.partition("\x00")[0] for string in session.frame_records[0][0]]
    assert len(stack) <= MAX_DEPTH
    assert stack[1] == "f0"
    assert stack[-1] == names[-1]
    left_out = [int(name.split()[0][1:]) for name in stack if name.endswith("frames left out]")]
    assert len(stack) - 1 - len(left_out) + sum(left_out) == depth
    assert len(left_out) == (depth >= MAX_DEPTH)
    if depth != MAX_DEPTH:  # where the first of the two is cut and the second is not
        assert len(session.root_frame().children) == 1, "stacks of nearly one depth stay in one tree"
    assert sum(seconds for _, seconds in session.frame_records) == 2.0


@pytest.mark.parametrize("where", ["operation", "service", "qualname", "filename"])
def test_5_no_string_can_leave_the_script_element(make_profile, where):
    frame = Frame(
        HOSTILE + ".f" if where == "qualname" else "f",
        HOSTILE if where == "filename" else "/srv/f.py",
        1,
        "f",
        "",
        Origin.APPLICATION,
    )
    fields = {where: HOSTILE} if where in ("operation", "service") else {}
    profile = make_profile(stacks=[([frame, "leaf"], 1.0)], **fields)
    session = Session.from_json(json.loads(render(profile)))
    page = HTMLRenderer().render(session)
    assert len(re.findall("</script", page, re.IGNORECASE)) == 2
    assert len(re.findall("<script", page, re.IGNORECASE)) == 2
    assert "<!--" not in page.replace(HTMLRenderer().render(to_session(make_profile())), "")
    assert "alert(1)" in page, "the name itself is still there to be read"


def test_6_running_and_suspended_samples_of_one_operation_are_one_tree(make_profile):
    stacks = [(["root", "fetch"], 1.0), (["root", "fetch", AWAIT], 2.0), (["root", "fetch"], 1.0)]
    session = to_session(
        make_profile(stacks=stacks, states=[State.RUNNING, State.WAITING, State.STARVED]),
    )
    root = session.root_frame(trim_stem=False)
    assert [child.function for child in root.children] == ["root"]
    assert [child.function for child in root.children[0].children] == ["fetch"]
    assert tree_of(session)["time"] == pytest.approx(4.0)


def test_7_waiting_in_an_async_generator_is_the_callers_await(make_profile):
    stacks = [(["root", "consume", AWAIT], 2.0), (["root", "consume"], 0.5)]
    consume = tree_of(to_session(make_profile(stacks=stacks)))["children"][0]
    assert (consume["function"], consume["time"]) == ("consume", 2.5)
    assert consume["await_time"] == pytest.approx(2.0)


def test_8_the_class_comes_from_the_qualified_name(make_profile):
    method = Frame("Orders.Line.total", "/srv/app/orders.py", 3, "app.orders", "", Origin.APPLICATION)
    inner = Frame("outer.<locals>.inner", "/srv/app/orders.py", 9, "app.orders", "", Origin.APPLICATION)
    session = to_session(make_profile(stacks=[([method, inner], 1.0)]))
    assert session.frame_records[0][0][1:] == [
        "total\x00/srv/app/orders.py\x003\x01cOrders.Line\x01l6",
        "inner\x00/srv/app/orders.py\x009\x01couter.<locals>\x01l12",
    ]
    assert "Orders.Line.total" in ConsoleRenderer().render(session)


def test_9_profiles_of_different_threads_merge_into_one_tree(make_profile):
    first = make_profile(stacks=[(["root", "a"], 1.0)], operation="one", pid=1)
    second = make_profile(stacks=[(["root", "b"], 2.0)], operation="two", pid=2)
    combined = Session.combine(to_session(first), to_session(second))
    assert shape(tree_of(combined)) == ("root", ("b",), ("a",))


def test_10_a_session_tells_no_path_that_its_frames_do_not(make_profile):
    session = to_session(make_profile())
    assert session.sys_path == ["/srv", "/srv/venv/lib/python3.11/site-packages", "/usr/lib/python3.11"]
    assert session.sys_prefixes == ["/srv/venv/lib/python3.11/", "/usr/lib/python3.11/"]
    text = ConsoleRenderer().render(session)
    assert "app/agent.py:40" in text
    assert "/srv" not in text
    assert to_session(make_profile(stacks=[])).to_json()["sys_path"] == []


def test_10_a_prefix_covers_libraries_and_never_the_application(make_profile):
    library = Frame("f", "/opt/python3.11/site-packages/lib.py", 1, "lib", "lib", Origin.SITE_PACKAGES)
    ours = Frame("g", "/opt/python3.11/site-packages/ours.py", 1, "ours", "", Origin.APPLICATION)
    frozen = Frame("h", "<frozen runpy>", 1, "runpy", "", Origin.STDLIB)
    session = to_session(make_profile(stacks=[([ours, library, frozen], 1.0)]))
    assert session.sys_prefixes == ["/opt/python3.11/site-packages/lib.py"]
    root = tree_of(session)
    assert root["is_application_code"]
    assert not root["children"][0]["is_application_code"]


def merge(profiles):
    merged = MergedProfile()
    for profile in profiles:
        merged.add(profile)
    return merged_session(merged)


def test_11_merging_many_profiles_is_linear(make_profile):
    profile = make_profile(stacks=[(["root", f"f{index}"], 0.1) for index in range(40)])

    def seconds(count: int) -> float:
        begun = time.thread_time()
        session = merge([profile] * count)
        spent = time.thread_time() - begun
        assert len(session.frame_records) == 40
        return spent

    # A quadratic one would take 64 times as long; 8 times is linear, and the rest is other processes' noise.
    assert min(seconds(4_000) for _ in range(2)) < 32 * max(seconds(500) for _ in range(3))


def test_11_a_merged_session_sums_up(make_profile, render_all):
    profiles = [make_profile(start_ns=start, wall=2.0) for start in (3_000_000_000, 1_000_000_000)]
    session = merge(profiles)
    assert session.start_time == 1.0
    assert session.duration == 4.0
    assert session.sample_count == sum(profile.sampling.ticks for profile in profiles)
    assert session.target_description == "2 profiles of agent.route"
    assert sum(seconds for _, seconds in session.frame_records) == pytest.approx(3.8)
    render_all(session)


def test_11_a_merge_is_one_tree_whatever_its_operations(make_profile, render_all):
    session = merge([make_profile(stacks=[(["root", name], 1.0)], operation=name) for name in "abc"])
    assert session.start_call_stack[0] == THREAD
    assert shape(tree_of(session))[0] == "root"
    assert {child[0] for child in shape(tree_of(session))[1:]} == {"a", "b", "c"}
    render_all(session)
    render_all(merge([]))
