"""Tells the operations in flight of the tasks and threads they start, and of the work they hand to worker threads."""

from profkit.handover.tasks import unwatch_loop, watch_loop, watched
from profkit.handover.threads import install, uninstall

__all__ = ["install", "uninstall", "unwatch_loop", "watch_loop", "watched"]
