"""What a stored profile is, and where it is kept."""

from profkit_storage.base import Amount, Partition, ProfileEntry, ProfileQuery, ProfileStorage, StoreStats
from profkit_storage.codec import decode, decode_rollups, encode, encode_rollups
from profkit_storage.errors import (
    ConfigurationError,
    CorruptProfile,
    ProfileNotFound,
    ProfkitError,
    StorageError,
    StoreUnavailable,
)
from profkit_storage.histogram import Histogram
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
from profkit_storage.rollup import ROLLUP_SCHEMA_VERSION, CorruptRollups, Rollup, RollupSet
from profkit_storage.s3 import Patience, S3Address, S3Storage

__all__ = [
    "ROLLUP_SCHEMA_VERSION",
    "SCHEMA_VERSION",
    "Amount",
    "Branch",
    "ChildOperation",
    "ConfigurationError",
    "CorruptProfile",
    "CorruptRollups",
    "Enclosing",
    "Frame",
    "Histogram",
    "LocalStorage",
    "MemoryStorage",
    "Node",
    "Origin",
    "Partition",
    "Patience",
    "Profile",
    "ProfileEntry",
    "ProfileNotFound",
    "ProfileQuery",
    "ProfileStorage",
    "ProfkitError",
    "Rollup",
    "RollupSet",
    "S3Address",
    "S3Storage",
    "Sample",
    "Sampling",
    "State",
    "StorageError",
    "Status",
    "StoreStats",
    "StoreUnavailable",
    "Trigger",
    "decode",
    "decode_rollups",
    "encode",
    "encode_rollups",
    "open_storage",
]
