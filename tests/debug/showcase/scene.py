"""How much there is in the showcase: what can be asked of it, and what it tells when it is ready."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal, Self

TOKEN = "showcase-0123456789abcdefghij"
READER = "showcase-reader-0123456789abc"
SECRETS = ("hunter2-Zq81-Wn", "xV7-passphrase-93Lk", "sk-live-4eC39HqLyjWDarjtT1zdp7dc", "rd-Wm84hTzc3-71")
"""What is in settings, addresses and tags of the showcase, and must be on no page."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is there beside the usual: so many more idle tasks and threads, settings, operations in flight, pools.

    `name_length` is the length of a name that each kind of thing has one of; `tracing` whether tracemalloc is on.
    """

    tasks: int = 0
    threads: int = 0
    settings: int = 0
    operations: int = 0
    pools: int = 0
    name_length: int = 0
    tracing: bool = False
    store: Literal["filled", "empty", "gone", "none"] = "filled"

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the scene that `write` wrote."""
        return cls(**json.loads(text))

    def write(self) -> str:
        """Return it as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def name(self) -> str:
        """The long name, which begins with markup."""
        return ("<b data-hostile>" + "long_name_" * self.name_length)[: self.name_length]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Where it is served, and the ids of some of its profiles by what they are."""

    port: int
    profiles: dict[str, str] = field(default_factory=dict[str, str])
