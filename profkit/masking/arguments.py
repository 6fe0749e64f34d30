"""Secrets in a command line: `--token x`, `mysql -px`, `redis-cli -a x`, `curl -u name:x`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from profkit.masking.shapes import MASK

_PROGRAMS = {
    "mysql": "p", "mysqldump": "p", "mysqladmin": "p", "mysqlimport": "p", "mysqlsh": "p", "mysqlcheck": "p",
    "mysqlshow": "p", "mariadb": "p", "mariadb-dump": "p", "mariadb-admin": "p", "mongo": "p", "mongosh": "p",
    "mongodump": "p", "mongorestore": "p", "sshpass": "p", "redis-cli": "a", "redis-benchmark": "a",
    "valkey-cli": "a", "valkey-benchmark": "a", "keydb-cli": "a", "ldapsearch": "w", "ldapadd": "w",
    "ldapmodify": "w", "ldapdelete": "w", "ldapwhoami": "w", "mosquitto_pub": "P", "mosquitto_sub": "P",
    "sqlcmd": "P", "bcp": "P", "zip": "P", "unzip": "P", "snmpget": "cAX", "snmpwalk": "cAX",
    "curl": "", "wget": "",
}  # fmt: skip
"""Programs whose one-letter options take a secret."""

_NEGATED = ("no-", "without-", "disable-", "skip-")
_USER = ("-u", "-U", "--user", "--proxy-user")
_ATTACHED_USER = re.compile(r"-[uU][^-\s:/][^\s:/]*+:(?!//)")
_SPACES = re.compile(r"(\s+)")
_PORT_OR_PATH = re.compile(r"[\d.:,-]*+(?:/(?:tcp|udp))?|[./~\\].*|no:\w+", re.DOTALL)


def hide_arguments(arguments: Sequence[object], is_secret: Callable[[str], bool]) -> dict[int, str]:
    """The arguments that the command line's own rules hide: their places, and what is shown instead.

    What follows an option with a secret's name is always hidden, whatever it looks like. `-p x` is hidden unless `x`
    is a port, a path or nothing else than digits.
    """
    hidden: dict[int, str] = {}
    letters = ""
    after = ""
    for place, argument in enumerate(arguments):
        text = argument if isinstance(argument, str) else ""
        if after and argument is not None:
            shown = _after(after, text, letters, is_secret)
            if shown is not None:
                hidden[place] = shown
        letters = letters or _PROGRAMS.get(_program(text), "")
        attached = _attached(text, letters)
        if attached is not None and place not in hidden:
            hidden[place] = attached
        after = text if text.startswith("-") else ""
    return hidden


def hide_command(text: str, is_secret: Callable[[str], bool]) -> str:
    """`text` without the secrets of a command in it; only where a program is named, for prose has `-p`, too."""
    pieces = _SPACES.split(text)
    words = pieces[::2]
    if _PROGRAMS.keys().isdisjoint(map(_program, words)):
        return text
    for place, shown in hide_arguments(words, is_secret).items():
        pieces[2 * place] = shown
    return "".join(pieces)


def _program(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2].lower().strip("\"'").removesuffix(".exe")


def _after(option: str, text: str, letters: str, is_secret: Callable[[str], bool]) -> str | None:
    """What is shown of the argument after `option`, `None` if it is no secret."""
    name = option.lstrip("-")
    if len(name) > 1:
        if "=" not in option and not name.startswith(_NEGATED) and is_secret(name):
            return MASK
    elif name and (name in letters or (name == "p" and _PORT_OR_PATH.fullmatch(text) is None)):
        return MASK if not text.startswith("-") or name in letters else None
    if option in _USER and ":" in text.replace("://", "") and _PORT_OR_PATH.fullmatch(text) is None:
        return MASK  # the user, too: it may be the token
    return None


def _attached(text: str, letters: str) -> str | None:
    """`-phunter2`, `-uname:hunter2` without the secret; `None` for any other argument."""
    if len(text) < 3 or text[0] != "-" or text[1] == "-":
        return None
    rest = text[2:]
    if _ATTACHED_USER.match(text) and _PORT_OR_PATH.fullmatch(rest) is None:
        return f"{text[:2]}{MASK}"
    doubtful = text[1] == "p" and any(map(str.isdigit, rest)) and "=" not in rest
    if text[1] in letters or (doubtful and _PORT_OR_PATH.fullmatch(rest) is None):
        return f"{text[:2]}{MASK}"
    return None
