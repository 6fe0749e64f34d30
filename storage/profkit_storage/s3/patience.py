"""How long a caller of the S3 store may be kept waiting."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from profkit_storage.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds, but for `attempts`: how often a request is sent in all.

    No attempt begins later than `total` after the call did, so a caller waits for `total + read` at the longest,
    whatever the server does not do.

    Raises:
        ConfigurationError: a number of seconds is not above 0 and finite, or there is no attempt.
    """

    connect: float = 3.0
    read: float = 10.0
    total: float = 18.0
    attempts: int = 5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{field.name} {value!r}: must be a finite number above 0")
        if type(self.attempts) is not int:
            raise ConfigurationError(f"attempts {self.attempts!r}: must be a whole number above 0")
