"""Makes a profile of what the recorder takes from its queue, stores it, and tells the application of it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from profkit.config import Settings
from profkit.counts import SpoolCounts
from profkit.faults import Faults, log
from profkit.masking import masker
from profkit.operations import Operation
from profkit.recorder.finished import Finished, profile_of
from profkit.recorder.pruning import Pruner
from profkit.recorder.running import still_running
from profkit.sampling.sampler import Sampler
from profkit_storage import Profile, ProfileStorage, Status, Trigger
from profkit_storage.spooled import SpooledStorage

Item = Finished | Profile


class Keeper:
    """Keeps one item after the other; `recorded` counts them.

    `number` gives each operation its number. `on_loss` is called with what is lost, and the reason.

    What the store or the application's callback raise, whatever it is, is counted in `faults`.
    """

    def __init__(  # noqa: PLR0917 - the parts of one profiler
        self,
        settings: Settings,
        storage: ProfileStorage | None,
        sampler: Sampler,
        faults: Faults,
        number: Callable[[Operation], int],
        on_loss: Callable[[Item, str], object],
    ) -> None:
        self._settings = settings
        self.storage = storage
        self._sampler = sampler
        self._faults = faults
        self._number = number
        self.on_loss = on_loss
        self.recorded = 0
        self._storing: Profile | None = None
        behind = storage.storage if isinstance(storage, SpooledStorage) else storage
        self._pruner = Pruner(behind, settings, faults)

    @property
    def has_spool(self) -> bool:
        """Whether what the store cannot take is put aside."""
        return isinstance(self.storage, SpooledStorage)

    def seconds_left(self) -> float | None:
        """Return the seconds until `tidy` has something to do; None if there is nothing."""
        spool = self.storage.seconds_left() if isinstance(self.storage, SpooledStorage) else None
        return sooner(spool, self._pruner.seconds_left())

    def tidy(self) -> None:
        """Give the store what waits in the spool, and let go of what it has held for long."""
        if isinstance(self.storage, SpooledStorage) and self.storage.seconds_left() == 0:
            self.storage.deliver()
        if self._pruner.seconds_left() == 0:
            self._pruner.run()

    def spool_counts(self) -> SpoolCounts | None:
        """Return what waits in the spool, and what became of the rest; None if there is no spool."""
        if not isinstance(self.storage, SpooledStorage):
            return None
        spool, waiting = self.storage.spool, self.storage.spool.waiting()
        return {
            "waiting": waiting.profiles,
            "bytes": waiting.size,
            "delivered": self.storage.delivered,
            "dropped": dict(spool.dropped),
        }

    def ask_again(self) -> bool:
        """Let `deliver` ask the store now; False if nothing waits, or the store works."""
        if not isinstance(self.storage, SpooledStorage) or not self.storage.seconds_left():
            return False
        self.storage.ask_again()
        return True

    def hurry(self) -> None:
        """Ask the store no more: what it is taking just now, and all that comes, goes into the spool."""
        storing = self._storing
        if isinstance(self.storage, SpooledStorage):
            self.storage.stop_asking()
            if storing is not None:
                self.storage.put(storing)

    def keep(self, item: Item, *, tell: bool = True) -> None:
        """Store an item, and tell the application; nothing if it was to be one still running, and is not."""
        if isinstance(item, Finished) and item.operation.discarded:
            self._withdraw(item)
            return
        try:
            profile = self._build(item)
        except BaseException as error:  # noqa: BLE001 - one bad operation must not end the recorder
            self.lose(item, "not_built", repr(error))
            return
        if profile is None or not self._store(item, profile):
            return
        self.recorded += 1
        self._pruner.expect()
        if isinstance(item, Finished) and item.trigger is Trigger.SLOW:
            item.operation.tally.kept += 1
        _log(profile)
        if tell:
            self._tell(profile)

    def lose(self, item: Item, reason: str, detail: object) -> None:
        """Count an item as lost."""
        self._faults.add(reason, detail)
        self.on_loss(item, reason)

    def _build(self, item: Item) -> Profile | None:
        if isinstance(item, Profile):
            return item
        self._number(item.operation)
        finished = still_running(item, self._sampler) if item.running else item
        if finished is None:
            return None
        return profile_of(finished, self._settings, self._sampler, self._number)

    def _store(self, item: Item, profile: Profile) -> bool:
        if self.storage is None:
            return True
        self._storing = profile
        try:
            self.storage.put(profile)  # in the place of one with the same id
        except BaseException as error:  # noqa: BLE001 - a store may raise anything
            self.lose(item, "not_stored", masker.mask_error(error))
            return False
        finally:
            self._storing = None
        return True

    def _withdraw(self, finished: Finished) -> None:
        """Leave nothing of an operation that is discarded, not even what it has left while it was running."""
        self.on_loss(finished, "discarded")
        if self.storage is None or not finished.id or finished.running:
            return
        try:
            self.storage.delete(finished.id)
        except BaseException as error:  # noqa: BLE001 - a store may raise anything
            self._faults.add("not_removed", masker.mask_error(error))

    def _tell(self, profile: Profile) -> None:
        if self._settings.on_profile is None:
            return
        try:
            self._settings.on_profile(profile)
        except BaseException as error:  # noqa: BLE001 - the application's own, SystemExit too: this thread goes on
            self._faults.add("on_profile_error", type(error).__name__, error)


def _log(profile: Profile) -> None:
    request = f" (request {profile.request_id})" if profile.request_id else ""
    took = "has been running for" if profile.status is Status.RUNNING else "took"
    log(
        logging.INFO,
        "%s %s %.3f s: profile %s%s",
        profile.operation, took, profile.wall, profile.id, request,
    )  # fmt: skip


def sooner(first: float | None, second: float | None) -> float | None:
    """Return the smaller of two numbers of seconds; None is never."""
    return second if first is None else first if second is None else min(first, second)
