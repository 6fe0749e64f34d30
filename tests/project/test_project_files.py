"""What the project's own files promise each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from importlib.resources import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["profkit", "profkit_storage", "profkit_analyzers"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_that_it_is_typed(package):
    assert files(package).joinpath("py.typed").is_file()


def test_constraints_hold_versions_and_no_address():
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"https?:|://|@|--|sha256|file:", text)
    for pin in pins():
        assert re.fullmatch(r"==[\w.+!]+", str(pin.specifier)), pin


def test_every_requirement_of_every_extra_is_pinned_to_a_version_it_allows():
    pinned = {pin.name.lower().replace("_", "-"): str(pin.specifier)[2:] for pin in pins()}
    for text in requires("profkit"):
        requirement = Requirement(text)
        if requirement.name != "profkit":
            version = pinned[requirement.name.lower().replace("_", "-")]
            assert requirement.specifier.contains(version), (text, version)


def test_the_pinned_versions_agree_with_each_other():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_version_is_the_newest_of_the_changelog():
    headings = re.findall(
        r"^## \[?v?(\d+\.\d+\.\d+\S*?)\]?(?:\s|$)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert headings, "no heading like `## 0.1.0`"
    assert headings[0] == PROJECT["version"]


def test_the_extras_are_those_that_are_documented():
    assert set(PROJECT["optional-dependencies"]) == {"web", "s3", "analyze", "all", "dask", "dev"}
    assert PROJECT["requires-python"] == ">=3.11"
    assert {Requirement(text).name for text in PROJECT["dependencies"]} == {
        "pyinstrument",
        "orjson",
        "zstandard",
        "psutil",
    }


def test_nothing_tracked_names_a_path_or_host_of_a_builders_machine():
    forbidden = re.compile(
        "|".join(["/" + "work/", "/" + "root/", "pypi" + r"\.org", "files\\.python" + "hosted"])
    )
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.is_file():
            assert not forbidden.search(path.read_text(errors="replace")), name
