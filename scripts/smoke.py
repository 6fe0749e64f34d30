"""Proves a built wheel in an empty environment, without what the tests need: `python scripts/smoke.py dist/*.whl`.

What a user does on the first day: install, import, decorate, run, list, analyze.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"profkit": "", "profkit_storage": "storage/", "profkit_analyzers": "analyzers/"}
IMPORTS = "import profkit, profkit_storage, profkit_analyzers; print(profkit.__file__)"
SCRIPT = """
import sys, time
import profkit

profkit.configure(storage=sys.argv[1], service="smoke", threshold=0.2)

@profkit.profile("smoke.slow", category="db")
def slow():
    total = 0
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        total += sum(range(1_000))
    return total

@profkit.profile("smoke.fast")
def fast():
    return 1

assert slow() > 0
assert fast() == 1
profkit.flush(timeout=10)
profkit.shutdown()
"""


class SmokeError(Exception):
    """The wheel does not do what a user may expect of it."""


def check(condition: bool, complaint: str) -> None:  # noqa: FBT001 - reads as an assertion
    """Raise unless `condition` holds."""
    if not condition:
        raise SmokeError(complaint)


def run(*command: object, code: int = 0) -> str:
    """Run a command outside the checkout, return what it printed, and insist on its exit code."""
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(words, cwd=elsewhere, capture_output=True, text=True, timeout=300, check=False)
    output = done.stdout + done.stderr
    check(done.returncode == code, f"{words}: exit code {done.returncode}, not {code}\n{output}")
    return output


def check_contents(wheel: Path) -> None:
    """Insist that the wheel holds every file of the three packages that git knows, and nothing else."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {
        name.removeprefix(prefix)
        for name in tracked
        for package, prefix in PACKAGES.items()
        if name.startswith(f"{prefix}{package}/")
    }
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    check(found == expected, f"missing {sorted(expected - found)}, too many {sorted(found - expected)}")
    check(all(f"{package}/py.typed" in found for package in PACKAGES), "a package without py.typed")


def check_bare(python: Path, profkit: Path) -> None:
    """Without an extra: everything imports, and the command says in one line what it needs."""
    check("site-packages" in run(python, "-c", IMPORTS), "not the installed package")
    hint = run(profkit, "--help", code=2).strip()
    check("\n" not in hint and "profkit[analyze]" in hint, f"not one line that names the extra:\n{hint}")


def check_captures(python: Path, profkit: Path, directory: Path) -> None:
    """A real script leaves one profile; the command lists, ranks, shows and exports it."""
    script, store = directory / "app.py", directory / "store"
    script.write_text(SCRIPT)
    run(python, script, store)
    listed = run(profkit, "list", store)
    check("smoke.slow" in listed and "smoke.fast" not in listed, f"list:\n{listed}")
    ranked = run(profkit, "analyze", store)
    check("smoke.slow" in ranked, f"analyze:\n{ranked}")
    check(
        run(profkit, "analyze", directory / "nowhere", code=2).count("\n") == 1,
        "not one line for a missing store",
    )


def main(wheel: Path) -> None:
    """Do all of it in a temporary directory."""
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        venv.create(directory / "env", with_pip=True)
        python, profkit = directory / "env/bin/python", directory / "env/bin/profkit"
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint")
        run(*pip, ROOT / "constraints.txt", wheel)
        check_bare(python, profkit)
        run(*pip, ROOT / "constraints.txt", f"{wheel}[analyze]")
        check_captures(python, profkit, directory)
    print(f"{wheel.name}: installs, imports, captures, lists and analyzes in an empty environment")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: smoke.py WHEEL")
    try:
        main(Path(sys.argv[1]).resolve())
    except SmokeError as error:
        sys.exit(f"smoke test failed: {error}")
