"""Before the product is installed: the services wait, say for what, and begin by themselves."""
import time

from cases import case
from cluster import NotYet, wait_for

CRDS = {"reconciler": "workspaces", "provisioner": "nodeclaims"}


@case
def missing_crds_are_named(world):
    """Without the CRDs the services run, are not ready, and /readyz names what is missing."""
    for name, plural in CRDS.items():
        process = world.services[name]

        def named(process=process, plural=plural):
            status, text = process.probe()
            if status != 503 or plural not in text:
                raise NotYet(f"{status} {text.strip()}")
            return True
        wait_for(named, 10, f"/readyz of {name} names {plural}")
        status, _ = process.probe("/healthz")
        assert status == 200, f"/healthz of {name}: {status}"


@case
def waiting_is_no_busy_loop(world):
    """Five seconds of waiting for CRDs cost next to no CPU."""
    before = {process.name: process.cpu_seconds() for process in world.services}
    time.sleep(5)
    for process in world.services:
        spent = process.cpu_seconds() - before[process.name]
        assert spent < 0.25, f"{process.name} used {spent:.2f} s of CPU in 5 s"
        assert process.starts == 1, f"{process.name} was started {process.starts} times"


@case
def installing_makes_them_ready(world):
    """Once the CRDs are there, every service becomes ready without a restart."""
    world.cluster.install()
    world.services.wait_ready(40)
    world.services.wait_admission()
    assert all(process.starts == 1 for process in world.services)
    world.open_ledgers()
