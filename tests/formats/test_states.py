"""What an operation was doing: the bar, its shares in words, and who had the event loop."""

from __future__ import annotations

import dataclasses
import re

import pytest

from profkit_storage import Sampling, State
from profkit_storage.formats.states import holders, seconds_by_state, states_section
from profkit_storage.merging import MergedProfile

STATES = [State.RUNNING, State.WAITING, State.STARVED, State.HELD, State.GC]


def of(make_profile, **changes):
    stacks = [(["root"], seconds) for seconds in (1.0, 2.0, 0.5, 0.4, 0.1)]
    return make_profile(stacks=stacks, states=STATES, **changes)


def held_by(profile, *names: str):
    """Let each sample that was not free to go on be held by a function."""
    frames = list(profile.frames)
    samples = []
    for sample in profile.samples:
        holder = -1
        if sample.state in (State.STARVED, State.HELD):
            holder = len(frames)
            frames.append(frames[0]._replace(qualname=names[len(frames) - len(profile.frames)]))
        samples.append(sample._replace(holder=holder))
    return dataclasses.replace(profile, frames=tuple(frames), samples=tuple(samples))


def test_every_state_has_its_seconds_and_share(make_profile):
    profile = of(make_profile, wall=5.0, sampling=Sampling(unobserved=1.0))
    spent = seconds_by_state(MergedProfile.of(profile))
    assert spent == pytest.approx(
        {"running": 1.0, "waiting": 2.0, "starved": 0.5, "held": 0.4, "gc": 0.1, "not observed": 1.0}
    )
    section = states_section(MergedProfile.of(profile))
    for words in ("running <b>1.00 s, 20.0 %", "waiting <b>2.00 s, 40.0 %", "not observed <b>1.00 s, 20.0 %"):
        assert words in section
    widths = [float(width) for width in re.findall(r'x="[\d.]+%" width="([\d.]+)%"', section)]
    assert sum(widths[:6]) >= 60


def test_the_bars_parts_are_side_by_side_and_all_of_it(make_profile):
    section = states_section(MergedProfile.of(of(make_profile)))
    bar = section.partition('<ul class="flame-legend">')[0]
    parts = re.findall(r'<rect class="state-(\w+)" x="([\d.]+)%" width="([\d.]+)%"', bar)
    assert [state for state, _, _ in parts] == ["running", "waiting", "starved", "held", "gc"]
    reached = 0.0
    for _, left, width in parts:
        assert float(left) == pytest.approx(reached, abs=0.01)
        reached += float(width)
    assert reached == pytest.approx(100, abs=0.01)


def test_the_holders_of_the_event_loop_are_named_with_their_seconds(make_profile):
    profile = held_by(of(make_profile), "parse<b>", "compress")
    merged = MergedProfile.of(profile)
    assert [(name.rpartition(".")[2], seconds) for name, seconds in holders(merged)] == [
        ("parse<b>", pytest.approx(0.5)),
        ("compress", pytest.approx(0.4)),
    ]
    section = states_section(merged)
    assert "What had the event loop while it was ready" in section
    assert (
        '<td class="figure" data-value="0.5">500 ms</td><td class="code">app.main.parse&lt;b&gt;</td>'
        in section
    )
    assert "had the event loop" not in states_section(MergedProfile.of(of(make_profile)))


def test_many_holders_are_summed_up(make_profile):
    stacks = [(["root"], 1.0) for _ in range(30)]
    profile = make_profile(stacks=stacks, states=[State.HELD] * 30)
    section = states_section(MergedProfile.of(held_by(profile, *(f"f{number}" for number in range(30)))))
    assert section.count('<td class="code">') == 8
    assert "and 22 more: 22.00 s" in section


def test_without_a_sample_there_is_a_bar_without_parts(make_profile):
    section = states_section(MergedProfile())
    assert "running <b>none</b>" in section
    assert "not observed" not in section
