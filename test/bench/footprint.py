"""What the services take: bytes on disk, time to start, memory."""
import statistics
import time

from cluster import wait_for
from floor import EchoServer, largest_mappings, memory_mib, run
from services import THREE, build_folder

SIZE_MIB_MAX = 3
START_MS_MAX = 100
STARTS = 7
SETTLE_SECONDS = 10
RSS_MIB_MAX = {"webhook": 12, "reconciler": 24, "provisioner": 24}


def measure_size(figures, folder):
    """The three programs as they are shipped: stripped."""
    total = 0
    for name in THREE:
        stripped = folder / f"{name}.stripped"
        run("strip", "-o", stripped, build_folder() / f"ckaito-{name}")
        total += stripped.stat().st_size
        figures.add(f"size {name}", stripped.stat().st_size / 2**20, "MiB")
    figures.add("size of the three", total / 2**20, "MiB", SIZE_MIB_MAX)


def milliseconds_to_ready(process):
    """From before the fork to the first 200 of /readyz, asked every millisecond."""
    process.stop()
    begin = time.monotonic()
    process.start()
    wait_for(lambda: process.probe()[0] == 200, 20, f"{process.name} ready", every=0.001)
    return (time.monotonic() - begin) * 1000


def milliseconds_of_curl(cluster):
    """One request to the API server by a process that was not there before."""
    begin = time.monotonic()
    run("curl", "-sf", "--cacert", cluster.dir / "pki" / "ca.crt", f"https://127.0.0.1:{cluster.port}/readyz")
    return (time.monotonic() - begin) * 1000


def measure_start(figures, cluster, services):
    """Each service in turn, while the others run. The floor is one HTTPS request by a new curl process."""
    floor = statistics.median(milliseconds_of_curl(cluster) for _ in range(STARTS))
    for process in services:
        median = statistics.median(milliseconds_to_ready(process) for _ in range(STARTS))
        figures.add(f"start {process.name}", median, "ms", START_MS_MAX, floor=floor)


def measure_memory(figures, floor, services):
    """All three started anew beside what exists already. The floor is a bare TLS server of the same library."""
    for process in services:
        process.stop()
        process.start()
    services.wait_ready()
    with EchoServer(floor) as server:
        time.sleep(SETTLE_SECONDS)
        floors = {"Rss": memory_mib(server.pid), "Pss": memory_mib(server.pid, "Pss", "smaps_rollup")}
        for process in services:
            pid = process.child.pid
            figures.add(f"memory {process.name} RSS", memory_mib(pid), "MiB", RSS_MIB_MAX[process.name],
                        floor=floors["Rss"], explain=lambda pid=pid: largest_mappings(pid))
            figures.add(f"memory {process.name} PSS", memory_mib(pid, "Pss", "smaps_rollup"), "MiB",
                        floor=floors["Pss"])
