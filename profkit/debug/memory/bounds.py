"""What the arguments of memory jobs may be; the routes check their parameters themselves."""

from __future__ import annotations

from typing import cast

from profkit_storage.errors import ConfigurationError

MIN_SECONDS, MAX_SECONDS = 1.0, 60.0


def check_seconds(seconds: float) -> None:
    """Raise `ConfigurationError` unless it is a number from 1 to 60."""
    number = isinstance(cast("object", seconds), int | float) and not isinstance(seconds, bool)
    if not number or not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise ConfigurationError(f"seconds: {seconds!r} is not allowed; allowed is 1 to 60")


def check_count(name: str, value: int, most: int, least: int = 1) -> None:
    """Raise `ConfigurationError` unless it is a whole number from `least` to `most`."""
    if type(value) is not int or not least <= value <= most:
        raise ConfigurationError(
            f"{name}: {value!r} is not allowed; allowed is a whole number from {least} to {most}"
        )
