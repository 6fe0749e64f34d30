"""profkit: a flight recorder for slow Python operations."""

from profkit.config import Settings
from profkit.inflight import InFlight
from profkit.operations import Operation
from profkit.process_capture import CaptureBusy
from profkit.profiler import PerformanceProfiler
from profkit_storage import ConfigurationError, ProfkitError, StorageError

_default = PerformanceProfiler()

configure = _default.configure
profile = _default.profile
operation = _default.operation
capture = _default.capture
set_threshold = _default.set_threshold
flush = _default.flush
shutdown = _default.shutdown
stats = _default.stats


def default_profiler() -> PerformanceProfiler:
    """Return the profiler that the functions of this module act on."""
    return _default


__all__ = [
    "CaptureBusy",
    "ConfigurationError",
    "InFlight",
    "Operation",
    "PerformanceProfiler",
    "ProfkitError",
    "Settings",
    "StorageError",
    "capture",
    "configure",
    "default_profiler",
    "flush",
    "operation",
    "profile",
    "set_threshold",
    "shutdown",
    "stats",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # read when asked for: the metadata of all that is installed is slow to import
        from importlib.metadata import version

        return version("profkit")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
