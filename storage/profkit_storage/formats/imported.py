"""A pyinstrument session as a Profile: the stacks and seconds it holds, under a name of the caller's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from pyinstrument.session import Session

from profkit_storage.errors import ConfigurationError
from profkit_storage.profile import Frame, Node, Origin, Profile, Sample, Sampling, State, Status, Trigger
from profkit_storage.ulid import new_ulid

_THREAD = "<thread>"
_BUILT_IN = "<built-in>"
_PACKAGES = re.compile(r"[/\\](?:site-packages|dist-packages)[/\\]")
_BRACKETED = re.compile(r"\[.+\]", re.DOTALL)
_TYPED_IN = re.compile(r"<(?:string|stdin|ipython-input-.*)>", re.DOTALL)


def from_session(
    session: Session,
    *,
    operation: str,
    service: str,
    category: str = "",
    status: Status = Status.OK,
    trigger: Trigger = Trigger.SLOW,
    threshold: float = 1.0,
    tags: Mapping[str, object] | None = None,
) -> Profile:
    """Return `session` as a profile with a new id; `Profile` tells the meaning of the arguments.

    Threads become `[thread NAME]` roots where the session has more than one; a single one is left out. A frame's origin
    and module come from the session's own paths; its distribution is not known. Seconds that no record gives a
    stack for are unobserved.

    Raises:
        ConfigurationError: a record with a time or a frame that pyinstrument would not have written.
    """
    start_ns = int(session.start_time * 1e9)
    tree = _tree(session)
    observed = sum(sample.wall for sample in tree.samples)
    return Profile(
        id=new_ulid(start_ns),
        operation=operation,
        category=category,
        start_ns=start_ns,
        wall=session.duration,
        service=service,
        status=status,
        trigger=trigger,
        cpu=session.cpu_time,
        threshold=threshold,
        weight=1.0 if trigger is Trigger.SLOW else 0.0,
        tags={} if tags is None else dict(tags),
        frames=tuple(tree.frames),
        nodes=tuple(tree.nodes),
        samples=tuple(tree.samples),
        sampling=Sampling(
            engine="pyinstrument",
            interval=session.max_interval,
            ticks=session.sample_count,
            unobserved=max(0.0, session.duration - observed),
        ),
    )


def _tree(session: Session) -> _Tree:
    threads = {stack[0] for stack, _ in session.frame_records if stack and _is_thread(stack[0])}
    tree = _Tree(session)
    for stack, seconds in session.frame_records:
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ConfigurationError(
                f"session: a record of {seconds!r} seconds; allowed: zero or more, finite"
            )
        kept = stack[1:] if len(threads) == 1 and stack and stack[0] in threads else stack
        if kept:
            tree.add(kept, seconds)
    return tree


def _is_thread(string: str) -> bool:
    return string.partition("\x01")[0].split("\x00")[1:2] == [_THREAD]


class _Tree:
    """Frames, nodes and samples as they are found, each frame string read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read: dict[str, tuple[int, int]] = {}
        self.frames: dict[Frame, int] = {}
        self.nodes: dict[Node, int] = {}
        self.samples: list[Sample] = []

    def add(self, stack: Sequence[str], seconds: float) -> None:
        """Add a record, to the last sample if that has the same stack."""
        node = -1
        for string in stack:
            frame, line = self._frame(string)
            node = self.nodes.setdefault(Node(node, frame, line), len(self.nodes))
        if self.samples and self.samples[-1].node == node:
            seconds += self.samples.pop().wall
        state = State.WAITING if stack[-1] == "[await]" else State.RUNNING
        self.samples.append(Sample(node, seconds, state=state))

    def _frame(self, string: str) -> tuple[int, int]:
        known = self._read.get(string)
        if known is None:
            frame, line = _parsed(string, self._session)
            known = self._read[string] = (self.frames.setdefault(frame, len(self.frames)), line)
        return known


def _parsed(string: str, session: Session) -> tuple[Frame, int]:
    """Return the frame and its current line (0 if not told) that a frame string stands for."""
    identity, *attributes = string.split("\x01")
    name, filename, first_line, *_ = (
        [*identity.split("\x00"), "", "0"] if "\x00" in identity else [identity, "", "0"]
    )
    told = {attribute[:1]: attribute[1:] for attribute in attributes}
    try:
        first, line = int(first_line or 0), int(told.get("l") or 0)
    except ValueError:
        raise ConfigurationError(
            f"session: frame {string!r}; allowed: name, file and whole first line, \\x00 between them"
        ) from None
    if filename == _THREAD:
        return Frame(f"[thread {name}]", "", 0, "", "", Origin.SYNTHETIC), 0
    origin = _origin(name, filename, session.sys_prefixes)
    if origin is Origin.NATIVE:
        return Frame(name, "", 0, "", "", origin), line
    qualname = f"{told['c']}.{name}" if "c" in told else name
    return Frame(qualname, filename, first, _module(filename, session.sys_path), "", origin), line


def _origin(name: str, filename: str, prefixes: Sequence[str]) -> Origin:
    if filename == _BUILT_IN:
        return Origin.NATIVE
    if not filename and _BRACKETED.fullmatch(name):
        return Origin.SYNTHETIC
    if filename.startswith("<frozen "):
        return Origin.STDLIB
    if filename.startswith("<"):
        return Origin.APPLICATION if _TYPED_IN.fullmatch(filename) else Origin.SITE_PACKAGES
    if _PACKAGES.search(filename):
        return Origin.SITE_PACKAGES
    return Origin.STDLIB if any(filename.startswith(prefix) for prefix in prefixes) else Origin.APPLICATION


def _module(filename: str, roots: Sequence[str]) -> str:
    """Return the dotted name of a file below the longest of `roots`, "" where it is below none."""
    for root in sorted(roots, key=len, reverse=True):
        rest = filename.removeprefix(root.rstrip("/\\"))
        if root and rest != filename and rest[:1] in ("/", "\\"):
            parts = re.split(r"[/\\]", rest[1:].rpartition(".")[0].removesuffix("__init__").rstrip("/\\"))
            return ".".join(parts) if all(part.isidentifier() for part in parts) else ""
    return ""
