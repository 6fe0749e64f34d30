"""Calls to other services that carry on the request they are made for: its id, and its place in the W3C trace.

Nothing is added but by a client that was given to one of these functions, and only on the way to the hosts named there:
the ids of requests, and what tracing systems say of them, are nobody else's business. A header that the application
has set itself stays as it is. Calls made outside of a request carry nothing.

    client = trace_httpx(httpx.AsyncClient(), hosts=["inventory.internal", "*.svc.cluster.local"])

`hosts` are names or addresses, without a port; `*.example.org` is all that is below example.org; `*` is every host.
`header` is the name of the request id's header. All functions raise `ConfigurationError` for a host or header that is
none, and for no hosts at all.
"""

from __future__ import annotations

import inspect
import re
import urllib.request
from collections.abc import Iterable, Mapping, MutableMapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from profkit.request_context import REQUEST_ID_HEADER, check_header, request_context
from profkit_storage import ConfigurationError

if TYPE_CHECKING:
    from types import SimpleNamespace

    from aiohttp import ClientSession, TraceConfig, TraceRequestRedirectParams, TraceRequestStartParams

__all__ = ["aiohttp_trace", "request_headers", "trace_httpx", "trace_requests", "urllib_handler"]

Client = TypeVar("Client")
Session = TypeVar("Session")

_ADDED: Final = "profkit.added"
"""Under keys that begin so an httpx request's extensions hold the names of the headers that were added."""
_HOST = re.compile(r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")


def request_headers(header: str = REQUEST_ID_HEADER) -> dict[str, str]:
    """Return the headers that carry on the current request, for any other client or a message; empty outside of one."""
    context = request_context.get()
    if context is None:
        return {}
    headers = {header: context.request_id, "traceparent": context.traceparent}
    if context.trace_state:
        headers["tracestate"] = context.trace_state
    return headers


def trace_httpx(client: Client, *, hosts: Iterable[str], header: str = REQUEST_ID_HEADER) -> Client:
    """Add a request hook to an `httpx.Client` or `httpx.AsyncClient`, and return it. Redirects are looked at anew."""
    rule = _Rule(hosts, header)
    hooks: dict[str, list[Any]] | None = getattr(client, "event_hooks", None)
    if hooks is None:
        raise ConfigurationError(
            f"a {type(client).__name__} is no httpx client: give a Client or AsyncClient"
        )

    ours = f"{_ADDED}.{id(rule)}"  # another hook may see to other hosts

    def hook(request: Any) -> None:  # noqa: ANN401 - httpx's, or httpx2's
        for name in request.extensions.pop(ours, ()):  # copied to a redirect
            request.headers.pop(name, None)
        added = rule.add(request.headers, request.url.raw_host.decode("ascii"))
        if added:
            request.extensions[ours] = added

    async def async_hook(request: Any) -> None:  # noqa: ANN401 - as above
        hook(request)

    is_async = inspect.iscoroutinefunction(getattr(client, "send", None))
    hooks["request"].append(async_hook if is_async else hook)
    return client


def trace_requests(session: Session, *, hosts: Iterable[str], header: str = REQUEST_ID_HEADER) -> Session:
    """Put something before each adapter that a `requests.Session` has now, and return the session."""
    rule = _Rule(hosts, header)
    adapters: Any = getattr(session, "adapters", None)
    if not isinstance(adapters, MutableMapping):
        raise ConfigurationError(f"a {type(session).__name__} is no requests.Session: give one")
    for prefix, adapter in list(adapters.items()):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        adapters[prefix] = _Adapter(adapter, rule)
    return session


def aiohttp_trace(*, hosts: Iterable[str], header: str = REQUEST_ID_HEADER) -> TraceConfig:
    """Return a trace configuration: `aiohttp.ClientSession(trace_configs=[aiohttp_trace(hosts=[...])])`."""
    from aiohttp import TraceConfig
    from yarl import URL

    rule = _Rule(hosts, header)

    async def start(_: ClientSession, call: SimpleNamespace, params: TraceRequestStartParams) -> None:
        call.profkit_added = rule.add(params.headers, params.url.raw_host)

    async def redirect(_: ClientSession, call: SimpleNamespace, params: TraceRequestRedirectParams) -> None:
        # These headers are sent on, so they are taken back in any case.
        for name in call.profkit_added:
            params.headers.popall(name, None)
        location = params.response.headers.get("Location") or params.response.headers.get("URI") or ""
        try:
            host = params.response.url.join(URL(location)).raw_host
        except ValueError:
            host = None
        call.profkit_added = rule.add(params.headers, host)

    config = TraceConfig()
    config.on_request_start.append(start)
    config.on_request_redirect.append(redirect)
    return config


def urllib_handler(*, hosts: Iterable[str], header: str = REQUEST_ID_HEADER) -> urllib.request.BaseHandler:
    """Return a handler for `urllib.request.build_opener(urllib_handler(hosts=[...]))`."""
    return _Handler(_Rule(hosts, header))


class _Rule:
    """Which headers go to which hosts."""

    def __init__(self, hosts: Iterable[str], header: str) -> None:
        self._header = check_header(header)
        names = [_host(host) for host in ([hosts] if isinstance(hosts, str) else hosts)]
        if not names:
            raise ConfigurationError('hosts=[] would send nothing anywhere: name hosts, or give "*" for all')
        self._all = "*" in names
        self._names = frozenset(name for name in names if not name.startswith("*"))
        self._domains = tuple(name[1:] for name in names if name.startswith("*."))

    def headers_for(self, host: str | None, present: Mapping[str, str]) -> dict[str, str]:
        """Return what is to be added to the headers of a call; `present` looks names up in any case of letters."""
        headers = request_headers(self._header)
        if not headers or not self._allows(host):
            return {}
        if "traceparent" in present:  # somebody else traces: their state is not ours to tell
            headers.pop("tracestate", None)
        return {name: value for name, value in headers.items() if name not in present}

    def add(self, headers: MutableMapping[str, str], host: str | None) -> tuple[str, ...]:
        """Add what is to be added; return the names of it."""
        added = self.headers_for(host, headers)
        headers.update(added)
        return tuple(added)

    def _allows(self, host: str | None) -> bool:
        if not host:
            return False
        name = host.lower().rstrip(".")
        return self._all or name in self._names or name.endswith(self._domains)


class _Adapter:
    """Stands before an adapter of `requests`, and is in all else that adapter."""

    def __init__(self, inner: Any, rule: _Rule) -> None:  # noqa: ANN401 - of any library
        self._inner = inner
        self._rule = rule

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the adapter takes it
        """Send a copy with the headers: the request itself is what a redirect is made of."""
        added = self._rule.headers_for(urlsplit(str(request.url)).hostname, request.headers)
        if added:
            request = request.copy()
            request.headers.update(added)
        return self._inner.send(request, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the adapter has
        if name.startswith("__") or name == "_inner":  # asked for by `copy` and `pickle`
            raise AttributeError(name)
        return getattr(self._inner, name)


class _Handler(urllib.request.BaseHandler):
    handler_order = 900  # after those of the application

    def __init__(self, rule: _Rule) -> None:
        self._rule = rule

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        # `urllib` keeps names as `X-request-id`, and sends these headers to no redirect.
        present = {name.lower(): value for name, value in request.header_items()}
        host = urlsplit(f"//{request.host}").hostname
        for name, value in self._rule.headers_for(host, _AnyCase(present)).items():
            request.add_unredirected_header(name, value)
        return request

    https_request = http_request


class _AnyCase(dict[str, str]):
    """Names in lower case, found in any."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


def _host(host: object) -> str:
    name = host.lower().strip("[]").rstrip(".") if isinstance(host, str) else ""
    try:
        if ":" in name:
            return ip_address(name).compressed
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except ValueError:
        name = ""
    if not _HOST.fullmatch(name):
        raise ConfigurationError(
            f'hosts: {host!r} is not allowed: give the name of a host, "*.domain" for all below it, or "*" for all'
        )
    return name
