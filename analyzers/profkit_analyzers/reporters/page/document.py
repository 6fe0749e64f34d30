"""A page of a report: the shell of every page, with the stylesheets and scripts of this package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.skipping import Skipped
from profkit_storage.formats.flamegraph import STYLES, resource
from profkit_storage.formats.names import markup
from profkit_storage.formats.shell import whole_page


def document(
    title: str, head: str, parts: Iterable[str], scripts: Sequence[str], *, graphs: Sequence[str] = ()
) -> str:
    """Return the page. `scripts` are files of this package, `graphs` those of the flame graph that they need."""
    return whole_page(
        title,
        head,
        parts,
        styles=[*map(resource, STYLES), _own("page.css")],
        scripts=[*map(resource, graphs), *map(_own, scripts)],
    )


def skipped_part(skipped: Sequence[Skipped], count: int) -> str:
    """Return what could not be read, folded in, and "" if everything could."""
    if not count:
        return ""
    rows = "".join(f"<li>{markup(item.key)}: {markup(item.reason)}</li>" for item in skipped)
    more = count - len(skipped)
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    return (
        f"<details><summary>{counted(count, 'profile')} could not be read</summary>"
        f"<ul>{rows}{rest}</ul></details>"
    )


@cache
def _own(name: str) -> str:
    return files("profkit_analyzers.reporters.page").joinpath(name).read_text(encoding="utf-8")
