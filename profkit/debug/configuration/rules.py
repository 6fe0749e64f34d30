"""How much of the configuration is shown: nothing but names, what the masking leaves, or by the user's own rules."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from profkit.masking import MASK, Masker
from profkit.masking.masker import MAX_TEXT
from profkit.masking.parts import named_parts
from profkit_storage import ConfigurationError

_MAX_DEPTH = 14  # deeper than the masker goes


class ShowValues(enum.StrEnum):
    """`NEVER`: names, types and sources, and `***` for every value. `MASKED`: what no rule takes for a secret."""

    NEVER = "never"
    MASKED = "masked"


@dataclass(frozen=True, kw_only=True)
class ValueRules:
    """Your own rules of what is shown, beside those of the masking.

    Args:
        words: words that make a key's value a secret, in any spelling (`tenant_pin`, `tenantPin`). On every route.
        patterns: regular expressions; what one matches in any text is hidden. On every route.
        hide: asked with the name of each setting, variable and feature shown (`llm.model`); True hides it, and so does
            whatever it raises.
        show: names of settings of the application (`llm.max_tokens`) that are shown as they are, though a rule would
            hide them: texts, numbers and switches. A `SecretStr` stays hidden, and so does what `hide` hides.

    Raises:
        ConfigurationError: an argument that is not allowed.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    hide: Callable[[str], bool] | None = None
    show: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        made = Masker(words=self.words, rules=self.patterns)  # which checks them
        object.__setattr__(self, "words", made.words)
        object.__setattr__(self, "patterns", made.rules)
        hide = cast("object", self.hide)
        if hide is not None and (not callable(hide) or inspect.iscoroutinefunction(hide)):
            raise ConfigurationError(
                f"hide of type {type(hide).__name__} is not allowed: give a function, not an asynchronous one"
            )
        names = cast("object", self.show)
        if not isinstance(names, set | frozenset | list | tuple) or not all(
            isinstance(name, str) for name in cast("Iterable[object]", names)
        ):
            raise ConfigurationError("show is not allowed: give a set of names, such as {'llm.max_tokens'}")
        object.__setattr__(self, "show", frozenset(cast("Iterable[str]", names)))

    def extend(self, masker: Masker) -> Masker:
        """Return a masker with these words and patterns too."""
        if not self.words and not self.patterns:
            return masker
        return Masker(words=masker.words + self.words, rules=masker.rules + self.patterns)

    def hides(self, name: str) -> bool:
        """Tell whether what has this name is hidden by the user's function."""
        if self.hide is None:
            return False
        try:
            return bool(self.hide(name))
        except Exception:  # noqa: BLE001 - the user's own rule: in doubt hidden
            return True


Showing = ShowValues | ValueRules
"""What `show_values` may be."""


def checked_showing(given: object) -> Showing:
    """Return what is to be shown; raises `ConfigurationError` for anything that does not say so."""
    if isinstance(given, ValueRules):
        return given
    try:
        return ShowValues(cast("str", given))
    except ValueError:
        what = f"={given!r}" if isinstance(given, str) else f" of type {type(given).__name__}"
        raise ConfigurationError(
            f"show_values{what} is not allowed: give ShowValues.NEVER, ShowValues.MASKED or ValueRules(...)"
        ) from None


def shown_values(masked: object, original: object, rules: ValueRules) -> object:
    """Return values that are masked already as the rules want them; `original` is what `show` takes them from."""
    for name in rules.show:
        masked = _revealed(masked, original, name.split("."))
    return hidden_values(masked, rules)


def hidden_values(masked: object, rules: ValueRules) -> object:
    """Return values that are masked already without those that the rules hide."""
    return masked if rules.hide is None else _hidden(masked, "", rules)


def _hidden(value: object, name: str, rules: ValueRules) -> object:
    if name and rules.hides(name):
        return MASK
    parts = _mapping(value)
    if parts is None or name.count(".") > _MAX_DEPTH:
        return value
    return {key: _hidden(part, f"{name}.{key}" if name else key, rules) for key, part in parts.items()}


def _revealed(masked: object, original: object, path: list[str]) -> object:
    """`masked` with the value at a path as it is; unchanged if there is none, or it is nothing plain."""
    if not path:
        return _plain(original) if _plain(original) is not None else masked
    name, *rest = path
    parts = _mapping(masked)
    inner = _part(original, name)
    if parts is None or name not in parts or inner is None:
        return masked
    return {**parts, name: _revealed(parts[name], inner, rest)}


def _mapping(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _part(owner: object, name: str) -> object:
    """A named part of a structure, None if it has none of this name."""
    try:
        pairs = list(named_parts(owner) or ())
    except Exception:  # noqa: BLE001 - the application's own mapping
        return None
    return next((part for key, part, _ in pairs if key == name), None)


def _plain(value: object) -> object:
    """A text, number or switch as JSON has it, None for anything else."""
    if isinstance(value, enum.Enum):
        value = cast("object", value.value)
    if type(value) is bool or type(value) is float or (type(value) is int and value.bit_length() < 64):
        return value
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "backslashreplace").decode("utf-8")[:MAX_TEXT]
    return None
