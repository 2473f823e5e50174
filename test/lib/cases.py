"""End-to-end cases: functions marked with @case, run in the order of their modules."""
import concurrent.futures
import os
import threading

from audit import Ledger
from cluster import EXAMPLES, NotYet, wait_for
from workspaces import INFERENCE, TUNING, example

AT_ONCE = 4


class Case:
    """One test: `function(world)`. A shared one minds no other running beside it."""

    def __init__(self, function, shared):
        self.function, self.shared = function, shared
        self.name = f"e2e/{function.__module__}/{function.__name__}"


CASES = []


def case(function=None, shared=False):
    """Registers a case; its docstring says what must hold."""
    if function is None:
        return lambda real: case(real, shared)
    CASES.append(Case(function, shared))
    return function


def run_all(report, world):
    """Runs what $CKAITO_E2E (a part of a name) selects; neighbours that are shared run side by side.
    Those of the module `boot` always run: without them nothing is installed."""
    wanted = [c for c in CASES if os.environ.get("CKAITO_E2E", "") in c.name or "/boot/" in c.name]
    while wanted:
        count = next((i for i, c in enumerate(wanted) if not c.shared), len(wanted)) or 1
        batch, wanted = wanted[:count], wanted[count:]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for one in batch:
                pool.submit(report.run, one.name, one.function, world)


class World:
    """What every case finds: a cluster with the product installed, its three services, a namespace on request."""

    def __init__(self, cluster, services):
        self.cluster, self.services = cluster, services
        self.claims, self.nodes = None, None  # ledgers
        self.lock = threading.Lock()
        self.applied = False

    def open_ledgers(self):
        self.claims, self.nodes = Ledger(self.cluster, "nodeclaim"), Ledger(self.cluster, "node")

    def examples(self):
        """Both examples of deploy/examples, applied by kubectl and ready, in the namespace default."""
        with self.lock:
            if not self.applied:
                self.cluster.kubectl("apply", "-f", EXAMPLES)
                self.applied = True
        return [self.cluster.wait_condition("default", name) for name in (TUNING, INFERENCE)]

    def namespace(self, name):
        self.cluster.create("namespace", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def create(self, namespace, file="tuning-phi-3", name="ws", version=None):
        """A Workspace made from an example, through the API version that it names."""
        body = example(self.cluster, file, name, version)
        path = self.cluster.path("workspace", namespace).replace("v1beta1", body["apiVersion"].split("/")[1])
        return self.cluster.request("POST", path, body)

    def wait_claims(self, namespace, name="ws", count=1, timeout=15):
        def there():
            claims = self.cluster.claims_of(namespace, name)
            if len(claims) < count:
                raise NotYet(f"{len(claims)} NodeClaims")
            return claims
        return wait_for(there, timeout, f"{count} NodeClaims of {namespace}/{name}")
