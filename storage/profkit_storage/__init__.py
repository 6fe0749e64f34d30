"""What a stored profile is, and where it is kept."""

from profkit_storage.base import ProfileEntry, ProfileQuery, ProfileStorage
from profkit_storage.errors import (
    ConfigurationError,
    CorruptProfile,
    ProfileNotFound,
    ProfkitError,
    StorageError,
)
from profkit_storage.profile import (
    SCHEMA_VERSION,
    Branch,
    ChildOperation,
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
    "Frame",
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
]
