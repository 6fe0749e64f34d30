"""Processes that fork, end, or are ended: each profiles for itself, none waits for ever, what was handed over is kept.

The scripts run in processes of their own, with warnings as errors but for the one of 3.12 on about forks beside
threads, which is what is tested.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from profkit_storage import Profile, Status, open_storage

COMMON = """
import os, signal, sys, threading, time
import profkit

def spin(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(50))

def configure(**settings):
    profkit.configure(**{"storage": STORE, "threshold": 0.01, "interval": 0.001, "max_overhead": 1.0,
                         "max_profiles": 0, "max_profiles_per_operation": 0, "rollup_interval": 0} | settings)

def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "waited for nothing"
        time.sleep(0.001)

def end_child(check):
    # Without the interpreter's own end, which would run the parent's exit functions.
    try:
        check()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def join(child, seconds=20):
    until = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            sys.exit("a child hangs")
        time.sleep(0.001)
    # Its exit code is told by what it stored, and by what it printed.
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def python(script: str, store: Path) -> list[str]:
    """Return the command that runs a script; `STORE` is where its profiles go."""
    head = f"STORE = {str(store)!r}\n{COMMON}\n"
    forking = "ignore:This process:DeprecationWarning"
    return [sys.executable, "-W", "error", "-W", forking, "-c", head + textwrap.dedent(script)]


def run(script: str, store: Path, *, code: int = 0) -> str:
    """Run a script to its end, which must come within a minute, without a word on stderr; return what it printed."""
    done = subprocess.run(python(script, store), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def profiles(store: Path) -> list[Profile]:
    storage = open_storage(str(store))
    return [storage.load(entry.id) for entry in storage.scan()]


def counts(store: Path) -> Counter[str]:
    return Counter(profile.operation for profile in profiles(store))


def test_forks_in_the_middle_of_ticks(store: Path) -> None:
    run(
        """
        import gc
        configure()
        with profkit.operation("first"):
            spin(0.02)
        profkit.flush(20)

        def check():
            assert sys.getswitchinterval() == 0.005, "the parent's switch interval"
            assert gc.isenabled()
            with profkit.operation(f"child {number}", threshold=0):
                wait_for(lambda: profkit.stats()["sampler"]["ticks"] > 3)
            assert profkit.flush(15), profkit.stats()
            stats = profkit.stats()
            assert (stats["faults"], stats["recorded"], stats["in_flight"]) == ({}, 1, 0), stats

        def busy():
            while not stop.is_set():
                with profkit.operation("beside", threshold=9):
                    spin(0.001)
                time.sleep(0.001)

        stop = threading.Event()
        threading.Thread(target=busy).start()
        for number in range(15):
            child = os.fork()
            if not child:
                end_child(check)
            join(child)
        stop.set()
        """,
        store,
    )
    found = profiles(store)
    assert {profile.operation for profile in found} == {"first", *(f"child {number}" for number in range(15))}
    assert len({profile.pid for profile in found}) == 16
    assert all(profile.samples for profile in found)


def test_a_fork_while_every_lock_of_ours_is_held_deadlocks_nothing(store: Path) -> None:
    printed = run(
        """
        import gc
        configure()
        with profkit.operation("first"):
            spin(0.02)
        profkit.flush(20)
        KINDS = (type(threading.Lock()), type(threading.RLock()), threading.Condition)

        def locks():
            for one in gc.get_objects():
                if type(one).__module__.startswith("profkit") and hasattr(one, "__dict__"):
                    yield from (value for value in vars(one).values() if isinstance(value, KINDS))
            for name, module in list(sys.modules.items()):
                if name.startswith("profkit"):
                    yield from (value for value in vars(module).values() if isinstance(value, KINDS))

        def check():
            assert profkit.capture(0.05).sampling.ticks
            with profkit.operation("child"):
                spin(0.03)
            assert profkit.flush(15), profkit.stats()
            assert profkit.stats()["faults"] == {}
            profkit.configure(storage=STORE, threshold=0.01)
            assert profkit.shutdown(10)

        held = threading.Event()
        found = list({id(one): one for one in locks()}.values())

        def holder():
            print(sum(one.acquire(timeout=1) for one in found), flush=True)  # but those that threads wait for
            held.set()
            time.sleep(60)

        threading.Thread(target=holder, daemon=True).start()
        held.wait()
        child = os.fork()
        if not child:
            end_child(check)
        join(child)
        os._exit(0)
        """,
        store,
    )
    assert int(printed) >= 8, "they are not found any more"
    assert counts(store) == {"first": 1, "process": 1, "child": 1}


def test_a_child_reports_nothing_of_the_operations_it_was_forked_in(store: Path) -> None:
    run(
        """
        configure()

        def fork_and_go_on():
            spin(0.02)
            child = os.fork()
            spin(0.02)
            return child

        @profkit.profile
        def decorated():
            return fork_and_go_on()

        def block():
            with profkit.operation("block"):
                return fork_and_go_on()

        def steps():
            spin(0.02)
            child = os.fork()
            yield child

        @profkit.profile
        def generator():
            yield from steps()

        def in_thread():
            with profkit.operation("in a thread"):
                children.append(fork_and_go_on())
            if not children[-1]:
                end_child(check)

        def check():
            assert profkit.stats()["in_flight"] == 0
            with profkit.operation("of the child"):
                spin(0.02)
            assert profkit.flush(15)
            assert profkit.stats()["faults"] == {}, profkit.stats()

        children = []
        for fork in (decorated, block, lambda: next(generator())):
            children.append(fork())
            if not children[-1]:
                end_child(check)
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
        for child in children:
            join(child)
        """,
        store,
    )
    found = profiles(store)
    parent = {one.pid for one in found if one.operation == "block"}
    assert len(parent) == 1
    ours = Counter(one.operation for one in found if one.pid in parent)
    assert ours == {"decorated": 1, "block": 1, "generator": 1, "in a thread": 1}
    theirs = [one for one in found if one.pid not in parent]
    assert Counter(one.operation for one in theirs) == {"of the child": 4}
    assert not any(one.enclosing for one in theirs), "the operations around it are another process's"
    assert all(0.015 < one.wall < 5 for one in found)


def test_workers_forked_before_they_serve_as_gunicorns(store: Path) -> None:
    run(
        """
        from concurrent.futures import ThreadPoolExecutor
        configure()  # the application is loaded before the fork

        @profkit.profile
        def request(number):
            with profkit.operation("db", threshold=9):
                time.sleep(0.02)

        def serve():
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(request, range(20)))
            signal.signal(signal.SIGTERM, lambda *_: sys.exit())
            os.kill(os.getppid(), signal.SIGUSR1)
            while True:
                time.sleep(1)

        ready = []
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                serve()
            children.append(child)
            signal.sigwait({signal.SIGUSR1})
        request("in the parent")
        for child in children:
            os.kill(child, signal.SIGTERM)
            join(child)
        """,
        store,
    )
    by_process = Counter(profile.pid for profile in profiles(store))
    assert sorted(by_process.values()) == [1, 20, 20, 20]


CELERY = """
import os, time
import profkit
from celery import Celery

app = Celery("shop", broker="filesystem://")
folder = os.environ["BROKER"]
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder},
    worker_hijack_root_logger=False, broker_connection_retry_on_startup=True,
)
profkit.configure(storage=os.environ["STORE"], threshold=0.01, interval=0.002)

@app.task
@profkit.profile
def charge(number):
    time.sleep(0.05)
"""


@pytest.mark.soak
def test_celerys_prefork_workers(tmp_path: Path, store: Path) -> None:
    (tmp_path / "shop.py").write_text(CELERY)
    (tmp_path / "broker").mkdir()
    environ = os.environ | {"BROKER": str(tmp_path / "broker"), "STORE": str(store)}
    send = "import shop\nfor number in range(6): shop.charge.delay(number)"
    subprocess.run([sys.executable, "-c", send], cwd=tmp_path, env=environ, check=True, timeout=60)
    command = [sys.executable, "-m", "celery", "-q", "-A", "shop", "worker", "-P", "prefork", "-c", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        until = time.monotonic() + 60
        while len(list(store.rglob("*.pkp"))) < 6 and time.monotonic() < until and worker.poll() is None:
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        said = worker.communicate(timeout=30)[0]
    found = profiles(store)
    assert Counter(one.operation for one in found) == {"charge": 6}, said
    assert worker.pid not in {one.pid for one in found}
    assert "Traceback" not in said


def test_no_signal_handler_is_ours(store: Path) -> None:
    printed = run(
        """
        before = {number: signal.getsignal(number) for number in signal.valid_signals()}
        configure()
        with profkit.operation("work"):
            spin(0.02)
        profkit.flush(20)
        print(before == {number: signal.getsignal(number) for number in signal.valid_signals()})
        """,
        store,
    )
    assert printed == "True\n"


def test_operations_in_flight_at_the_end_of_the_interpreter(store: Path) -> None:
    run(
        """
        configure()

        def for_ever(name):
            with profkit.operation(name):
                while True:
                    with profkit.operation("inside", threshold=9):
                        spin(0.001)
                    time.sleep(0.001)

        def till_the_end():
            with profkit.operation("not a daemon"):
                threading.main_thread().join()
                time.sleep(0.05)

        for number in range(3):
            threading.Thread(target=for_ever, args=(f"daemon {number}",), daemon=True).start()
        threading.Thread(target=till_the_end).start()
        profkit.operation("never left").__enter__()
        with profkit.operation("last"):
            time.sleep(0.05)
        """,
        store,
    )
    assert counts(store) == {"last": 1, "not a daemon": 1}


def test_threads_that_begin_operations_while_the_process_shuts_down(store: Path) -> None:
    run(
        """
        configure(shutdown_timeout=1)

        @profkit.profile(threshold=9)
        def work():
            pass

        @profkit.profile(threshold=0)
        def slow():
            pass

        def for_ever():
            while True:
                work()
                for _ in range(20):
                    with profkit.operation("block", threshold=9):
                        pass
                slow()

        import logging
        logging.disable()
        for _ in range(8):
            threading.Thread(target=for_ever, daemon=True).start()
        time.sleep(0.2)
        """,
        store,
    )
    assert set(counts(store)) == {"slow"}


def test_exit_functions_around_ours(store: Path) -> None:
    script = """
        import atexit

        def work(name):
            with profkit.operation(name):
                spin(0.02)
            print(name)

        # Before profkit is imported: what begins first ends last.
        atexit.unregister(profkit.process_hooks._shut_down)
        atexit.register(work, "after ours")
        atexit.register(profkit.process_hooks._shut_down)
        configure()
        atexit.register(work, "before ours")
    """
    assert run(script, store) == "before ours\nafter ours\n"
    assert counts(store) == {"before ours": 1}


def test_sys_exit_in_an_operation(store: Path) -> None:
    run(
        """
        configure()
        with profkit.operation("leaves"):
            spin(0.02)
            sys.exit(3)
        """,
        store,
        code=3,
    )
    (profile,) = profiles(store)
    assert (profile.operation, profile.status) == ("leaves", Status.ERROR)
    assert profile.tags["error"] == "SystemExit"


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("os._exit(5)", 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os.abort()", -signal.SIGABRT),
    ],
)
def test_a_process_that_is_ended_loses_only_what_it_had_not_handed_to_the_store(
    store: Path, last: str, code: int
) -> None:
    run(
        f"""
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        configure()
        for _ in range(5):
            with profkit.operation("stored"):
                time.sleep(0.012)
        wait_for(lambda: profkit.stats()["recorded"] == 5)
        with profkit.operation("in flight"):
            time.sleep(0.012)
            {last}
        """,
        store,
        code=code,
    )
    assert counts(store) == {"stored": 5}


HANGING = """
from profkit_storage import ProfileStorage, StorageError

class Hanging(ProfileStorage):
    url = "hanging://"

    def put(self, profile):
        time.sleep(30)

    def load(self, id):
        raise StorageError(id)

    def scan(self, query=None, *, on_problem=None):
        return iter(())

    def delete(self, id):
        return False
"""


def test_a_store_that_hangs_holds_up_the_end_no_longer_than_allowed(store: Path) -> None:
    script = textwrap.dedent(HANGING) + textwrap.dedent(
        """
            import logging
            logging.disable()
            configure(storage=Hanging(), shutdown_timeout=0.5, spool="off")
            for _ in range(3):
                with profkit.operation("lost"):
                    time.sleep(0.012)
            import atexit
            atexit.unregister(profkit.process_hooks._shut_down)

            @atexit.register
            def measure():
                began = time.monotonic()
                profkit.process_hooks._shut_down()
                print(time.monotonic() - began, profkit.stats()["faults"].get("lost_at_shutdown"))
            """
    )
    began = time.monotonic()
    seconds, lost = run(script, store).split()
    assert time.monotonic() - began < 25, "the process waited for its store"
    assert 0.3 < float(seconds) < 3
    assert lost == "2", "the third is in the store's hands"


@pytest.fixture(autouse=True)
def no_child_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    try:
        left = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    assert left == (0, 0), "a child was left to nobody"
