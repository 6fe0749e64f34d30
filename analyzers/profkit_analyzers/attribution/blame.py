"""What time is blamed on: a category, an owner, and a place in the application's code."""

from __future__ import annotations

from typing import NamedTuple

from profkit_storage import Frame


class CallSite(NamedTuple):
    """A place: `module.qualname`, and the line of the call, 0 for the function's own code as a whole.

    The name is "" where no application code was seen.
    Both are the identity; no file, so the same code on another machine or path is the same place.
    """

    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name} (line {self.line})" if self.line else self.name


class Blame(NamedTuple):
    """The key, within one operation, that seconds are summed under.

    `category` is the one reported, `subcategory` its own finer name ("cache", reported as "db") or "".
    """

    category: str
    subcategory: str
    owner: str
    call_site: CallSite


def function_name(frame: Frame) -> str:
    """Return `module.qualname`, or the qualname where the module is not known."""
    return f"{frame.module}.{frame.qualname}" if frame.module else frame.qualname
