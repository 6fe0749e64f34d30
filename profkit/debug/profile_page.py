"""What the page of one profile shows: its head in words, and the view that exported pages have too."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

from markupsafe import Markup

from profkit.debug.masked import masked, shortened
from profkit.debug.summary import ProfileSummary, summary
from profkit.masking import Masker
from profkit_storage import Profile, Trigger
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.view import view_of

MAX_BOXES = 6_000
MAX_DATA = 500_000
"""Boxes of a profile's page, and bytes of the data they are: the page, with all that it loads, is under a megabyte."""

_TRIGGERS = {
    Trigger.SLOW: "slow: it took longer than its threshold",
    Trigger.ERROR: "error: it failed",
    Trigger.MANUAL: "manual: somebody asked for a capture of the whole process",
    Trigger.STALLED: "stalled: it was over its threshold and had not ended",
    Trigger.CONTROL: "control: chosen by chance, to compare slow ones with",
}
_PLURALS = {"task or thread": "tasks or threads"}


class ProfilePage(NamedTuple):
    """`profile` as JSON has it, but cut; `facts` and `sampling` are texts by name, `view` is HTML by part."""

    profile: ProfileSummary
    facts: dict[str, str]
    sampling: dict[str, str]
    view: dict[str, Markup]


def profile_page(profile: Profile, masker: Masker) -> ProfilePage:
    """Return the page's content, masked, and bounded whatever the profile holds."""
    shown = shortened(masked(profile, masker))
    view = view_of(shown, limit=MAX_BOXES, size=MAX_DATA, hottest=False)  # the summary has them
    return ProfilePage(
        summary(shown, masker),
        {name: text for name, text in _facts(shown).items() if text},
        _sampling(shown),
        {name: Markup(part) for name, part in asdict(view).items()},  # noqa: S704 - escaped where it is made
    )


def _facts(profile: Profile) -> dict[str, str]:
    whole = profile.trigger is Trigger.MANUAL
    cpu = "" if profile.cpu is None else in_seconds(profile.cpu)
    return {
        "category": profile.category,
        "status": profile.status.value,
        "kept because": _TRIGGERS[profile.trigger],
        "wall": in_seconds(profile.wall),
        "CPU": f"{cpu} of all threads" if cpu and whole else cpu or "there is no clock for it",
        "threshold": "" if whole else in_seconds(profile.threshold),
        "stands for": _stands_for(profile),
        "stood still": f"{in_seconds(profile.paused)} between its steps" if profile.paused else "",
        "request id": profile.request_id,
        "trace id": profile.trace_id,
        "span id": profile.span_id,
        "service": f"{profile.service} {profile.version}".strip(),
        "process": f"pid {profile.pid} on {profile.host}" if profile.host else "",
        "Python": profile.python,
        "profile": profile.id,
    }


def _stands_for(profile: Profile) -> str:
    if profile.trigger is not Trigger.SLOW or profile.weight <= 0:
        return "itself alone, and takes no part in rankings"
    others = profile.weight - 1
    if others < 0.5:
        return "itself alone"
    return f"{profile.weight:,.6g} slow operations: itself and {others:,.6g} that there was no room to keep"


def _sampling(profile: Profile) -> dict[str, str]:
    how = profile.sampling
    looks = f"{how.ticks:,}"
    if how.ticks and profile.wall > 0:
        looks += f", one in {in_seconds(profile.wall / how.ticks)} on average"
    share = f", {100 * how.sampler_cpu / profile.wall:.2g} % of its seconds" if profile.wall > 0 else ""
    return {
        "engine": "watchdog: looked at from outside" if how.engine == "watchdog" else how.engine,
        "looks": looks,
        "asked for": f"one in {in_seconds(how.interval)}",
        "cost of looking": f"{in_seconds(how.sampler_cpu)} CPU{share}",
        "not observed": in_seconds(how.unobserved) if how.unobserved else "nothing",
        "dropped": f"{how.dropped_children:,} operations inside it, the shortest"
        if how.dropped_children
        else "nothing",
        "kept": ", ".join(
            f"{number:,} {noun if number == 1 else _PLURALS.get(noun, f'{noun}s')}"
            for number, noun in (
                (len(profile.samples), "sample"),
                (len(profile.nodes), "place"),
                (len(profile.children), "operation"),
                (len(profile.branches), "task or thread"),
            )
            if number
        )
        or "nothing",
    }
