"""Processes that die, in the middle of everything."""
import signal
import time

from audit import AuditLog
from cases import case
from cluster import NotYet, condition, wait_for
from services import THREE
from workspaces import FINALIZER, claim_name


def killed_all_the_way(world, process):
    """A Workspace from creation to its end while a process is killed every 0.6 s: one claim, one node, no more."""
    cluster, namespace = world.cluster, world.namespace(f"kill-{process}")
    uid = world.create(namespace)["metadata"]["uid"]

    def shoot(until, timeout, what):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            world.services[process].kill(signal.SIGKILL)
            next_shot = time.monotonic() + 0.6
            while time.monotonic() < next_shot:
                if until():
                    return
                time.sleep(0.05)
        raise AssertionError(f"{what}: not within {timeout} s while {process} is killed again and again")

    shoot(lambda: condition(cluster.get("workspace", namespace, "ws"), "ResourceReady").get("status") == "True",
          30, "ResourceReady")
    cluster.wait_condition(namespace, "ws")
    cluster.delete("workspace", namespace, "ws")
    shoot(lambda: cluster.get("workspace", namespace, "ws") is None, 30, "gone")
    cluster.wait_gone(namespace, "ws")
    for ledger in (world.claims, world.nodes):
        assert ledger.born.count(claim_name(uid, 0)) == 1, (ledger.kind, ledger.born[-4:])
        assert claim_name(uid, 1) not in ledger.born, ledger.kind
    world.services.wait_ready()


@case
def reconciler_killed_again_and_again(world):
    """SIGKILL of the reconciler every 0.6 s delays a Workspace and changes nothing else."""
    killed_all_the_way(world, "reconciler")


@case
def provisioner_killed_again_and_again(world):
    """SIGKILL of the provisioner every 0.6 s delays a Workspace and changes nothing else."""
    killed_all_the_way(world, "provisioner")


@case
def webhook_killed_again_and_again(world):
    """SIGKILL of the webhook every 0.6 s does not touch a Workspace that is admitted."""
    killed_all_the_way(world, "webhook")


@case
def restart_changes_nothing(world):
    """SIGTERM ends each service with status 0; started again, it is ready at once and writes nothing."""
    world.examples()
    time.sleep(1)
    log = AuditLog(world.cluster)
    for name in THREE:
        process = world.services[name]
        status = process.stop(signal.SIGTERM)
        assert status == 0, f"{name} ended with status {status}: {process.last_words()}"
        process.start()
        process.wait_ready(10)
    time.sleep(2)
    assert not log.writes(), log.writes()


@case
def apiserver_killed_in_the_middle(world):
    """The API server dies while nodes come and returns 2 s later: the services live through it and go on."""
    cluster, namespace = world.cluster, world.namespace("apiserver")
    uid = world.create(namespace)["metadata"]["uid"]
    world.wait_claims(namespace)
    starts = {process.name: process.starts for process in world.services}
    cluster.script("restart-apiserver.sh", cluster.dir, 2)
    cluster.wait_condition(namespace, "ws", timeout=60)
    assert [c["metadata"]["name"] for c in cluster.claims_of(namespace, "ws")] == [claim_name(uid, 0)]
    assert {process.name: process.starts for process in world.services} == starts, "a service did not live through it"
    world.services.wait_ready(30)
    cluster.delete("workspace", namespace, "ws")
    cluster.wait_gone(namespace, "ws")


@case
def deletion_waits_for_the_provisioner(world):
    """No provisioner while a Workspace is deleted: it stays, says so, and goes when the provisioner is back."""
    cluster, namespace, provisioner = world.cluster, world.namespace("waits"), world.services["provisioner"]
    world.create(namespace)
    cluster.wait_condition(namespace, "ws", "ResourceReady")
    provisioner.stop(signal.SIGKILL)
    try:
        cluster.delete("workspace", namespace, "ws")

        def said():
            now = condition(cluster.get("workspace", namespace, "ws"), "WorkspaceDeleting")
            if now.get("status") != "True":
                raise NotYet(str(now))
            return True
        wait_for(said, 10, "WorkspaceDeleting")
        time.sleep(3)
        workspace = cluster.get("workspace", namespace, "ws")
        assert workspace and FINALIZER in workspace["metadata"]["finalizers"]
        assert len(cluster.claims_of(namespace, "ws")) == 1
    finally:
        provisioner.start()
    provisioner.wait_ready()
    cluster.wait_gone(namespace, "ws", 60)
