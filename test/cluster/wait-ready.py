#!/usr/bin/env python3
"""Shows how Workspaces become ready: one line for every condition that changes, until all are done.

usage: wait-ready.py SECONDS KUBECTL... -- NAME...
KUBECTL is the command with its flags. Exit status 1 if a Workspace is not ready after SECONDS.
"""
import json
import subprocess
import sys
import threading
import time


class Watch:
    """The Workspaces as `kubectl get --watch` tells them; a broken watch starts again."""

    def __init__(self, kubectl, names):
        self.kubectl = kubectl
        self.names = names
        self.missing = set(names)
        self.width = max(map(len, names))
        self.seen = {}
        self.process = None
        self.started = time.monotonic()
        self.done = threading.Event()

    def run(self):
        while not self.done.is_set():
            self.process = subprocess.Popen(
                self.kubectl + ["get", "workspaces", "-o", "json", "--watch"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            text = ""
            for line in self.process.stdout:
                text += line
                if line == "}\n":  # kubectl indents everything but the end of an object
                    self.show(json.loads(text))
                    text = ""
            self.process.wait()
            time.sleep(0.3)

    def show(self, item):
        name = item["metadata"]["name"]
        if name not in self.names:
            return
        for condition in item.get("status", {}).get("conditions", []):
            kind, status = condition["type"], condition["status"]
            state = (status, condition.get("reason", ""))
            if self.seen.get((name, kind)) == state:
                continue
            self.seen[name, kind] = state
            reason = f"{state[1]}: {condition.get('message', '')}".rstrip(": ")
            print(f"  {time.strftime('%H:%M:%S')} {time.monotonic() - self.started:5.1f} s  "
                  f"{name:{self.width}}  {kind:18} {status:7} {reason[:150]}", flush=True)
            if kind == "WorkspaceSucceeded":
                (self.missing.discard if status == "True" else self.missing.add)(name)
        if not self.missing:
            self.done.set()


def main():
    if len(sys.argv) < 5 or "--" not in sys.argv:
        sys.exit("usage: wait-ready.py SECONDS KUBECTL... -- NAME...")
    split = sys.argv.index("--")
    watch = Watch(sys.argv[2:split], sys.argv[split + 1:])
    threading.Thread(target=watch.run, daemon=True).start()
    try:
        ready = watch.done.wait(float(sys.argv[1]))
        watch.done.set()
    finally:
        if watch.process:
            watch.process.terminate()
    if not ready:
        sys.exit(f"not ready after {sys.argv[1]} s: {' '.join(sorted(watch.missing))}")


main()
