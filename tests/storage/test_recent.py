"""What is kept by a key: the values used last, each made by one thread, also in a child of a fork."""

import os
import threading
import time
import warnings

import pytest

from profkit_storage.blocks.recent import Recent


def test_what_was_used_last_is_kept():
    recent = Recent(3)
    for key in "abcad":
        recent.get(key, lambda key=key: key * 2)
    assert [recent.get(key, lambda: "made") for key in "cad"] == ["cc", "aa", "dd"]
    assert recent.get("b", lambda: "made") == "made"


def test_sizes_are_what_takes_room_and_the_last_one_stays_whatever_it_takes():
    recent = Recent(10, lambda key, value: len(key) + len(value))
    recent.get("a", lambda: "123")
    recent.get("b", lambda: "12345")
    assert recent.get("a", lambda: "again") == "123"
    recent.get("c", lambda: "1" * 20)
    assert recent.get("c", lambda: "again") == "1" * 20
    assert recent.get("a", lambda: "again") == "again"


def test_many_threads_make_it_once():
    recent = Recent(2)
    made = []

    def make():
        made.append(None)
        time.sleep(0.05)
        return "value"

    threads = [threading.Thread(target=recent.get, args=("key", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_what_cannot_be_made_is_tried_again():
    recent = Recent(2)
    with pytest.raises(ZeroDivisionError):
        recent.get("key", lambda: 1 // 0)
    assert recent.get("key", lambda: "value") == "value"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_while_another_thread_makes_it():
    recent = Recent(2)
    making, end = threading.Event(), threading.Event()

    def make():
        making.set()
        end.wait(10)
        return "value"

    thread = threading.Thread(target=recent.get, args=("key", make))
    thread.start()
    making.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads
        child = os.fork()
    if child == 0:
        os._exit(0 if recent.get("key", lambda: "made") == "made" else 1)
    assert ended_well(child)
    end.set()
    thread.join()


def ended_well(child):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False
