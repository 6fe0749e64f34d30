"""What the interpreter does beside the application's own work: collecting garbage, importing."""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import IMPORT
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import Sight

COLLECTOR = "[garbage collector]"


def _pauses(scene: Scene) -> Iterator[Sight]:
    if scene.gc and scene.matters(scene.gc):
        yield Sight(COLLECTOR, "", scene.gc, (), (nanoseconds(scene.longest_gc),))


def _imports(scene: Scene) -> Iterator[Sight]:
    if not scene.every & IMPORT:
        return
    found: dict[tuple[str, str], float] = {}
    for stack, seconds in scene.spent():
        if scene.near[stack] & IMPORT:
            key = str(scene.call_site(scene.sites[stack])), _imported(scene, stack)
            found[key] = found.get(key, 0.0) + seconds
    together: dict[str, dict[str, float]] = {}
    for (place, module), seconds in found.items():
        together.setdefault(place, {})[module] = seconds
    for place, modules in together.items():
        seconds = sum(modules.values())
        if scene.matters(seconds):
            # Looking for a module's file, before it runs, has no name yet: it is that of the slowest there.
            slowest = max(
                (name for name in modules if name), key=lambda name: (modules[name], name), default=""
            )
            yield Sight(place, slowest, seconds, (), (nanoseconds(seconds),))


def _imported(scene: Scene, stack: int) -> str:
    """Return the module that the outermost import around `stack` runs, "" before it does."""
    name, site = "", scene.sites[stack]
    while stack >= 0 and stack != site:
        frame = scene.frame(stack)
        if frame.qualname == "<module>":
            name = frame.module
        stack = scene.caller(stack)
    return name


def _tell_pauses(found: Found) -> Told:
    return Told(
        "Make fewer objects that live on; after start-up, gc.freeze() what stays; raise gc.set_threshold;"
        " call gc.collect() in no request.",
        (found.longest("the longest pause"), found.share),
    )


def _tell_imports(found: Found) -> Told:
    module = [Evidence("module", found.subject, Unit.NAME)] if found.subject else []
    return Told(
        "Import it when the process starts: at the top of the module, or in what warms the process up.",
        (
            *module,
            found.longest("the most in one operation"),
            found.share,
        ),
    )


PATTERNS = (Pattern("gc_pause", _pauses, _tell_pauses), Pattern("slow_import", _imports, _tell_imports))
