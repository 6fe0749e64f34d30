"""`profkit analyze` into files: whole or not at all, in each format."""

from __future__ import annotations

import json
import os
import stat

import pytest

from profkit_analyzers.cli import main
from profkit_analyzers.commands import output
from profkit_storage import open_storage


@pytest.fixture
def store(tmp_path, make_profile):
    path = tmp_path / "a store"
    with open_storage(path) as storage:
        for number in range(3):
            storage.put(make_profile(operation=f"op{number}"))
    return path


@pytest.fixture
def profkit(capsysbinary):
    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return code, captured.out.decode(), captured.err.decode()

    return run


def test_a_page_goes_into_a_file_or_a_pipe(profkit, store, tmp_path):
    path = tmp_path / "report.html"
    assert profkit("analyze", store, "--format", "html", "-o", path) == (0, "", "")
    code, out, err = profkit("analyze", store, "--format", "html")
    assert (code, err) == (0, "")
    assert path.read_text(encoding="utf-8") == out
    assert out.startswith("<!DOCTYPE html>")
    assert "op2" in out


def test_no_page_is_written_to_a_terminal(profkit, store, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    code, out, err = profkit("analyze", store, "--format", "html")
    assert (code, out) == (2, "")
    assert "-o FILE" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("format", ["table", "json", "markdown"])
def test_each_format_goes_into_a_file_as_to_a_pipe(profkit, store, tmp_path, format):
    path = tmp_path / "report"
    assert profkit("analyze", store, "--format", format, "-o", path)[0] == 0
    _, out, _ = profkit("analyze", store, "--format", format, "-o", "-")
    assert path.read_text(encoding="utf-8").rstrip() == out.rstrip()
    assert "op1" in out


def test_the_json_is_the_same_without_pictures(profkit, store):
    _, out, _ = profkit("analyze", store, "--format", "json")
    assert "pictures" not in json.loads(out)


def test_a_page_has_more_rows_unless_told(profkit, tmp_path, make_profile):
    with open_storage(tmp_path / "s") as storage:
        for number in range(15):
            storage.put(make_profile(operation=f"op{number}", stacks=[([f"a:f{number}"], 2.0)]))
    assert profkit("analyze", tmp_path / "s", "--format", "html")[1].count('class="row"') == 15
    assert profkit("analyze", tmp_path / "s", "--format", "html", "--top", 4)[1].count('class="row"') == 4
    assert len(json.loads(profkit("analyze", tmp_path / "s", "--format", "json")[1])["bottlenecks"]) == 10


def test_a_file_is_as_it_was_if_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")

    def full(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(output.StorageError, match="cannot be written: No space left on device"):
        output.write_file(b"after", str(path))
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    output.write_file(b"after", str(link))
    assert link.is_symlink()
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    output.write_file(b"new", str(tmp_path / "new"))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~umask()


def umask():
    current = os.umask(0)
    os.umask(current)
    return current


@pytest.mark.parametrize("name", ["missing/report.html", "", "a store", "nul\0"])
def test_where_nothing_can_be_written_one_line_says_so(profkit, store, tmp_path, name):
    code, _, err = profkit("analyze", store, "--format", "html", "-o", tmp_path / name if name else "")
    assert code in (1, 2)
    assert "cannot be written" in err
    assert err.count("\n") == 1


def test_nothing_to_rank_writes_no_file(profkit, tmp_path):
    with open_storage(tmp_path / "s"):
        pass
    code, _, err = profkit("analyze", tmp_path / "s", "--format", "html", "-o", tmp_path / "r.html")
    assert code == 2
    assert "no profiles" in err
    assert not (tmp_path / "r.html").exists()
