"""Tags as a profile holds them: masked, flat, and not too many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from profkit.masking import masker

_MAX_TAGS = 100
_MAX_NAME = 200
_PLAIN = 32


def masked_tags(tags: Mapping[str, object] | None) -> dict[str, object]:
    """Return tags as a profile holds them: masked, flat, and at most 100."""
    if not tags:
        return {}
    return dict(_masked_tags(list(tags.items())[:_MAX_TAGS]))


def _masked_tags(tags: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    for name, value in tags:
        masked = masker.mask(value, name)
        # A short word holds no secret that a pattern would find.
        plain = name.isidentifier() and len(name) <= _PLAIN
        shown = name if plain else masker.mask_text(str(name))[:_MAX_NAME]
        yield shown, masked if _is_storable(masked) else str(masked)


def _is_storable(value: object) -> bool:
    """Tell whether the encoding holds a tag as it is: text, true, false, None, a finite or a 64-bit number."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str)
