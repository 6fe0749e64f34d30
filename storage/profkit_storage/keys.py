"""The key of a stored profile: `profiles/v1/date=YYYY-MM-DD/hour=HH/service=S/{ulid}.{...}.pkp`.

Date and hour are those of the operation's start in UTC, which is also the time inside the id, so an id says in which
hour to look. Listing keys answers who, when, what kind and how slow.

Rollups lie beside, by the start of their window: `rollups/v1/date=YYYY-MM-DD/hour=HH/service=S/{ulid}.pkr`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from profkit_storage.base import ProfileEntry
from profkit_storage.errors import ConfigurationError
from profkit_storage.names import escape_name, unescape_name
from profkit_storage.profile import Profile, Status, Trigger
from profkit_storage.rollup import RollupSet
from profkit_storage.ulid import is_ulid, ulid_milliseconds

LAYOUT = "profiles/v1"
SUFFIX = ".pkp"
ROLLUP_LAYOUT = "rollups/v1"
ROLLUP_SUFFIX = ".pkr"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_MS = 253_402_300_800_000
"""Milliseconds since the epoch at which the year 10000 begins, which has no date in a key."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"date=([0-9]{4}-[0-9]{2}-[0-9]{2})")
_HOUR = re.compile(r"hour=([01][0-9]|2[0-3])")
_SERVICE = re.compile(r"service=([A-Za-z0-9_!-]{1,80})")
_NAME = re.compile(
    r"([0-9A-Z]{26})\.([A-Za-z0-9_!-]{1,80})\.([A-Za-z0-9_!-]{1,80})\.(0|[1-9][0-9]{0,13})\.([a-z]+)\.([a-z]+)\.pkp"
)
_STATUSES = {status.value: status for status in Status}
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since the epoch; a datetime without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def duration_ms(seconds: float) -> int:
    """Return the milliseconds that a key holds for a duration."""
    return round(seconds * 1000)


def hour_prefix(id: str, layout: str = LAYOUT) -> str | None:
    """Return the key prefix (no slash at its end) below which what has this id lies; None if it is no id."""
    if not is_ulid(id):
        return None
    start = ulid_milliseconds(id)
    if start >= MAX_MS:
        return None
    return f"{layout}/{hour_name(start)}"


def hour_name(start: int) -> str:
    """Return the `date=YYYY-MM-DD/hour=HH` of a time in milliseconds since the epoch, before `MAX_MS`."""
    return _hour_name(start // HOUR_MS)


@lru_cache(1024)
def _hour_name(hour: int) -> str:
    moment = _EPOCH + timedelta(hours=hour)
    return f"date={moment:%Y-%m-%d}/hour={moment:%H}"


def profile_key(profile: Profile) -> str:
    """Return the key under which `profile` is stored.

    Raises:
        ConfigurationError: its id is no ULID, or lies beyond the year 9999.
    """
    prefix = hour_prefix(profile.id)
    if prefix is None:
        raise ConfigurationError(f"profile id {profile.id!r}: must be a ULID before the year 10000")
    category, operation = escape_name(profile.category), escape_name(profile.operation)
    ending = f"{duration_ms(profile.wall)}.{profile.status.value}.{profile.trigger.value}{SUFFIX}"
    return f"{prefix}/service={escape_name(profile.service)}/{profile.id}.{category}.{operation}.{ending}"


def parse_key(key: str, size: int) -> ProfileEntry | None:
    """Return what a key of `size` stored bytes says; None if `profile_key` does not make such keys."""
    prefix, _, rest = key.rpartition("/service=")
    service, _, name = rest.partition("/")
    match = _NAME.fullmatch(name)
    if match is None or hour_prefix(match[1]) != prefix:
        return None
    status, trigger = _STATUSES.get(match[5]), _TRIGGERS.get(match[6])
    names = unescape_name(service), unescape_name(match[2]), unescape_name(match[3])
    if status is None or trigger is None or names[0] is None or names[1] is None or names[2] is None:
        return None
    return ProfileEntry(
        id=match[1],
        operation=names[2],
        category=names[1],
        service=names[0],
        start_ns=ulid_milliseconds(match[1]) * 1_000_000,
        wall=int(match[4]) / 1000,
        status=status,
        trigger=trigger,
        key=key,
        size=size,
    )


def profile_entry(profile: Profile, size: int) -> ProfileEntry:
    """Return what a listing says of `profile`, stored in `size` bytes.

    Raises:
        ConfigurationError: as `profile_key`.
    """
    key = profile_key(profile)
    entry = parse_key(key, size)
    if entry is None:
        raise ConfigurationError(f"profile {profile.id!r} has a key that cannot be read again: {key}")
    return entry


def rollup_key(rollups: RollupSet) -> str:
    """Return the key under which a set of rollups is stored.

    Raises:
        ConfigurationError: its id is no ULID, or lies beyond the year 9999.
    """
    prefix = hour_prefix(rollups.id, ROLLUP_LAYOUT)
    if prefix is None:
        raise ConfigurationError(f"id {rollups.id!r} of rollups: must be a ULID before the year 10000")
    return f"{prefix}/service={escape_name(rollups.service)}/{rollups.id}{ROLLUP_SUFFIX}"


def parse_rollup_key(key: str) -> str | None:
    """Return the id in a key; None if `rollup_key` does not make such keys."""
    prefix, _, rest = key.rpartition("/service=")
    service, _, name = rest.partition("/")
    id = name.removesuffix(ROLLUP_SUFFIX)
    own = name.endswith(ROLLUP_SUFFIX) and hour_prefix(id, ROLLUP_LAYOUT) == prefix
    return id if own and is_service(f"service={service}") else None


def parse_date(directory: str) -> int | None:
    """Return the milliseconds at which a `date=YYYY-MM-DD` begins; None for any other name."""
    match = _DATE.fullmatch(directory)
    try:
        day = date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
    return (day.toordinal() - _EPOCH.toordinal()) * DAY_MS if day else None


def parse_hour(directory: str) -> int | None:
    """Return the milliseconds into its day at which an `hour=HH` begins; None for any other name."""
    match = _HOUR.fullmatch(directory)
    return int(match[1]) * HOUR_MS if match else None


def is_service(directory: str) -> bool:
    """Tell whether a directory's name is `service=` and a name as keys have it."""
    match = _SERVICE.fullmatch(directory)
    return match is not None and unescape_name(match[1]) is not None
