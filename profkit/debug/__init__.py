"""Protected routes that show what a live process is doing: settings, connections, memory, profiles."""

from importlib.util import find_spec as _find_spec

from profkit_storage import ConfigurationError


class MissingExtra(ConfigurationError, ImportError):
    """What these routes need is not installed."""


_missing = [name for name in ("starlette", "jinja2") if _find_spec(name) is None]
if _missing:
    raise MissingExtra(
        f'profkit.debug needs {" and ".join(_missing)}, not installed here: pip install "profkit[web]"'
    )

from profkit.debug.auth import Auth, CallableAuth, Principal, TokenAuth  # noqa: E402 - after the check
from profkit.debug.configuration import ShowValues, ValueRules  # noqa: E402
from profkit.debug.context import DebugContext  # noqa: E402
from profkit.debug.dependencies import DependencyChecker  # noqa: E402
from profkit.debug.dump import dump  # noqa: E402
from profkit.debug.endpoints import DiagnosticEndpoints  # noqa: E402
from profkit.debug.failures import FailureLimits  # noqa: E402
from profkit.debug.health import HealthChecker  # noqa: E402
from profkit.debug.probes import HealthEndpoint  # noqa: E402
from profkit.debug.results import CheckResult, Health  # noqa: E402
from profkit.debug.scopes import Scope  # noqa: E402
from profkit.debug.server import DebugServer, serve  # noqa: E402
from profkit.debug.tokens import Token  # noqa: E402

__all__ = [
    "Auth",
    "CallableAuth",
    "CheckResult",
    "DebugContext",
    "DebugServer",
    "DependencyChecker",
    "DiagnosticEndpoints",
    "FailureLimits",
    "Health",
    "HealthChecker",
    "HealthEndpoint",
    "MissingExtra",
    "Principal",
    "Scope",
    "ShowValues",
    "Token",
    "TokenAuth",
    "ValueRules",
    "dump",
    "serve",
]
