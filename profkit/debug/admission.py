"""Where a request may come from: allowed host names and peers, looked at before any credential."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import cast

from starlette.requests import HTTPConnection

from profkit_storage import ConfigurationError

LOCAL_SOCKET = "unix"
"""Stands for peers that have no address: they came by a socket of the local file system."""

_FORWARDED = ("x-forwarded-for", "forwarded")


class Admission:
    """Host names and networks that are allowed; None allows any.

    The peer is whom the server says it talks to. Some servers take that from a header of a proxy's (uvicorn does, for a
    proxy on the same host), and nothing tells which do. So with `networks` whoever sends such a header is not admitted:
    a proxy in front has a list of its own.

    Args:
        hosts: names as in the Host header, without a port; `*.example.org` stands for all below it.
        networks: addresses or networks such as `10.0.0.0/8`; `unix` for sockets of the local file system.
    """

    def __init__(self, hosts: Iterable[str] | None, networks: Iterable[str] | None) -> None:
        self._hosts = None if hosts is None else tuple(map(_checked_host, _checked("allowed_hosts", hosts)))
        self._unix, self._networks = False, None
        if networks is not None:
            words = _checked("allowed_networks", networks)
            self._unix = LOCAL_SOCKET in words
            self._networks = tuple(_network(word) for word in words if word != LOCAL_SOCKET)

    def admits(self, connection: HTTPConnection, *, by_any_name: bool = False) -> bool:
        """Tell whether a request may go on to be asked for its credentials; `by_any_name` leaves its Host aside."""
        named = by_any_name or self._admits_host(connection.headers.getlist("host"))
        return named and self._admits_peer(connection)

    def _admits_host(self, given: list[str]) -> bool:
        if self._hosts is None:
            return True
        if len(given) != 1:
            return False
        name = _without_port(given[0]).lower().rstrip(".")
        return any(
            name == host or (host.startswith("*.") and name.endswith(host[1:])) for host in self._hosts
        )

    def _admits_peer(self, connection: HTTPConnection) -> bool:
        if self._networks is None:
            return True
        if any(name in connection.headers for name in _FORWARDED):
            return False
        peer = connection.client
        if peer is None or not peer.host:
            return self._unix
        try:
            address = ip_address(peer.host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _checked(name: str, words: Iterable[str]) -> list[str]:
    found: list[object] = [words] if isinstance(words, str) else list(words)
    if isinstance(words, str) or not found or not all(isinstance(word, str) and word for word in found):
        raise ConfigurationError(f"{name}={words!r} is not allowed: give a list of texts, at least one")
    return cast("list[str]", found)


def _checked_host(host: str) -> str:
    name = host.lower().rstrip(".")
    rest = name.removeprefix("*.")
    if "*" in rest or "/" in rest or not rest or (_without_port(rest) != rest and not rest.startswith("[")):
        raise ConfigurationError(
            f"allowed_hosts: {host!r} is not allowed: give a name without a port, such as example.org or *.example.org"
        )
    return name


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigurationError(
            f"allowed_networks: {text!r} is not allowed ({error}): give a network such as 10.0.0.0/8, or unix"
        ) from None
