"""That a POST comes from a page of ours, or from no page at all: CSRF."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request

from profkit.debug.auth import Principal
from profkit.debug.problems import Problem

HEADER = "x-profkit-form-token"
FIELD = "form_token"
MAX_BODY = 4096
BODY_TIMEOUT = 5.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


async def check_post(request: Request, principal: Principal) -> None:
    """Raise a `Problem` (403) unless the POST is one that the principal means to make.

    The origin must match the host asked, or there must be none; where a browser sends the credentials by itself,
    the form's token must be there too, in the header or the form.
    """
    body = await _body(request)
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise Problem(403, "This came from a page of another site.")
    origins = request.headers.getlist("origin")
    if origins and (len(origins) > 1 or not _same(origins[0], request.headers.get("host", ""))):
        raise Problem(403, "The Origin is not this host.")
    expected = principal.form_token
    if expected is None:
        return
    given = request.headers.get(HEADER) or _field(request, body)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Problem(
            403, f"A POST with these credentials needs the form's token, in {HEADER} or as {FIELD}."
        )


def _same(origin: str, host: str) -> bool:
    """Compare host and port. Not the scheme, which a proxy that ends TLS does not pass on."""
    try:
        sent = urlsplit(origin)
        port = sent.port or _DEFAULT_PORTS[sent.scheme]
        asked = urlsplit(f"//{host}")
        ports = {asked.port} if asked.port else set(_DEFAULT_PORTS.values())
    except (ValueError, KeyError):
        return False
    return bool(sent.hostname) and sent.hostname == asked.hostname and port in ports


async def _body(request: Request) -> bytes:
    """Read the body to its end, so that what comes next is that the client leaves."""
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Problem(413, f"A body of more than {MAX_BODY} bytes is not needed here.")
    except TimeoutError:
        raise Problem(408, f"The body did not come within {BODY_TIMEOUT:g} seconds.") from None
    return body


def _field(request: Request, body: bytes) -> str:
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        return ""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=16)
    except ValueError:
        return ""
    return fields.get(FIELD, [""])[0]
