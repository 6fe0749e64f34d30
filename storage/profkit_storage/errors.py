"""Every error that profkit raises on purpose descends from `ProfkitError`."""


class ProfkitError(Exception):
    """Root of profkit's errors; a command prints it as one line and exits with `exit_code`."""

    exit_code = 2


class ConfigurationError(ProfkitError, ValueError):
    """A setting, an argument or an address that is not allowed; names it, its value and what is allowed."""


class StorageError(ProfkitError):
    """The store could not do what was asked: unreachable, unwritable, full."""


class StoreUnavailable(StorageError):
    """The store cannot be reached, or is too busy: what failed may succeed later, and until then all else fails too."""


class ProfileNotFound(StorageError, LookupError):
    """No profile with this id in this store."""


class CorruptProfile(StorageError):
    """A stored object that is not a whole, readable profile; `key` names it."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple[type["CorruptProfile"], tuple[str, str]]:
        return type(self), (self.key, self.reason)
