"""What a stored profile is, and where it is kept."""

from profkit_storage.base import ProfileEntry, ProfileQuery, ProfileStorage
from profkit_storage.codec import decode, encode
from profkit_storage.errors import (
    ConfigurationError,
    CorruptProfile,
    ProfileNotFound,
    ProfkitError,
    StorageError,
)
from profkit_storage.local import LocalStorage
from profkit_storage.memory import MemoryStorage
from profkit_storage.opening import open_storage
from profkit_storage.profile import (
    SCHEMA_VERSION,
    Branch,
    ChildOperation,
    Enclosing,
    Frame,
    Node,
    Origin,
    Profile,
    Sample,
    Sampling,
    State,
    Status,
    Trigger,
)

__all__ = [
    "SCHEMA_VERSION",
    "Branch",
    "ChildOperation",
    "ConfigurationError",
    "CorruptProfile",
    "Enclosing",
    "Frame",
    "LocalStorage",
    "MemoryStorage",
    "Node",
    "Origin",
    "Profile",
    "ProfileEntry",
    "ProfileNotFound",
    "ProfileQuery",
    "ProfileStorage",
    "ProfkitError",
    "Sample",
    "Sampling",
    "State",
    "StorageError",
    "Status",
    "Trigger",
    "decode",
    "encode",
    "open_storage",
]
