"""One line a test, the same on every level: `ok NAME (TIME)` or `not ok NAME` with its reason under it."""
import os
import sys
import threading
import time
import traceback


class Report:
    """Counts results; $CKAITO_TEST_REPORT, if set, gets a line for each."""

    def __init__(self):
        self.passed, self.failed = 0, 0
        self.lock = threading.Lock()

    def add(self, name, good, seconds, details=""):
        with self.lock:
            self.passed, self.failed = self.passed + good, self.failed + (not good)
            print(f"{'ok' if good else 'not ok'} {name} ({seconds:.1f} s)", flush=True)
            for line in details.rstrip().splitlines():
                print(f"    {line}", flush=True)
            if path := os.environ.get("CKAITO_TEST_REPORT"):
                with open(path, "a", encoding="utf-8") as report:
                    report.write(f"{'ok' if good else 'not ok'} {name}\n")

    def run(self, name, function, *arguments):
        """Runs one test; whatever it raises is its failure."""
        start = time.monotonic()
        try:
            function(*arguments)
            good, details = True, ""
        except Exception as error:  # a test may fail in any way
            good, details = False, explain(error)
        self.add(name, good, time.monotonic() - start, details)
        return good

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def explain(error):
    """The message of a failed assertion and the line it stands on."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/test/" in frame.filename]
    where = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-3:]))
    return f"{type(error).__name__}: {error}\n(at {where})"
