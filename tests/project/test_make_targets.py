"""How the set-up behaves where Python is missing, too old, or reachable only under pyenv."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "pythons.sh"


def fake_python(path: Path, version: str) -> Path:
    """An interpreter in all but its version: asked for two parts it says those, for three all of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    short = version.rpartition(".")[0]
    path.write_text(
        "#!/bin/sh\n"
        f'case "$2" in *sys.executable*) echo {path};; *"[:2]"*) echo {short};; *) echo {version};; esac\n'
    )
    path.chmod(0o755)
    return path


def pythons(*arguments: str, path: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        env={"PATH": path, "HOME": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("version", "said"),
    [("3.9.6", "is 3.9.6"), ("2.7.18", "is 2.7.18"), (None, "does not run here")],
)
def test_a_missing_or_old_python_is_one_clear_line(tmp_path, version, said):
    if version:
        fake_python(tmp_path / "python3", version)
    done = pythons(path=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "3.11 or newer" in done.stderr


def test_make_says_it_once_and_stops(tmp_path):
    old = fake_python(tmp_path / "python3", "3.9.6")
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'env'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
    )
    assert done.returncode != 0
    assert "is 3.9.6" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "env").exists()


def test_a_newer_python_is_found_beside_an_old_one(tmp_path):
    fake_python(tmp_path / "python3", "3.9.6")
    newer = fake_python(tmp_path / "python3.12", "3.12.4")
    assert pythons(path=str(tmp_path)).stdout.strip() == str(newer)


def test_the_named_python_is_taken_and_no_other(tmp_path):
    fake_python(tmp_path / "python3", "3.12.4")
    old = fake_python(tmp_path / "old", "3.10.2")
    assert "is 3.10.2" in pythons(str(old), path=str(tmp_path)).stderr
    assert pythons(sys.executable, path="/usr/bin:/bin").stdout.strip() == sys.executable


def test_all_finds_what_is_only_under_pyenv(tmp_path):
    fake_python(tmp_path / "bin" / "python3", "3.11.9")
    shim = tmp_path / "bin" / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    kept = fake_python(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python", "3.12.1")
    done = pythons("--all", path=f"{tmp_path / 'bin'}:/usr/bin:/bin", PYENV_ROOT=str(tmp_path / "pyenv"))
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert found["3.11"] == str(tmp_path / "bin" / "python3")
    assert found["3.12"] == str(kept)
