"""Several reconcilers and provisioners that share the work, as they come, go and die."""
import concurrent.futures
import contextlib
import signal
import threading
import time

from cases import case
from cluster import NotYet, free_port, wait_for
from services import Process, Services, build_folder
from workspaces import claim_name

MOST = 3  # replicas of each
FAILOVER = 20  # seconds; the aim is 5 (docs/scaling.md), the rest is for a slow machine


class Replicas(Services):
    """Up to MOST reconcilers and provisioners, none of them started; the usual webhook is not among them."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.processes = {}
        for number in range(MOST):
            for name in ("reconciler", "provisioner"):
                self.processes[f"{name}-{number}"] = self.replica(name, number)

    def replica(self, name, number):
        health = free_port()
        command = [build_folder() / f"ckaito-{name}", f"--health-address=127.0.0.1:{health}", "--replicas-lease",
                   *getattr(self, f"{name}_flags")(), self.kubeconfig_flag(name), *self.url_flags(name, number)]
        return Process(f"{name}-{number}", command, self.dir / "log" / f"{name}-{number}.log", health)

    def url(self, way, number):
        return f"ipc://{self.sockets}/{way}-{number}"

    def url_flags(self, name, number):
        """A provisioner has its own URLs, a reconciler knows those of all provisioners."""
        if name == "provisioner":
            return [f"--{way}-url={self.url(way, number)}" for way in ("demand", "state")]
        return [f"--{way}-url=" + ",".join(self.url(way, i) for i in range(MOST)) for way in ("demand", "state")] + \
            [f"--{way}-url={self.url(way, number)}" for way in ("config-check", "rejection")]

    def __enter__(self):
        return self

    def scale(self, count, number=signal.SIGTERM):
        """So many of each run from now on."""
        for name, process in self.processes.items():
            wanted = int(name.rsplit("-", 1)[1]) < count
            if wanted and not process.wanted:
                process.start()
            elif not wanted and process.wanted:
                status = process.stop(number)
                assert status == (0 if number == signal.SIGTERM else -number), f"{name} ended with status {status}"

    def running(self):
        return [process for process in self if process.wanted]


@contextlib.contextmanager
def replicas(world):
    """In the place of the world's one reconciler and one provisioner."""
    usual = [world.services[name] for name in ("reconciler", "provisioner")]
    for process in usual:
        process.stop()
    try:
        with Replicas(world.cluster) as services:
            yield services
    finally:
        for process in usual:
            process.start()
        world.services.wait_ready()


@contextlib.contextmanager
def shooting(services):
    """Kills one running replica after another; each comes back as a new one."""
    done = threading.Event()

    def shoot():
        turn = 0
        while not done.wait(0.7):
            targets = services.running()
            targets[turn % len(targets)].kill(signal.SIGKILL)
            turn += 1
    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        yield
    finally:
        done.set()
        shooter.join()


def create_some(world, namespace, numbers):
    """Name -> UID."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda i: world.create(namespace, name=f"ws-{i}"), numbers)
        return {body["metadata"]["name"]: body["metadata"]["uid"] for body in made}


def one_machine_each(world, uids):
    """Each Workspace got one claim and one node, once, and never a second one."""
    for ledger in (world.claims, world.nodes):
        for name, uid in uids.items():
            assert ledger.born.count(claim_name(uid, 0)) == 1, (ledger.kind, name, ledger.born.count(claim_name(uid, 0)))
            assert claim_name(uid, 1) not in ledger.born, (ledger.kind, name)


def live_claims(world, namespace):
    return sorted(o["metadata"]["name"] for o in world.cluster.list("nodeclaim", **{
        "kaito.sh/workspacenamespace": namespace}))


@case
def one_three_two_one(world):
    """Replicas going 1, 3, 2, 1 while Workspaces come and go and SIGKILL strikes every 0.7 s: exactly the nodes
    demanded, each bought once."""
    cluster, namespace = world.cluster, world.namespace("replicas")
    with replicas(world) as services:
        services.scale(1)
        uids = create_some(world, namespace, range(10))
        services.scale(3)
        with shooting(services):
            uids |= create_some(world, namespace, range(10, 20))
            time.sleep(3)
        services.scale(2, signal.SIGKILL)
        with shooting(services):
            uids |= create_some(world, namespace, range(20, 30))
            for i in range(0, 30, 3):
                cluster.delete("workspace", namespace, f"ws-{i}")
            time.sleep(3)
        services.scale(1)
        for i in range(30):
            if i % 3 == 0:
                cluster.wait_gone(namespace, f"ws-{i}", timeout=60)
            else:
                cluster.wait_condition(namespace, f"ws-{i}", timeout=60)
        for process in services.running():
            process.wait_ready()
        kept = {name: uid for name, uid in uids.items() if int(name[3:]) % 3}
        assert live_claims(world, namespace) == sorted(claim_name(uid, 0) for uid in kept.values())
        one_machine_each(world, kept)
        for uid in uids.values():
            assert world.claims.born.count(claim_name(uid, 0)) <= 1
        for i in range(30):
            cluster.delete("workspace", namespace, f"ws-{i}")
        for i in range(30):
            cluster.wait_gone(namespace, f"ws-{i}", timeout=60)


def taken_over(world, services, namespace, number):
    """Half of the replicas end by this signal; Workspaces that come the moment after all get their machine."""
    world.namespace(namespace)
    services.scale(2)
    for process in services.running():
        process.wait_ready()
    time.sleep(2)  # both know of each other
    services.scale(1, number)
    begin = time.monotonic()
    uids = create_some(world, namespace, range(8))

    def claimed():
        missing = {claim_name(uid, 0) for uid in uids.values()} - set(live_claims(world, namespace))
        if missing:
            raise NotYet(f"{len(missing)} of {len(uids)} have no NodeClaim")
        return True
    wait_for(claimed, FAILOVER, "a NodeClaim for each")
    seconds = time.monotonic() - begin
    for name in uids:
        world.cluster.wait_condition(namespace, name)
    one_machine_each(world, uids)
    for name in uids:
        world.cluster.delete("workspace", namespace, name)
    for name in uids:
        world.cluster.wait_gone(namespace, name, timeout=60)
    return seconds


@case
def survivors_take_over(world):
    """After SIGKILL and after SIGTERM of one replica of each, the other does the work of both."""
    with replicas(world) as services:
        killed = taken_over(world, services, "killed", signal.SIGKILL)
        left = taken_over(world, services, "left", signal.SIGTERM)
        print(f"# taken over {killed:.1f} s after SIGKILL, {left:.1f} s after SIGTERM", flush=True)


@case
def leaving_is_quick(world):
    """SIGTERM while NodeDemands wait for provisioners that do not answer: the reconciler ends at once, not at the
    calls' deadline of 5 s. So does a provisioner in the middle of its work."""
    namespace = world.namespace("leaving")

    def leave(process):
        begin = time.monotonic()
        assert process.stop(signal.SIGTERM) == 0
        seconds = time.monotonic() - begin
        print(f"# {process.name} left within {seconds:.2f} s", flush=True)
        assert seconds < 2, f"{process.name}: {seconds:.1f} s"
    with replicas(world) as services:
        reconciler, provisioner = services["reconciler-0"], services["provisioner-0"]
        reconciler.start()
        reconciler.wait_ready()
        time.sleep(1)
        create_some(world, namespace, range(5))
        time.sleep(1)
        leave(reconciler)
        services.scale(1)
        world.wait_claims(namespace, "ws-0")
        leave(provisioner)
    for i in range(5):
        world.cluster.delete("workspace", namespace, f"ws-{i}")
    for i in range(5):
        world.cluster.wait_gone(namespace, f"ws-{i}", timeout=60)
