"""Runs the tests and prints the sum: "N passed, N failed"."""

import os
import sys

import checks
from framing import Wire

import wire_tests  # noqa: F401
import call_tests  # noqa: F401
import injection_tests  # noqa: F401
import self_check
import session_tests  # noqa: F401
import stop_tests  # noqa: F401

# Fewer tests than this means that a module was lost, not that all is well.
TESTS_LEAST = 170


def show_log():
    """The end of the gateway's log, before the sum, which must be the last line."""
    path = os.path.join(os.environ["SLUICE_TEST_FOLDER"], "gateway.log")
    with open(path, encoding="utf-8", errors="replace") as file:
        print("---- end of the gateway's log")
        print("".join(file.readlines()[-30:]).rstrip())
        print("----")


def main(words):
    if words and words[0] == "--self-check":
        passed, failed = self_check.run(words[1:])
    else:
        passed, failed = checks.run_all(words)
        blind = self_check.canary()
        if blind:
            print(f"FAILED  {blind}")
            failed += 1
        if len(checks.TESTS) < TESTS_LEAST:
            print(f"FAILED  only {len(checks.TESTS)} tests are there, {TESTS_LEAST} were expected")
            failed += 1
    if passed + failed == 0:
        print("FAILED  no test was run")
        failed += 1
    if failed:
        show_log()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
