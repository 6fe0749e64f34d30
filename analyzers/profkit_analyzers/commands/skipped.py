"""What in a store is no readable profile: counted, and the first one named."""

from __future__ import annotations

from profkit_storage import (
    CorruptProfile,
    Profile,
    ProfileEntry,
    ProfileNotFound,
    ProfileStorage,
    StorageError,
)


class Skipped:
    """Counts what is passed over. `add` is a `ProblemHandler`."""

    def __init__(self) -> None:
        self.count = 0
        self._first = ""

    def add(self, key: str, reason: str) -> None:
        self._first = self._first or f"{key}: {reason}"
        self.count += 1

    def load(self, storage: ProfileStorage, entry: ProfileEntry) -> Profile | None:
        """Return the profile of an entry; None, and counted, if it is damaged, gone or cannot be read."""
        try:
            return storage.load_entry(entry)
        except CorruptProfile as error:
            self.add(error.key, error.reason)
        except ProfileNotFound:
            self.add(entry.key, "gone since it was listed")
        except StorageError as error:
            self.add(entry.key, str(error))
        return None

    def note(self) -> str:
        """Return what to say of them after other counts, "" if there are none."""
        return f"; {self.count:,} skipped, the first is {self._first}" if self.count else ""
