"""The `profkit` command as a process of its own: pipes that close, interrupts, rights, terminals, missing parts."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import pytest

from profkit_storage import open_storage

RUN = "import sys; from profkit_analyzers.cli import main; sys.exit(main())"
# A process that was started in the background ignores interrupts, and so do those it starts: these tests too, then.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
INTERRUPTED_IMPORT = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_profile):
    path = tmp_path_factory.mktemp("store")
    with open_storage(path) as storage:
        for number in range(400):
            storage.put(make_profile(operation=f"operation.{number % 5}"))
    return path


def command(*arguments, code=RUN):
    return [sys.executable, "-c", code, *map(str, arguments)]


def run(*arguments, code=RUN, **options):
    return subprocess.run(
        command(*arguments, code=code), capture_output=True, text=True, timeout=60, check=False, **options
    )


def started(*arguments, code=RUN, **environment):
    environment = {**os.environ, **environment}
    return subprocess.Popen(
        command(*arguments, code=code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_closes_early_ends_it_quietly(store, unbuffered):
    process = started("list", store, "--json", PYTHONUNBUFFERED=unbuffered)
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 141


def test_an_interrupt_ends_it_with_130_and_no_traceback(store):
    process = started("list", store, "--json", code=LISTEN + RUN)
    # More than a pipe holds is on its way: with one byte read, it is writing or waiting to.
    assert process.stdout.read(1) == b"{"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == b""


@pytest.mark.parametrize(
    "module", ["click", "orjson", "profkit_analyzers.analyzer", "profkit_analyzers.commands"]
)
def test_an_interrupt_while_it_is_still_importing_is_no_traceback(module):
    done = run(module, code=LISTEN + INTERRUPTED_IMPORT + RUN)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_directory_without_the_right_to_read_it_is_one_line(make_profile):
    # Root may read everything, so it steps down first; everything is read before, as Python may be root's own.
    code = (
        "import os, sys; import profkit_analyzers.commands; from profkit_analyzers.cli import main; "
        "from profkit_storage.categories import default_categories; default_categories(); "
        "os.geteuid() or os.seteuid(65534); sys.exit(main())"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        with open_storage(path / "store") as storage:
            storage.put(make_profile())
        (path / "store").chmod(0)
        try:
            for name in ("analyze", "list"):
                done = run(name, path / "store", code=code)
                assert (done.returncode, done.stdout) == (2, "")
                assert re.fullmatch(r"profkit: .*store.*Permission denied\n", done.stderr)
        finally:
            (path / "store").chmod(0o755)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_what_to_install(missing):
    done = run("list", "/x", code=f"import sys; sys.modules[{missing!r}] = None; {RUN}")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f'profkit: the command needs {missing}: install it with: pip install "profkit[analyze]"\n'
    )


def test_a_library_that_is_broken_is_not_called_missing():
    done = run("list", "/x", code=f"import sys; sys.modules['orjson'] = None; {RUN}")
    assert done.returncode == 1
    assert "orjson" in done.stderr
    assert "install it with" not in done.stderr


def test_letters_the_terminal_lacks_are_escaped(tmp_path, make_profile):
    with open_storage(tmp_path) as storage:
        storage.put(make_profile(operation="订单"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("list", tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u8ba2\\u5355" in done.stdout


@pytest.mark.parametrize("width", [80, 160])
def test_on_a_terminal_every_line_fits_and_titles_are_bold(store, width):
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    environment["TERM"] = "xterm"
    process = subprocess.Popen(
        command("analyze", store), stdin=child, stdout=child, stderr=subprocess.PIPE, env=environment
    )
    os.close(child)
    page = b""
    try:
        while part := os.read(parent, 65536):
            page += part
    except OSError:  # how a terminal ends on Linux
        pass
    finally:
        os.close(parent)
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 0
    text = page.decode().replace("\r\n", "\n")
    assert "\x1b[1m" in text
    ranking = re.sub(r"\x1b\[[0-9;]*m", "", text).partition("next\n")[0]
    assert "app.llm.complete (line 80)" in ranking
    assert max(map(len, ranking.split("\n"))) <= width


def test_it_analyzes_through_a_real_pipe(store):
    done = run("analyze", store, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["profiles"] == 400
