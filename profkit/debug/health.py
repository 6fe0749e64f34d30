"""Health: checks that the application registers, run together, each with a timeout and a cached result."""

from __future__ import annotations

import asyncio
import enum
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, cast

from profkit.debug.results import CheckResult, Health, HealthReport
from profkit.debug.workers import Workers
from profkit.masking import Masker, masker
from profkit_storage import ConfigurationError

_MAX_CHECKS = 100
_MAX_MESSAGE = 200
_MAX_NAME = 100


class Probe(enum.StrEnum):
    """What a check is for, in the words of Kubernetes.

    A process that is not live is to be restarted; one that is not ready is to be sent no requests; one that has not
    started is to be left in peace until it has.
    """

    LIVENESS = "liveness"
    READINESS = "readiness"
    STARTUP = "startup"


Outcome = CheckResult | Health | bool | str | None
Check = Callable[[], Outcome | Awaitable[Outcome]]
"""A check: it returns None, True, a text or `Health.HEALTHY` if all is well, else False or another `Health`, or raises.

One that is not `async` runs in a thread of its own.
"""


@dataclass(slots=True)
class _Registered:
    name: str
    check: Check
    probes: frozenset[Probe]
    timeout: float
    keep: float
    required: bool
    result: CheckResult | None = None
    until: float = 0.0
    running: dict[int, asyncio.Task[CheckResult]] = field(
        default_factory=dict[int, asyncio.Task[CheckResult]]
    )


class HealthChecker:
    """Checks by name, and what they found.

        health = HealthChecker(version="2026.11.1")
        health.add("database", ping_database, timeout=0.5)
        health.add("disk", DependencyChecker.disk("/var/lib/app"), probes=["readiness"])
        DiagnosticEndpoints(..., checks=health, probes=True)

    Args:
        version: the application's, shown in each report.
        timeout: seconds a check may take, unless it has its own; then it is unhealthy.
        keep: seconds for which a result is given again, unless a check has its own.
        masker: hides secrets in what checks say.
    """

    def __init__(
        self, *, version: str = "", timeout: float = 2.0, keep: float = 2.0, masker: Masker = masker
    ) -> None:
        self.version = version
        self._timeout = _seconds("timeout", timeout, 0.001)
        self._keep = _seconds("keep", keep, 0.0)
        self._masker = masker
        self._began = time.monotonic()
        self._checks: dict[str, _Registered] = {}
        self._started = False
        self._workers = Workers(limit=_MAX_CHECKS, timeout=3600)

    def add(
        self,
        name: str,
        check: Check,
        *,
        probes: Iterable[str] = (Probe.READINESS,),
        timeout: float | None = None,
        keep: float | None = None,
        required: bool = True,
    ) -> Self:
        """Register a check for one or more probes; one that is not `required` can only make things degraded.

        Raises:
            ConfigurationError: a name that is taken, or an argument that is not allowed.
        """
        if (
            not isinstance(cast("object", name), str)
            or not name.isprintable()
            or not 0 < len(name) <= _MAX_NAME
        ):
            raise ConfigurationError(
                f"check {name!r} is not allowed: give a name of up to {_MAX_NAME} letters"
            )
        if name in self._checks:
            raise ConfigurationError(f"check {name!r} is there already")
        if len(self._checks) >= _MAX_CHECKS:
            raise ConfigurationError(f"check {name!r} is one too many: at most {_MAX_CHECKS}")
        if not callable(check):
            raise ConfigurationError(f"check {name!r}: {check!r} cannot be called")
        self._checks[name] = _Registered(
            name,
            check,
            _probes(name, probes),
            self._timeout if timeout is None else _seconds(f"check {name!r}: timeout", timeout, 0.001),
            self._keep if keep is None else _seconds(f"check {name!r}: keep", keep, 0.0),
            required,
        )
        return self

    async def report(self, probe: Probe | None = None) -> HealthReport:
        """Run the checks of a probe, or all of them, together; never raises for what they do.

        The startup probe, once passed, stays passed.
        """
        wanted = [one for one in self._checks.values() if probe is None or probe in one.probes]
        if probe is Probe.STARTUP and self._started:
            wanted = []
        results = await asyncio.gather(*(self._result(one) for one in wanted))
        found = {one.name: result for one, result in zip(wanted, results, strict=True)}
        status = _worst(
            Health.DEGRADED if result.status is Health.UNHEALTHY and not one.required else result.status
            for one, result in zip(wanted, results, strict=True)
        )
        if probe is Probe.STARTUP and status is not Health.UNHEALTHY:
            self._started = True
        return HealthReport(status, datetime.now(UTC), self.version, time.monotonic() - self._began, found)

    async def _result(self, one: _Registered) -> CheckResult:
        if one.result is not None and time.monotonic() < one.until:
            return one.result
        loop = id(asyncio.get_running_loop())
        running = one.running.get(loop)
        if running is None:  # those who ask meanwhile share it
            running = one.running[loop] = asyncio.create_task(self._run(one))
            running.add_done_callback(lambda _: one.running.pop(loop, None))
        return await asyncio.shield(running)

    async def _run(self, one: _Registered) -> CheckResult:
        began = time.monotonic()
        timeout = asyncio.timeout(one.timeout)
        try:
            async with timeout:
                status, message = _read(await self._call(one))
        except TimeoutError as error:
            status = Health.UNHEALTHY
            message = (
                f"took longer than {one.timeout:g} s" if timeout.expired() else self._masker.mask_error(error)
            )
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            status, message = Health.UNHEALTHY, self._masker.mask_error(error)
        # A check that calls sys.exit would end the loop.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the application's own check: that is what it tells
            status, message = Health.UNHEALTHY, self._masker.mask_error(error)
        now = time.monotonic()
        one.result = CheckResult(status, self._masker.mask_text(message)[:_MAX_MESSAGE], now - began)
        one.until = now + one.keep
        return one.result

    async def _call(self, one: _Registered) -> object:
        if inspect.iscoroutinefunction(one.check) or inspect.iscoroutinefunction(
            getattr(one.check, "__call__", None)  # noqa: B004 - of an object, the function it has for that
        ):
            return await cast("Awaitable[object]", one.check())

        def call() -> tuple[object, BaseException | None]:
            try:
                return one.check(), None
            except BaseException as error:  # noqa: BLE001 - a future takes no StopIteration, and no sys.exit
                return None, error

        # One thread a check: one that hangs is not called again until it has come back.
        found, error = await self._workers.run(one.name, call)
        if error is not None:
            raise (
                error
                if isinstance(error, Exception) and not isinstance(error, StopIteration)
                else _Broken(error)
            )
        return await cast("Awaitable[object]", found) if inspect.isawaitable(found) else found


class _Broken(Exception):
    """What a check raised that no coroutine may."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__} {error}")


def _read(outcome: object) -> tuple[Health, str]:
    if isinstance(outcome, CheckResult):
        return Health(outcome.status), str(outcome.message)
    if isinstance(outcome, Health):
        return outcome, ""
    if isinstance(outcome, str):
        return Health.HEALTHY, outcome
    if outcome is None or outcome is True:
        return Health.HEALTHY, ""
    if outcome is False:
        return Health.UNHEALTHY, ""
    return (
        Health.UNHEALTHY,
        f"the check returned {type(outcome).__name__}: give None, a bool, a text or a CheckResult",
    )


def _worst(statuses: Iterable[Health]) -> Health:
    order = list(Health)
    return max(statuses, key=order.index, default=Health.HEALTHY)


def _probes(name: str, probes: Iterable[str]) -> frozenset[Probe]:
    words = [probes] if isinstance(probes, str) else list(probes)
    try:
        found = frozenset(Probe(word) for word in words)
    except ValueError:
        found = frozenset[Probe]()
    if not found:
        raise ConfigurationError(
            f"check {name!r}: probes={words!r} is not allowed: give any of {', '.join(Probe)}"
        )
    return found


def _seconds(name: str, value: Any, least: float) -> float:  # noqa: ANN401 - a caller may give anything
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 3600:
        raise ConfigurationError(f"{name}={value!r} is not allowed: give {least:g} to 3600 seconds")
    return float(value)
