"""One lane of torture: a cluster of its own, the three services, and proxies between them and the API server."""
import contextlib
import json
import pathlib
import signal
import ssl
import time

import proxy
from audit import Ledger
from cluster import ApiError, Cluster, NotYet, free_port, wait_for
from services import Services
from workspaces import TUNING, claim_name, differences, example, snapshot

NAMESPACE = "default"
KWOK = pathlib.Path(__file__).resolve().parents[1] / "cluster" / "kwok.yaml"


def quick_kwok(path):
    """kwok.yaml with the delays of a rehearsal taken out: torture waits for nothing."""
    text = KWOK.read_text(encoding="utf-8")
    for delay in ("1000", "3000"):
        assert f"durationMilliseconds: {delay}\n" in text or f"durationMilliseconds: {delay}}}" in text, delay
        text = text.replace(f"durationMilliseconds: {delay}", "durationMilliseconds: 50")
    path.write_text(text, encoding="utf-8")
    return path


class Lane:
    """Use as a context manager. `run` is one life of the example, with one fault or none."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.proxies = {}

    def __enter__(self):
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.kwok = quick_kwok(self.folder.with_name(self.folder.name + "-kwok.yaml"))
        self.cluster = Cluster(self.folder, KWOK_CONFIG=str(self.kwok)).__enter__()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if hasattr(self, "services"):
            self.services.__exit__()
        for each in self.proxies.values():
            each.close()
        self.cluster.__exit__()
        self.kwok.unlink(missing_ok=True)

    def start(self):
        cluster = self.cluster
        cluster.install()
        files = {}
        for name in ("reconciler", "provisioner"):
            self.proxies[name] = proxy.Proxy(cluster.port, cluster.tls, token_of(cluster, name))
            files[name] = write_kubeconfig(cluster.dir / f"{name}.proxied", self.proxies[name].server_address[1])
        behind = free_port()
        self.services = Services(cluster, delay="0s", kubeconfigs=files, webhook_port=behind)
        self.services.__enter__()
        self.services.wait_ready(30)
        # The API server asks a proxy that shows the webhook's own certificate.
        folder = self.services.certificates / "webhook"
        trust = ssl.create_default_context(cafile=folder / "ca.crt")
        self.proxies["webhook"] = proxy.Proxy(behind, trust, certificate=(folder / "tls.crt", folder / "tls.key"),
                                              port=int(cluster.ports()["webhook"]))
        self.claims, self.nodes = Ledger(cluster, "nodeclaim"), Ledger(cluster, "node")
        self.body = example(cluster, "tuning-phi-3", TUNING)

    # --- one life

    def counts(self, service):
        """How often the service sent each kind of write since the run began."""
        return {about: count for about, count in self.proxies[service].counts.items()
                if about.split()[0] in proxy.WRITES}

    def run(self, reference, service=None, fault=None):
        """The example from creation until nothing is left. Compares with the undisturbed outcome, or returns it."""
        for each in self.proxies.values():
            each.arm(None)
        for ledger in (self.claims, self.nodes):
            ledger.born.clear()
            ledger.most = len(ledger.live)
        starts = {process.name: process.starts for process in self.services}
        if fault:
            fault.kill = lambda: self.services[service].kill(signal.SIGKILL)
            self.proxies[service].arm(fault)

        uid = self.create()
        self.cluster.wait_condition(NAMESPACE, TUNING, timeout=60)
        outcome = self.settled(reference)
        self.annotate()
        self.cluster.delete("workspace", NAMESPACE, TUNING)
        self.cluster.wait_gone(NAMESPACE, TUNING, 60)

        self.check_ledgers(uid)
        killed = bool(fault and fault.fired.is_set() and fault.mode in proxy.KILLS)
        for process in self.services:
            expected = starts[process.name] + (killed and process.name == service)
            wait_for(lambda p=process, n=expected: p.starts >= n, 5, f"{process.name} started again")
            assert process.starts == expected, f"{process.name} died by itself: {process.last_words()}"
        self.services.wait_ready()
        return outcome

    def create(self):
        """As a user does: once more when the API server could not ask the webhook."""
        path = Cluster.path("workspace", NAMESPACE).replace("v1beta1", self.body["apiVersion"].split("/")[1])

        def accepted():
            try:
                return self.cluster.request("POST", path, self.body)["metadata"]["uid"]
            except ApiError as error:
                if "webhook" not in error.message:
                    raise AssertionError(f"refused: {error}") from error
                raise NotYet(error.message) from error
        return wait_for(accepted, 20, "the Workspace accepted")

    def clean(self):
        """After a failed run: everything goes by force, so that the next run fails on its own account only."""
        for each in self.proxies.values():
            each.arm(None)
        for kind, namespace in (("workspace", NAMESPACE), ("nodeclaim", None), ("node", None), ("job", NAMESPACE)):
            for item in self.cluster.list(kind, namespace):
                name = item["metadata"]["name"]
                self.cluster.delete(kind, namespace, name, propagationPolicy="Background")
                with contextlib.suppress(ApiError):
                    self.cluster.patch(kind, namespace, name, {"metadata": {"finalizers": None}})
        with contextlib.suppress(AssertionError):
            self.cluster.wait_gone(NAMESPACE, TUNING, 20)

    def annotate(self):
        """An update by the user, which asks the webhook again."""
        def accepted():
            self.cluster.patch("workspace", NAMESPACE, TUNING, {"metadata": {"annotations": {"test.example/seen": "1"}}})
            return True
        wait_for(accepted, 20, "the update accepted")

    def settled(self, reference):
        """The outcome, once it is the reference's, or the same for a second."""
        end = time.monotonic() + 10
        before, since = None, time.monotonic()
        while True:
            now = snapshot(self.cluster, NAMESPACE, TUNING)
            if now == reference:
                return now
            if now != before:
                before, since = now, time.monotonic()
            if reference is None and time.monotonic() > since + 1:
                return now
            if time.monotonic() > end:
                raise AssertionError("another end state:\n" + "\n".join(differences(reference or before, now)[:20]))
            time.sleep(0.1)

    def check_ledgers(self, uid):
        """Each ordinal was bought once, nothing was there twice, and nothing is left."""
        expected = [claim_name(uid, 0)]
        for ledger in (self.claims, self.nodes):
            wait_for(lambda ledger=ledger: not ledger.live, 5, f"no {ledger.kind} left")
            assert ledger.relists == 0, "the ledger may have missed something"
            assert ledger.born == expected, f"{ledger.kind}s made: {ledger.born}, expected {expected}"
            assert ledger.most == 1, f"{ledger.most} {ledger.kind}s at once"


def token_of(cluster, name):
    lines = (cluster.dir / "pki" / "tokens.csv").read_text().splitlines()
    return next(line.split(",")[0] for line in lines if line.split(",")[2] == name)


def write_kubeconfig(path, port):
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}]}), encoding="utf-8")
    return path
