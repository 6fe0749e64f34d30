"""What is around every page that runs by itself: its head with the policy, its title and facts, its scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from profkit_storage.formats.policy import policy

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
{styles}
</head>
<body>
<header>
<h1>{title}</h1>
{head}
</header>
<main>
{parts}
</main>
<footer><p class="quiet">profkit. This page asks nobody for anything.</p></footer>
{scripts}
</body>
</html>
"""


def whole_page(
    title: str,
    head: str,
    parts: Iterable[str],
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: str = "",
) -> str:
    """Return a page whose policy allows these styles and scripts, and forbids every request.

    `title`, `head` (what stands below it) and `parts` are HTML, of which empty ones are left out; `data` is an element
    in front of the scripts that read it.
    """
    return _PAGE.format(
        policy=html.escape(policy(scripts, styles)),
        title=title,
        styles="\n".join(f"<style>{style}</style>" for style in styles),
        head=head,
        parts="\n".join(filter(None, parts)),
        scripts="\n".join(filter(None, (data, *(f"<script>{script}</script>" for script in scripts)))),
    )


def facts_list(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and values, both HTML, as a list in one line or more."""
    return f'<dl class="facts">{"".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)}</dl>'
