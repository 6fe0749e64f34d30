"""Tells the operations in flight of the tasks and threads they start, and of the work they hand to worker threads."""

from profkit.handover import loops, threads
from profkit.handover.tasks import unwatch_loop, watch_loop, watched


def install() -> None:
    """Have operations told from now on; once, however often it is called."""
    threads.install()
    loops.install()


def uninstall() -> None:
    """Have them told no more."""
    threads.uninstall()
    loops.uninstall()


__all__ = ["install", "uninstall", "unwatch_loop", "watch_loop", "watched"]
