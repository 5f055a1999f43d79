"""Signals that arrive while a file is written take effect when it is complete."""

import os
import signal
import threading

import pytest

from mixjobs.cli.signals import Terminated, termination
from mixjobs.interrupts import signals_deferred

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers():
    """Restore the handlers, as a command that SIGTERM ends does not."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def deferred(numbers, done, error=None):
    """Receive some signals in a block that defers them."""
    with signals_deferred():
        for number in numbers:
            signal.raise_signal(number)
            done.append(number)
        if error is not None:
            raise error


def test_ctrl_c_waits_for_the_end_of_the_block(handlers):
    done = []
    with pytest.raises(KeyboardInterrupt):
        deferred([signal.SIGINT] * 2, done)
    assert len(done) == 2
    assert {number: signal.getsignal(number) for number in NUMBERS} == handlers


def test_sigterm_prevails_and_the_command_knows_it():
    done = []
    with pytest.raises(Terminated), termination():
        deferred(NUMBERS, done)
    assert len(done) == 2


def test_an_error_in_the_block(handlers):
    with pytest.raises(OSError, match="disk"):
        deferred([], [], OSError("disk"))
    with pytest.raises(KeyboardInterrupt) as error:
        deferred([signal.SIGINT], [], OSError("disk"))
    assert isinstance(error.value.__context__, OSError)
    assert {number: signal.getsignal(number) for number in NUMBERS} == handlers


def test_nested_blocks():
    done = []

    def nested():
        with signals_deferred():
            deferred([signal.SIGINT], done)
            done.append("the end")

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert done == [signal.SIGINT, "the end"]


def test_another_thread_has_no_signals_to_defer(handlers):
    done = []

    def work():
        with signals_deferred():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [handlers[signal.SIGINT]]


def test_a_signal_from_another_thread():
    sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    done = []

    def work():
        with signals_deferred():
            sender.start()
            sender.join()
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
