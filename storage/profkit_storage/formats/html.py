"""pyinstrument's web page as one file that runs by itself and reaches nothing.

pyinstrument's own page asks a font host for its fonts. Here that is taken out, and the page carries a policy that lets
its scripts run, by their hashes, and forbids every request.
"""

from __future__ import annotations

import html
import re

from pyinstrument.renderers import HTMLRenderer
from pyinstrument.session import Session

from profkit_storage.errors import ProfkitError
from profkit_storage.formats.names import safe
from profkit_storage.formats.policy import policy
from profkit_storage.formats.pyinstrument import merged_session, to_session
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Profile

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_FONT_LINK = re.compile(
    r'const ([\w$]+)=document\.createElement\("link"\);\1\.rel="preload"'
    r".{0,300}?document\.head\.appendChild\(\1\);",
    re.DOTALL,
)
_ADDRESS = re.compile(
    r"""(["'`])https?://(?!www\.w3\.org/)[^"'`]*\1"""
)  # w3.org: XML namespaces, never fetched

# pyinstrument's page remembers its view options in the browser's storage, which a sandboxed page may not touch.
_MEMORY = """
for (const kind of ["localStorage", "sessionStorage"]) {
  try { window[kind].length; } catch {
    const kept = new Map();
    Object.defineProperty(window, kind, { value: {
      getItem: (key) => kept.has(key) ? kept.get(key) : null,
      setItem: (key, value) => { kept.set(key, String(value)); },
      removeItem: (key) => { kept.delete(key); },
    } });
  }
}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div id="app"></div>
<script>{memory}</script>
<script>{app}</script>
<script>{data}</script>
</body>
</html>
"""


def render(profile: Profile) -> str:
    """Return the profile as a self-contained page.

    Raises:
        ProfkitError: the installed pyinstrument makes its page in a way not known here.
    """
    return _page(to_session(profile), f"{safe(profile.operation)} {profile.wall:.3f} s - profkit")


def render_merged(merged: MergedProfile) -> str:
    """Return such a page of a merge."""
    return _page(merged_session(merged), f"{safe(merged.title)} {merged.wall:.3f} s - profkit")


def _page(session: Session, title: str) -> str:
    page = HTMLRenderer().render(session)
    scripts, styles = _SCRIPT.findall(page), _STYLE.findall(page)
    if len(scripts) != 2 or len(styles) != 1:
        raise ProfkitError(
            "html: the installed pyinstrument renders a page that profkit does not know; try 5.1.3"
        )
    app, data = without_addresses(scripts[0]), scripts[1]
    return _PAGE.format(
        policy=html.escape(policy([_MEMORY, app, data], None)),
        title=html.escape(title),
        style=styles[0],
        memory=_MEMORY,
        app=app,
        data=data,
    )


def content_security_policy(page: str) -> str:
    """Return the header under which a page of `render` runs, reaches nothing and is framed by nobody.

    `sandbox` gives the page an origin of its own: it cannot touch what it is served beside.
    """
    return f"{policy(_SCRIPT.findall(page), None)}; frame-ancestors 'none'; sandbox allow-scripts"


def without_addresses(script: str) -> str:
    """Return pyinstrument's script without its link to a font host, or any other address it could load from."""
    return _ADDRESS.sub(r"\1data:,\1", _FONT_LINK.sub("", script))
