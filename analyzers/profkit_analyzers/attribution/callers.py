"""What functions of the application cost with all that they call, and who calls them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from profkit_analyzers.attribution.blame import function_name
from profkit_storage import Origin, Profile


@dataclass(frozen=True, slots=True)
class Inclusive:
    """Seconds of one profile by application function, with all that it calls; recursion counts once.

    `calls` are the seconds of each (caller, called), both of the application, next to each other on the stack but for
    library code.
    """

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    calls: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])


def inclusive(profile: Profile) -> Inclusive:
    """Return what each function of the application cost in one profile."""
    by_node: dict[int, float] = {}
    for sample in profile.samples:
        by_node[sample.node] = by_node.get(sample.node, 0.0) + sample.wall
    found = Inclusive()
    for node, spent in by_node.items():
        names = _functions(profile, node)
        for name in names:
            found.seconds[name] = found.seconds.get(name, 0.0) + spent
        for called, caller in pairwise(names):
            found.calls[caller, called] = found.calls.get((caller, called), 0.0) + spent
    return found


def _functions(profile: Profile, node: int) -> list[str]:
    """Return the application's functions on a stack, the innermost first, each once."""
    names = (function_name(frame) for frame, _ in profile.stack(node) if frame.origin is Origin.APPLICATION)
    return list(dict.fromkeys(names))
