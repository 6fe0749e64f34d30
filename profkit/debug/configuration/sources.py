"""The settings of an application by name, each with its type and where its value came from, so far as can be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple, TypedDict, cast

from profkit.debug.configuration.defaults import NO_DEFAULT, defaults_of, is_default
from profkit.debug.configuration.held import Held, Origin
from profkit.masking import Masker
from profkit.masking.parts import named_parts, type_name

MAX_SETTINGS = 2000
_MAX_DEPTH = 12

SourceKind = Literal[
    "default", "environment", "env_file", "secret_file", "argument", "live", "set", "unknown"
]
"""`default`: it is the default. `environment`, `env_file`, `secret_file`: this variable or file holds this value now.
`argument`: given to `configure`. `live`: changed in the running process. `set`: given, from where is not known.
"""


class Setting(TypedDict):
    """One setting: its value's type, where the value came from, and the variable's or file's name, if it is one's."""

    type: str
    source: SourceKind
    name: str | None


class Found(NamedTuple):
    """A setting at its path: the names, as they are shown, from the outermost in."""

    path: tuple[str, ...]
    setting: Setting


_LEAVES = (str, int, float, bool, bytes, type(None))
_UNKNOWN, _DEFAULT, _SET = Origin("unknown"), Origin("default"), Origin("set")


def find_settings(config: object, masker: Masker) -> list[Found]:
    """Each field of a dataclass, model or mapping, those inside it too; at most 2,000. Of anything else, none.

    Inside a field a mapping is one value: its keys are data. Never raises for what the fields hold.
    """
    walk = _Walk(masker)
    walk.into(_Level(config, _held(config)))
    return walk.found


def described(value: object, origin: Origin, masker: Masker) -> Setting:
    """Return what is said of a setting."""
    name = None if origin.name is None else masker.name(origin.name)
    return {"type": type_name(type(value)), "source": cast("SourceKind", origin.kind), "name": name}


@dataclass
class _Level:
    """A structure on the way: `names` are those that each level above has in an environment, if `held` is there."""

    value: object
    held: Held | None = None
    path: tuple[str, ...] = ()
    names: list[list[str]] = field(default_factory=list[list[str]])
    all_default: bool = False

    @cached_property
    def defaults(self) -> Mapping[str, object] | None:
        return defaults_of(self.value)

    @cached_property
    def given(self) -> set[str] | None:
        """The fields that a pydantic model was given."""
        found: object = None if self.defaults is not None else getattr(self.value, "model_fields_set", None)
        return cast("set[str]", found) if isinstance(found, set) else None

    def origin(self, name: str, part: object, names: list[list[str]]) -> Origin:
        """Where the value of a part came from."""
        if self.all_default:
            return _DEFAULT
        if isinstance(self.value, Mapping):
            return _UNKNOWN
        if self.given is not None:
            if name not in self.given:
                return _DEFAULT
            return (self.held.find(names, part) if self.held else None) or _SET
        if self.defaults is None:
            return _UNKNOWN
        told = is_default(part, self.defaults.get(name, NO_DEFAULT))
        return _UNKNOWN if told is None else _DEFAULT if told else _SET

    def below(self, name: str) -> list[list[str]]:
        """The names of a part in an environment."""
        if self.held is None:
            return []
        return [*self.names, self.held.names(type(self.value), name, top=not self.path)]


class _Walk:
    def __init__(self, masker: Masker) -> None:
        self.found: list[Found] = []
        self._masker = masker
        self._above: set[int] = set()

    def into(self, level: _Level) -> None:
        """Take down what is inside a structure."""
        if id(level.value) in self._above or len(level.path) >= _MAX_DEPTH:
            return
        self._above.add(id(level.value))
        try:
            for key, part, _ in islice(named_parts(level.value) or (), MAX_SETTINGS):
                if len(self.found) >= MAX_SETTINGS:
                    return
                self._one(level, key, part)
        except Exception:  # noqa: BLE001 - the application's own mapping failed: the masker says so
            return
        finally:
            self._above.discard(id(level.value))

    def _one(self, level: _Level, key: object, part: object) -> None:
        name = str.__str__(key) if isinstance(key, str) else ""
        path, names = (*level.path, self._shown(key)), level.below(name)
        origin, count = level.origin(name, part, names), len(self.found)
        if _is_structure(part, inside=level.value):
            self.into(_Level(part, level.held, path, names, all_default=origin is _DEFAULT))
        if len(self.found) == count:  # a value, or a structure without parts
            self.found.append(Found(path, described(part, origin, self._masker)))

    def _shown(self, key: object) -> str:
        if isinstance(key, str):
            return self._masker.name(str.__str__(key))
        return next(iter(cast("dict[str, object]", self._masker.mask({key: None}))))


def _is_structure(value: object, inside: object) -> bool:
    if type(value) in _LEAVES:
        return False
    if isinstance(value, Mapping):
        return isinstance(inside, Mapping)
    return named_parts(value) is not None


def _held(value: object) -> Held | None:
    bases = type(value).__mro__
    if any(
        one.__name__ == "BaseSettings" and one.__module__.startswith("pydantic_settings") for one in bases
    ):
        return Held(type(value))
    return None
