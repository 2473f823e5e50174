"""Measured figures: one line each beside its budget and its floor, and all of them in a JSON file."""
import dataclasses
import json
import math
import os
import pathlib
import platform
import time

BUSY_MAX = 0.15
COLUMNS = "{:34} {:>13} {:>14} {:>13} {:>7}  {}"


@dataclasses.dataclass
class Figure:
    """A measurement. `limit` bounds it, or with limit_of="ratio" its ratio to the floor, from above or
    (at_least) from below. The floor is what the same machine needed, in the same run, for the part of the
    work that nobody can leave out. A goal is a limit that does not fail the run yet."""
    name: str
    measured: float
    unit: str
    limit: float | None = None
    limit_of: str = "measured"
    at_least: bool = False
    floor: float | None = None
    goal: bool = False

    @property
    def ratio(self):
        return self.measured / self.floor if self.floor else None

    @property
    def verdict(self):
        """"ok", "OVER", or "" where nothing is demanded."""
        if self.limit is None:
            return ""
        value = getattr(self, self.limit_of)
        return "ok" if value is not None and (value >= self.limit if self.at_least else value <= self.limit) else "OVER"

    def line(self):
        sign, unit = (">=" if self.at_least else "<="), ("x" if self.limit_of == "ratio" else self.unit)
        return COLUMNS.format(
            self.name, show(self.measured, self.unit),
            f"{sign} {show(self.limit, unit)}" if self.limit is not None else "-",
            show(self.floor, self.unit) if self.floor is not None else "-",
            f"{self.ratio:.2f}" if self.ratio is not None else "-",
            self.verdict + (" (goal)" if self.goal else "")).rstrip()


def show(value, unit):
    return f"{value:.0f} {unit}" if value >= 1000 or value == int(value) else f"{value:.2f} {unit}"


def busy_share(seconds=1):
    """The part of all processor time that was used by anybody in the next seconds."""
    def read():
        times = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(times), times[3] + times[4]  # idle, iowait
    before = read()
    time.sleep(seconds)
    total, idle = (after - first for after, first in zip(read(), before))
    return round(1 - idle / total, 3)


def percentile(samples, share):
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


class Figures:
    """Collects and prints. Not thread-safe."""

    def __init__(self):
        self.all, self.failures, self.busy = [], [], None

    def head(self):
        """Says first whether the machine is quiet enough for what follows."""
        self.busy = busy_share()
        if self.busy > BUSY_MAX:
            print(f"other processes keep this machine {self.busy:.0%} busy: times and rates look worse than they are")
        print(COLUMNS.format("NAME", "MEASURED", "BUDGET", "FLOOR", "RATIO", ""), flush=True)

    def add(self, *arguments, explain=None, **keywords):
        """Takes a Figure's members; explain() gives lines to be shown when the limit is exceeded."""
        figure = Figure(*arguments, **keywords)
        self.all.append(figure)
        print(figure.line(), flush=True)
        for line in explain() if explain and figure.verdict == "OVER" else ():
            print(f"    {line}", flush=True)

    def fail(self, name, reason):
        """A measurement that could not be made."""
        self.failures.append(f"{name}: {reason}")
        print(f"{name}: not measured: {reason}", flush=True)

    def save(self, file):
        figures = [dataclasses.asdict(figure) | {"ratio": figure.ratio, "verdict": figure.verdict}
                   for figure in self.all]
        machine = {"kernel": platform.release(), "architecture": platform.machine(), "cores": os.cpu_count(),
                   "busy_before": self.busy, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        result = {"machine": machine, "figures": figures, "failures": self.failures}
        pathlib.Path(file).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    def within_budget(self):
        return not self.failures and all(figure.goal or figure.verdict != "OVER" for figure in self.all)
