"""What passes between the services and the API server: nothing while idle, little time when something is created."""
import collections
import concurrent.futures
import copy
import datetime
import time

from audit import OURS, AuditLog, Ledger
from cluster import NotYet, wait_for
from figures import percentile
from workspaces import example

IDLE_SECONDS = 60
RATE = 10  # creates a second
WORKSPACES = 200
BARE_CLAIMS = 100
CLIENT_THREADS = 4
P99_MS_MAX = 50
GONE_SECONDS = 60
NAMESPACE = "bench"

WORKSPACE_LABEL, NAMESPACE_LABEL = "kaito.sh/workspace", "kaito.sh/workspacenamespace"


# --- idle

def measure_idle(figures, cluster, services):
    """Writes by the services' accounts in a minute in which nobody asks for anything."""
    log = AuditLog(cluster)
    before = {process.name: process.cpu_seconds() for process in services}
    time.sleep(IDLE_SECONDS)
    cluster.list("namespace")  # so that a log that is not written shows
    if not log.events():
        raise RuntimeError("the API server's audit log stays empty: nothing was proved")
    writes = log.writes()
    figures.add(f"API writes in {IDLE_SECONDS} s idle", len(writes), "writes", 0,
                explain=lambda: [" ".join(map(str, write)) for write in writes[:10]])
    for process in services:
        spent = process.cpu_seconds() - before[process.name]
        figures.add(f"CPU {process.name} in {IDLE_SECONDS} s idle", spent * 1000, "ms")


# --- create to NodeClaim

class Arrivals(Ledger):
    """When each NodeClaim's ADDED event came, by Workspace, or by its own name where it has none."""

    def __init__(self, cluster):
        self.at = {}
        super().__init__(cluster, "nodeclaim")

    def take(self, event):
        now = time.monotonic()
        if event["type"] == "ADDED":
            metadata = event["object"]["metadata"]
            self.at.setdefault(metadata.get("labels", {}).get(WORKSPACE_LABEL, metadata["name"]), now)
        super().take(event)

    def wait(self, names):
        def all_there():
            missing = [name for name in names if name not in self.at]
            if missing:
                raise NotYet(f"{len(missing)} NodeClaims, among them of {missing[0]}")
            return True
        wait_for(all_there, 30, f"{len(names)} NodeClaims")


def paced(count, function):
    """Calls function(0), function(1), ... RATE times a second, done or not what came before. Their results."""
    begin = time.monotonic() + 0.2

    def one(ordinal):
        time.sleep(max(0, begin + ordinal / RATE - time.monotonic()))
        return function(ordinal)
    with concurrent.futures.ThreadPoolExecutor(CLIENT_THREADS) as pool:
        return list(pool.map(one, range(count)))


def bare_claim(name):
    """A NodeClaim of a class that nobody serves."""
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": name}, "spec": {
        "nodeClassRef": {"group": "bench.ckaito.sh", "kind": "BenchNodeClass", "name": "default"},
        "requirements": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}}


def floor_latencies(cluster, arrivals):
    """From before the POST of a bare NodeClaim to its event: one write and one watch event."""
    def create(ordinal):
        name, begin = f"floor-{ordinal:03}", time.monotonic()
        cluster.create("nodeclaim", None, bare_claim(name))
        return name, begin
    begun = dict(paced(BARE_CLAIMS, create))
    arrivals.wait(begun)
    for name in begun:
        cluster.delete("nodeclaim", None, name)
    return [(arrivals.at[name] - begin) * 1000 for name, begin in begun.items()]


def create_latencies(cluster, arrivals):
    """(from the create call's return to the NodeClaim's event, the create calls themselves), in ms.

    Each Workspace selects nodes by a label of its own, so that none takes another's."""
    body = example(cluster, "tuning-phi-3", "x", "v1beta1")

    def create(ordinal):
        own = copy.deepcopy(body)
        own["metadata"]["name"] = name = f"bench-{ordinal:03}"
        own["resource"]["labelSelector"]["matchLabels"] = {"app": name}
        begin = time.monotonic()
        cluster.create("workspace", NAMESPACE, own)
        return name, begin, time.monotonic()
    made = paced(WORKSPACES, create)
    arrivals.wait([name for name, _, _ in made])
    return ([(arrivals.at[name] - end) * 1000 for name, _, end in made],
            [(end - begin) * 1000 for _, begin, end in made])


def delete_all(cluster):
    """Seconds from the request to the last Workspace and NodeClaim gone."""
    begin = time.monotonic()
    cluster.request("DELETE", cluster.path("workspace", NAMESPACE))

    def gone():
        left = cluster.list("workspace", NAMESPACE) + cluster.list("nodeclaim", **{NAMESPACE_LABEL: NAMESPACE})
        if left:
            raise NotYet(f"{len(left)} Workspaces and NodeClaims")
        return True
    wait_for(gone, GONE_SECONDS, f"{WORKSPACES} Workspaces gone", every=0.2)
    return time.monotonic() - begin


def calls_by_time(log):
    """Where the API server spent its time for the services: a line for each of the dearest kinds of call."""
    calls = collections.defaultdict(list)
    for event in log.events():
        account = event["user"]["username"]
        if account.startswith(OURS) and event["verb"] != "watch":
            reference = event.get("objectRef", {})
            begin, end = (datetime.datetime.fromisoformat(event[when].replace("Z", "+00:00"))
                          for when in ("requestReceivedTimestamp", "stageTimestamp"))
            kind = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
            calls[account.removeprefix(OURS), event["verb"], kind].append((end - begin).total_seconds() * 1000)
    dearest = sorted(calls.items(), key=lambda item: -sum(item[1]))[:12]
    return [f"{len(times):5} calls, p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms: "
            + " ".join(what) for what, times in dearest]


def measure_create(figures, cluster):
    """The nodes of these Workspaces stay pending, as they do for minutes in a cloud."""
    cluster.create("namespace", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    arrivals = Arrivals(cluster)
    floor = floor_latencies(cluster, arrivals)
    log = AuditLog(cluster)
    latencies, calls = create_latencies(cluster, arrivals)
    arrivals.stopping = True
    figures.add("create call (admission included) p50", percentile(calls, 0.5), "ms")
    figures.add("create to NodeClaim p50", percentile(latencies, 0.5), "ms", floor=percentile(floor, 0.5))
    figures.add("create to NodeClaim p99", percentile(latencies, 0.99), "ms", P99_MS_MAX, floor=percentile(floor, 0.99),
                explain=lambda: calls_by_time(log))
    figures.add(f"{WORKSPACES} Workspaces deleted and gone", delete_all(cluster), "s")
