"""Which keys a query takes."""

from __future__ import annotations

import copy
import math

from profkit_storage.base import ProfileEntry, ProfileQuery
from profkit_storage.errors import ConfigurationError
from profkit_storage.keys import duration_ms, milliseconds
from profkit_storage.names import escape_name


class KeyFilter:
    """A `ProfileQuery` made ready to be asked about spans of time and about entries.

    Names are compared as they are escaped in keys, so a name of any length matches by the whole of it. Times and
    durations are compared in whole milliseconds, as keys hold them: neighbouring windows share no profile.

    Raises:
        ConfigurationError: `since` is after `until`, or `min_duration` is no finite number from 0.
    """

    def __init__(self, query: ProfileQuery | None) -> None:
        query = query or ProfileQuery()
        self.since = None if query.since is None else milliseconds(query.since)
        """Milliseconds since the epoch, or None; as `until`."""
        self.until = None if query.until is None else milliseconds(query.until)
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ConfigurationError(f"since {query.since} is after until {query.until}: must not be later")
        least = query.min_duration
        if least is not None and not (math.isfinite(least) and least >= 0):
            raise ConfigurationError(f"min_duration {least!r}: must be a finite number of seconds from 0")
        self._least = None if least is None else duration_ms(least)
        self.service = None if query.service is None else escape_name(query.service)
        self._category = None if query.category is None else escape_name(query.category)
        self._operation = None if query.operation is None else escape_name(query.operation)

    def overlaps(self, start: int, length: int) -> bool:
        """Tell whether operations may match that start in [start, start + length), in milliseconds since the epoch."""
        if self.since is not None and start + length <= self.since:
            return False
        return self.until is None or start < self.until

    def within(self, since: int | None, until: int | None) -> KeyFilter:
        """Return a filter for those of this one that start in [since, until), in milliseconds since the epoch."""
        narrow = copy.copy(self)
        if since is not None and (self.since is None or since > self.since):
            narrow.since = since
        if until is not None and (self.until is None or until < self.until):
            narrow.until = until
        return narrow

    def takes_service(self, key: str) -> bool:
        """Tell whether the query takes what lies under this key, by its service."""
        return self.service is None or key.rpartition("/")[0].endswith(f"/service={self.service}")

    def matches(self, entry: ProfileEntry) -> bool:
        """Tell whether the query takes this entry."""
        if not self.overlaps(entry.start_ns // 1_000_000, 1):
            return False
        if self._least is not None and duration_ms(entry.wall) < self._least:
            return False
        if not self.takes_service(entry.key):
            return False
        _, category, operation, _ = entry.key.rpartition("/")[2].split(".", 3)
        if self._category is not None and category != self._category:
            return False
        return self._operation is None or operation == self._operation
