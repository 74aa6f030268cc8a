"""Runs the tests and prints the sum: "N passed, N failed"."""

import sys

import checks
from framing import Wire

import wire_tests  # noqa: F401
import call_tests  # noqa: F401
import session_tests  # noqa: F401
import stop_tests  # noqa: F401

# Fewer tests than this means that a module was lost, not that all is well.
TESTS_LEAST = 120


def main(words):
    if words and words[0] == "--self-check":
        import self_check

        passed, failed = self_check.run(words[1:])
    else:
        passed, failed = checks.run_all(words)
        if len(checks.TESTS) < TESTS_LEAST:
            print(f"FAILED  only {len(checks.TESTS)} tests are there, {TESTS_LEAST} were expected")
            failed += 1
    if passed + failed == 0:
        print("FAILED  no test was run")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
