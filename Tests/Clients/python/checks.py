"""The registry of tests and the assertions they share."""

import signal
import time
import traceback

TESTS = []

# The longest time one test may take; a hang is a failure.
TEST_SECONDS_MAX = 90


def test(claim, prepares=False):
    """Registers a function as the test of a claim.

    `prepares`: it only begins what another test looks at, and claims little by itself.
    """

    def register(function):
        assert all(claim != other for other, _, _ in TESTS), f"two tests claim: {claim}"
        TESTS.append((claim, function, prepares))
        return function

    return register


class TookTooLong(Exception):
    pass


def on_alarm(_signal, _frame):
    raise TookTooLong(f"the test took longer than {TEST_SECONDS_MAX} s")


def run_one(function):
    """Runs a test; returns None or what went wrong."""
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_SECONDS_MAX)
    try:
        function()
        return None
    except Exception:
        return traceback.format_exc()
    finally:
        signal.alarm(0)


def run_all(words):
    """Runs what is selected; returns how many passed and failed."""
    passed, failed = 0, 0
    for claim, function, _ in TESTS:
        if words and not any(word in claim for word in words):
            continue
        start = time.monotonic()
        error = run_one(function)
        took = time.monotonic() - start
        if error is None:
            passed += 1
            print(f"ok      {claim}" + (f"  ({took:.1f} s)" if took >= 1 else ""))
        else:
            failed += 1
            print(f"FAILED  {claim}")
            print("        " + error.rstrip().replace("\n", "\n        "))
    return passed, failed


def equal(found, expected, what=""):
    assert found == expected, f"{what or 'found'}: {found!r}, expected {expected!r}"


def at_least(found, least, what=""):
    assert found >= least, f"{what or 'found'}: {found!r}, expected at least {least!r}"


def at_most(found, most, what=""):
    assert found <= most, f"{what or 'found'}: {found!r}, expected at most {most!r}"
