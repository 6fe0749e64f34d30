"""A decoded JSON object, read field by field: each value is of the kind asked for, or a `Malformed` names it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from profkit_storage import checks
from profkit_storage.checks import MAX_SECONDS, E, Malformed


class Fields:
    """One record: a value for each of its fields, and nothing else."""

    def __init__(self, path: str, value: object, names: Collection[str]) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{path or 'the document'} is no object")
        self._path = path
        self._values = cast("dict[object, object]", value)
        if not self._values.keys() <= set(names):
            unknown = self._values.keys() - set(names)
            raise Malformed(
                f"{path or 'the document'} has {checks.shown(min(unknown, key=repr))}: is no field of it"
            )

    def get(self, key: str) -> object:
        """Return the value as it is."""
        try:
            return self._values[key]
        except KeyError:
            raise Malformed(f"{self.path(key)} is missing") from None

    def path(self, key: str) -> str:
        """Return the name of a field for messages."""
        return f"{self._path}.{key}" if self._path else key

    def text(self, key: str) -> str:
        """Return a string."""
        value = self.get(key)
        if type(value) is str:  # as nearly always: a check of a column costs several times as much
            return value
        return checks.texts(self.path(key), [self.get(key)])[0]

    def integer(self, key: str, low: int = 0, high: int = 2**63 - 1) -> int:
        """Return an integer from `low` to `high`."""
        value = self.get(key)
        if type(value) is int and low <= value <= high:
            return value
        return checks.integers(self.path(key), [self.get(key)], low, high)[0]

    def number(self, key: str, high: float = MAX_SECONDS) -> float:
        """Return a number from 0 to `high`."""
        value = self.get(key)
        if type(value) is float and 0 <= value <= high:
            return value
        return checks.seconds(self.path(key), [self.get(key)], high)[0]

    def word(self, key: str, kind: type[E]) -> str:
        """Return the value of a member of `kind`."""
        return checks.words(self.path(key), [self.get(key)], kind)[0]

    def tags(self, key: str) -> dict[str, object]:
        """Return names with a value each."""
        return checks.tags(self.path(key), self.get(key))


class Columns:
    """Many records: an array for each of their fields, all of one length."""

    def __init__(self, path: str, value: object, names: Sequence[str]) -> None:
        self._fields = Fields(path, value, names)
        self._columns = {name: self._array(name) for name in names}
        lengths = set(map(len, self._columns.values()))
        if len(lengths) != 1:
            raise Malformed(f"the columns of {path} differ in length")
        self.length = lengths.pop()

    def texts(self, name: str) -> list[str]:
        """Return a column of strings."""
        return checks.texts(self._fields.path(name), self._columns[name])

    def integers(self, name: str, low: int = 0, high: int = 2**63 - 1) -> list[int]:
        """Return a column of integers from `low` to `high`."""
        return checks.integers(self._fields.path(name), self._columns[name], low, high)

    def seconds(self, name: str) -> list[float]:
        """Return a column of seconds."""
        return checks.seconds(self._fields.path(name), self._columns[name])

    def flags(self, name: str) -> list[bool]:
        """Return a column of booleans."""
        return checks.flags(self._fields.path(name), self._columns[name])

    def words(self, name: str, kind: type[E]) -> list[str]:
        """Return a column of values of members of `kind`."""
        return checks.words(self._fields.path(name), self._columns[name], kind)

    def parents(self, name: str) -> list[int]:
        """Return a column of indices into these records, -1 for a root."""
        return checks.parents(self._fields.path(name), self._columns[name])

    def tags(self, name: str) -> list[dict[str, object]]:
        """Return a column of names with a value each."""
        return [checks.tags(self._fields.path(name), value) for value in self._columns[name]]

    def _array(self, name: str) -> Sequence[object]:
        value = self._fields.get(name)
        if not isinstance(value, list | tuple):
            raise Malformed(f"{self._fields.path(name)} is no array")
        return cast("Sequence[object]", value)
