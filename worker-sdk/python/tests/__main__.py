"""Runs the tests of the package that is installed: `python3 worker-sdk/python/tests`."""

import sys
import unittest
from pathlib import Path


def main() -> int:
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    good = result.testsRun - bad - len(result.skipped)
    word = "ok" if result.wasSuccessful() and good else "FAILED"
    print(f"test result: {word}. {good} passed; {bad} failed")
    return 0 if word == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
