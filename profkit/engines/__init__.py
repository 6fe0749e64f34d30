"""What looks at an operation: profkit's own watchdog, or pyinstrument's engine where it is asked for."""

from __future__ import annotations

from profkit.engines.instrumented import Instrumented
from profkit.engines.session import available
from profkit.operations import Operation
from profkit_storage import ConfigurationError

__all__ = ["ENGINES", "PYINSTRUMENT", "WATCHDOG", "Instrumented", "kind_of"]

WATCHDOG = "watchdog"
PYINSTRUMENT = "pyinstrument"
ENGINES = (WATCHDOG, PYINSTRUMENT)


def kind_of(engine: str) -> type[Operation]:
    """Return the kind of operation that this engine looks at.

    Raises:
        ConfigurationError: there is no such engine; names those there are.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"engine={engine!r} is not allowed: give {' or '.join(map(repr, ENGINES))}")
    if engine == WATCHDOG:
        return Operation
    available()  # imported here, which takes 70 ms, and not when the first operation begins
    return Instrumented
