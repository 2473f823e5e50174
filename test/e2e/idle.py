"""While nothing changes."""
import time

from audit import AuditLog
from cases import case

IDLE_SECONDS = 60


@case(shared=True)
def idle_writes_nothing(world):
    """With two ready Workspaces the services send no write request for a minute (the API server's audit log)."""
    world.examples()
    log = AuditLog(world.cluster)
    before = {process.name: process.cpu_seconds() for process in world.services}
    time.sleep(IDLE_SECONDS)
    writes, reads = log.writes(), len(log.events())
    assert reads, "the audit log is empty: nothing was proved"
    assert not writes, f"{len(writes)} writes: {writes[:8]}"
    spent = {process.name: process.cpu_seconds() - before[process.name] for process in world.services}
    assert all(seconds < 1 for seconds in spent.values()), f"CPU seconds: {spent}"
