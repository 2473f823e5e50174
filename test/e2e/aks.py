"""The aks driver against a fake of Azure, with NodeClaims as a stock KAITO writes them. What was bought and released
is read from the fake's ledger, never from the product's own word."""
import contextlib
import signal
import sys
import time

from cases import case
from cluster import ROOT, NotYet, condition, free_port, is_true, wait_for
from services import Process, build_folder, message_urls, url_flags

sys.path.append(str(ROOT / "test" / "azure"))
from fake import FAILURES, Fake, node_manifest  # noqa: E402

SWEEP_S = 120  # no machine may be lost for longer
RETRY = "ckaito.sh/launch-retry-after"
SIZE = "Standard_NC24ads_A100_v4"

# failure on demand -> reason and status of the condition Launched
CONDITIONS = {
    "quota": ("QuotaExceeded", "Unknown"), "capacity": ("InsufficientCapacity", "Unknown"),
    "overconstrained": ("InsufficientCapacity", "Unknown"), "size": ("InstanceTypeUnavailable", "False"),
    "policy": ("PolicyDenied", "False"), "throttling": ("Throttled", "Unknown"),
    "conflict": ("OperationInProgress", "Unknown"), "forbidden": ("Unauthorized", "Unknown"),
    "broken": ("CloudUnavailable", "Unknown"),
}


def claim_manifest(name, labels):
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
            "metadata": {"name": name, "labels": {"karpenter.sh/nodepool": "kaito", **labels},
                         "annotations": {"karpenter.sh/do-not-disrupt": "true"}},
            "spec": {"nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
                     "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
                     "requirements": [{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["kaito"]},
                                      {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [SIZE]},
                                      {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}],
                     "resources": {"requests": {"storage": "87Gi"}}}}


class Aks:
    """Azure, and a provisioner that fulfils with it in the place of the one that the other cases use."""

    def __init__(self, world, *flags, managed_identity=False):
        self.cluster, self.world = world.cluster, world
        self.azure = Fake(self.cluster.dir / "azure", self.join, self.leave)
        self.extra, self.managed_identity = flags, managed_identity

    def join(self, pool):
        self.cluster.create("node", None, node_manifest(pool))

    def leave(self, pool):
        self.cluster.delete("node", None, pool.machine)

    def __enter__(self):
        self.world.services["provisioner"].stop()
        self.azure.__enter__()
        health = free_port()
        command = [build_folder() / "ckaito-provisioner", f"--health-address=127.0.0.1:{health}",
                   f"--kubeconfig={self.cluster.dir}/provisioner.kubeconfig", "--azure-poll=200ms",
                   *url_flags("provisioner", message_urls("ipc", self.world.services.sockets)),
                   *self.azure.flags(self.managed_identity), *self.extra]
        self.process = Process("provisioner", command, self.cluster.dir / "log" / "provisioner-aks.log", health)
        self.process.start()
        self.process.wait_ready()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(AssertionError):
            self.process.stop()
        self.azure.__exit__()
        self.world.services["provisioner"].start()
        self.world.services["provisioner"].wait_ready()

    def create(self, name, **labels):
        labels = labels or {"kaito.sh/workspace": "w", "kaito.sh/workspacenamespace": "default"}
        return self.cluster.create("nodeclaim", None, claim_manifest(name, labels))

    def claim(self, name):
        return self.cluster.get("nodeclaim", None, name)

    def wait_ready(self, name, timeout=30):
        def ready():
            claim = self.claim(name)
            if not is_true(claim, "Ready"):
                raise NotYet(str(claim.get("status", {}).get("conditions")))
            return claim
        return wait_for(ready, timeout, f"NodeClaim {name} Ready")

    def wait_reason(self, name, reason, timeout=20):
        def said():
            launched = condition(self.claim(name), "Launched")
            if launched.get("reason") != reason:
                raise NotYet(str(launched))
            return launched
        return wait_for(said, timeout, f"NodeClaim {name} says {reason}")

    def delete(self, *names, timeout=30):
        for name in names:
            self.cluster.delete("nodeclaim", None, name)
        for name in names:
            wait_for(lambda name=name: self.claim(name) is None, timeout, f"NodeClaim {name} gone")

    def wait_nothing_paid(self, timeout=SWEEP_S):
        wait_for(lambda: not self.azure.pools and not self.azure.running(), timeout, "every machine released")


def pod_on(node):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server", "namespace": "default"},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}],
                     "containers": [{"name": "c", "image": "example.org/server:1"}]}}


@case
def aks_whole_life(world):
    """Created, ready, drained, deleted: one machine bought, the same one released, its pod evicted before."""
    with Aks(world) as aks:
        cluster = aks.cluster
        aks.create("ws1a2b3c4d5")
        claim = aks.wait_ready("ws1a2b3c4d5")
        node = cluster.get("node", None, claim["status"]["nodeName"])
        assert claim["status"]["providerID"] == node["spec"]["providerID"]
        assert node["metadata"]["labels"]["karpenter.sh/registered"] == "true"
        assert node["metadata"]["labels"]["kaito.sh/machine-type"] == "gpu"
        assert node["metadata"]["ownerReferences"][0]["uid"] == claim["metadata"]["uid"]
        assert {"key": "sku", "value": "gpu", "effect": "NoSchedule"} in node["spec"]["taints"]
        assert aks.azure.count("PUT", "ws1a2b3c4d5") == 1
        cluster.create("pod", "default", pod_on(node["metadata"]["name"]))
        wait_for(lambda: is_true(cluster.get("pod", "default", "server"), "Ready"), 20, "the pod runs")
        aks.delete("ws1a2b3c4d5")
        assert cluster.get("pod", "default", "server") is None, "the machine went before its pod"
        assert [entry["event"] for entry in aks.azure.entries()] == ["bought", "released"]
        wait_for(lambda: cluster.get("node", None, node["metadata"]["name"]) is None, 20, "the node gone")


@case
def aks_managed_identity_and_class_only_claim(world):
    """A token of the metadata service; a claim without a Workspace's label lives and is deleted like the others."""
    with Aks(world, managed_identity=True) as aks:
        aks.create("classonly1", team="research")
        aks.wait_ready("classonly1")
        aks.delete("classonly1")
        aks.wait_nothing_paid(5)


@case
def aks_each_failure_is_told(world):
    """Each refusal of Azure has its reason on the claim, buys nothing, is not hammered, and heals when it is over."""
    assert CONDITIONS.keys() == FAILURES.keys()
    with Aks(world) as aks:
        names = {failure: f"fail{number}" for number, failure in enumerate(CONDITIONS)}
        for failure, (reason, status) in CONDITIONS.items():
            aks.azure.set(failure=failure)
            aks.create(names[failure])
            launched = aks.wait_reason(names[failure], reason)
            assert launched["status"] == status, launched
            assert FAILURES[failure][1] in launched["message"], launched
            assert RETRY in aks.claim(names[failure])["metadata"]["annotations"]
        wait_for(lambda: not aks.azure.pools, 10, "failed pools deleted")
        assert not aks.azure.entries(), "a machine was bought"
        for failure, name in names.items():
            assert aks.azure.count("PUT", name) <= 2, (failure, aks.azure.count("PUT", name))
        aks.azure.reset()
        for name in names.values():
            aks.cluster.patch("nodeclaim", None, name, {"metadata": {"annotations": {RETRY: None}}})
        for name in names.values():
            aks.wait_ready(name)
        aks.delete(*names.values())
        aks.wait_nothing_paid(5)
        assert all(aks.azure.bought(name) == 1 for name in names.values()), aks.azure.entries()


@case
def aks_identity_refused(world):
    """No token: the claim says that the identity is not accepted."""
    with Aks(world) as aks:
        aks.azure.set(refuse_identity=True)
        aks.azure.tokens.clear()
        aks.create("noidentity")
        launched = aks.wait_reason("noidentity", "Unauthorized")
        assert "AADSTS700213" in launched["message"] and "federated" in launched["message"], launched
        aks.azure.reset()
        aks.delete("noidentity")
        assert not aks.azure.entries()


@case
def aks_machine_never_joins(world):
    """A machine that does not become a node within the deadline is given back, and the claim says so."""
    with Aks(world, "--launch-deadline=2s") as aks:
        aks.azure.set(never_join=True)
        aks.create("neverjoins")
        launched = aks.wait_reason("neverjoins", "LaunchTimeout")
        assert launched["status"] == "Unknown", launched
        aks.wait_nothing_paid(10)
        assert aks.azure.bought("neverjoins") == 1
        aks.delete("neverjoins")


@case
def aks_killed_in_the_middle_of_the_put(world):
    """SIGKILL between the request for a machine and its answer, and the claim deleted meanwhile, with its finalizer
    or by force without it: within two minutes of the restart nothing is paid for."""
    with Aks(world) as aks:
        aks.azure.set(hold_put_s=3, create_s=1)
        for name in ("kept", "forced"):
            aks.create(name)
        wait_for(lambda: {"kept", "forced"} <= aks.azure.pools.keys(), 10, "Azure has both requests")
        aks.process.stop(signal.SIGKILL)
        for name in ("kept", "forced"):
            aks.cluster.delete("nodeclaim", None, name)
        aks.cluster.patch("nodeclaim", None, "forced", {"metadata": {"finalizers": None}})
        assert aks.claim("forced") is None and aks.claim("kept") is not None
        wait_for(lambda: aks.azure.running() == ["forced", "kept"], 10, "both machines run for nobody")
        aks.process.start()
        begin = time.monotonic()
        aks.wait_nothing_paid(SWEEP_S)
        wait_for(lambda: aks.claim("kept") is None, 10, "the claim gone")
        assert time.monotonic() - begin < SWEEP_S
        assert [aks.azure.bought(name) for name in ("kept", "forced")] == [1, 1]


@case
def aks_killed_again_and_again(world):
    """SIGKILL every 0.4 s from creation to deletion: one machine bought, one released."""
    with Aks(world) as aks:
        aks.azure.set(create_s=1, delete_s=1)

        def shoot(until, what):
            end = time.monotonic() + 60
            while not until():
                assert time.monotonic() < end, what
                aks.process.kill(signal.SIGKILL)
                time.sleep(0.4)
        aks.create("shotdead")
        shoot(lambda: is_true(aks.claim("shotdead"), "Ready"), "never ready")
        aks.cluster.delete("nodeclaim", None, "shotdead")
        shoot(lambda: aks.claim("shotdead") is None, "never gone")
        assert [entry["event"] for entry in aks.azure.entries()] == ["bought", "released"]


@case
def aks_machine_taken_away(world):
    """Pool and node deleted behind our back: the claim goes, so that whoever wants the machine asks for another."""
    with Aks(world) as aks:
        aks.create("takenaway")
        aks.wait_ready("takenaway")
        aks.azure.delete_pool("takenaway", None)
        wait_for(lambda: aks.claim("takenaway") is None, 30, "the claim gone")
        aks.wait_nothing_paid(5)
