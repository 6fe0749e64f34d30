"""A profile without secrets: it may be from another process, or an older one, that hid less."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import cast

from profkit.debug.summary import mask_id
from profkit.masking import Masker
from profkit.masking.keys import Kind
from profkit_storage import Profile
from profkit_storage.formats.names import legible

Tags = Mapping[str, object]
_MAX_TAGS = 50
_MAX_TEXT = 200


def masked(profile: Profile, masker: Masker) -> Profile:
    """Return the profile with every text masked."""
    return _rewritten(
        profile,
        functools.cache(masker.mask_text),
        version=lambda text: masker.mask_text_under(text, Kind.HASH),  # it may be a commit
        identity=lambda text: mask_id(text, masker),
        tags=lambda tags: _masked_tags(tags, masker),
    )


def shortened(profile: Profile) -> Profile:
    """Return the profile with no text in it that is longer than a page shows, and with no more tags than that."""
    cut = functools.cache(_cut)
    return _rewritten(profile, cut, version=cut, identity=cut, tags=_some_tags)


def _rewritten(
    profile: Profile,
    text: Callable[[str], str],
    *,
    version: Callable[[str], str],
    identity: Callable[[str], str],
    tags: Callable[[Tags], Tags],
) -> Profile:
    return replace(
        profile,
        operation=text(profile.operation),
        category=text(profile.category),
        service=text(profile.service),
        version=version(profile.version),
        host=text(profile.host),
        python=text(profile.python),
        request_id=identity(profile.request_id),
        trace_id=identity(profile.trace_id),
        span_id=identity(profile.span_id),
        tags=tags(profile.tags),
        frames=tuple(
            frame._replace(
                qualname=text(frame.qualname),
                filename=text(frame.filename),
                module=text(frame.module),
                distribution=text(frame.distribution),
            )
            for frame in profile.frames
        ),
        children=tuple(
            child._replace(
                name=text(child.name),
                category=text(child.category),
                tags=tags(child.tags) if child.tags else child.tags,
            )
            for child in profile.children
        ),
        branches=tuple(branch._replace(name=text(branch.name)) for branch in profile.branches),
        sampling=replace(profile.sampling, engine=text(profile.sampling.engine)),
    )


def _masked_tags(tags: Tags, masker: Masker) -> Tags:
    found = masker.mask(dict(tags))
    return cast("Tags", found) if isinstance(found, dict) else {}


def _some_tags(tags: Tags) -> Tags:
    some = {_cut(name): _cut(str(value)) for name, value in islice(tags.items(), _MAX_TAGS)}
    return some if len(tags) <= _MAX_TAGS else {**some, "others": f"{len(tags) - _MAX_TAGS:,} more"}


def _cut(text: str) -> str:
    return legible(text, _MAX_TEXT)
