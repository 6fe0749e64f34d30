"""That a POST comes from a page of ours, or from no page at all: CSRF. And what is in its form."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from profkit.debug.auth import Principal
from profkit.debug.problems import Problem

HEADER = "x-profkit-form-token"
FIELD = "form_token"
MAX_BODY = 4096
MAX_FIELDS = 16
BODY_TIMEOUT = 5.0
_FORM = "application/x-www-form-urlencoded"
_DEFAULT_PORTS = {"http": 80, "https": 443}


async def checked_form(request: Request, principal: Principal) -> list[tuple[str, str]]:
    """Return the fields of a POST's form but for its token; none if its body is no form.

    Raises a `Problem` (403) unless the POST is one that the principal means to make, others for a body that is too
    large, late or no form that can be read.

    The origin must match the host asked, or there must be none; where a browser sends the credentials by itself,
    the form's token must be there too, in the header or the form.
    """
    body = await _body(request)
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise Problem(403, "This came from a page of another site.")
    origins = request.headers.getlist("origin")
    if origins and (len(origins) > 1 or not _same(origins[0], request.headers.get("host", ""))):
        raise Problem(403, "The Origin is not this host.")
    fields = _fields(request, body)
    rest = [one for one in fields if one[0] != FIELD]
    expected = principal.form_token
    if expected is None:
        return rest
    given = request.headers.get(HEADER) or dict(fields).get(FIELD, "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Problem(
            403, f"A POST with these credentials needs the form's token, in {HEADER} or as {FIELD}."
        )
    return rest


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


def _fields(request: Request, body: bytes) -> list[tuple[str, str]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return []
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Problem(
            422, f"The form cannot be read: give at most {MAX_FIELDS} fields, in ASCII with the rest escaped."
        ) from None
