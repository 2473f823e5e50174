"""The product's processes beside a test's cluster: started, stopped, killed, and started again when they die."""
import http.client
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from cluster import ROOT, NotYet, free_port, wait_for

PROBE = ROOT / "deploy" / "examples" / "tuning-phi-3.yaml"
THREE = ("reconciler", "provisioner", "webhook")
RESTART_AFTER = 0.05  # seconds, when a process ends by itself


def build_folder():
    return ROOT / "build" / os.environ.get("BUILD", "release")


class Process:
    """One program with its flags. While it is `wanted`, it is started again whenever it ends."""

    def __init__(self, name, command, log, health):
        self.name, self.command, self.log, self.health = name, command, log, health
        self.lock = threading.Lock()
        self.child, self.wanted, self.starts = None, False, 0

    def start(self):
        with self.lock:
            self.wanted = True
            self._spawn()

    def _spawn(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.starts += 1
        threading.Thread(target=self._watch, args=(self.child,), daemon=True).start()

    def _watch(self, child):
        child.wait()
        time.sleep(RESTART_AFTER)
        with self.lock:
            if self.wanted and self.child is child:
                self._spawn()

    def kill(self, number=signal.SIGKILL):
        """Ends the process; it starts again."""
        with self.lock:
            self.child.send_signal(number)
            child = self.child
        child.wait(10)

    def stop(self, number=signal.SIGTERM):
        """Ends the process for good; returns its exit status."""
        with self.lock:
            self.wanted = False
            child = self.child
        if child is None:
            return None
        child.send_signal(number)
        try:
            return child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise AssertionError(f"{self.name} did not end within 10 s of signal {number}") from None

    def probe(self, path="/readyz"):
        """(status, text) of the health port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.health, timeout=2)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def wait_ready(self, timeout=20):
        def ready():
            status, text = self.probe()
            if status != 200:
                raise NotYet(f"{status} {text.strip()}; log: {self.last_words()}")
            return True
        wait_for(ready, timeout, f"{self.name} ready")

    def last_words(self):
        lines = pathlib.Path(self.log).read_text(errors="replace").splitlines()
        return lines[-1][:300] if lines else "(empty)"

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def message_urls(transport, folder):
    """One URL for each way that messages take."""
    names = ("demand", "state", "config-check", "rejection")
    if transport == "ipc":
        return {name: f"ipc://{folder}/{name}" for name in names}
    return {name: f"{transport}://localhost:{free_port()}" for name in names}


def url_flags(name, urls):
    """The flags of one service: it knows only the ways that it takes part in."""
    own = {"webhook": ("config-check", "rejection"), "provisioner": ("demand", "state")}.get(name, urls)
    return [f"--{way}-url={urls[way]}" for way in own]


class Services:
    """Webhook, reconciler and provisioner, or the all-in-one program, against one cluster.

    urls: ipc or tls+tcp, what the three speak over. kubeconfigs: NAME -> file, where something stands between
    that service and the API server. webhook_port: the same for the port at which the API server asks.
    """

    def __init__(self, cluster, urls="ipc", all_in_one=False, delay="1s", kubeconfigs=None, webhook_port=None):
        self.dir, self.delay, self.kubeconfigs = cluster.dir, delay, kubeconfigs or {}
        self.cluster = cluster
        self.webhook_port = webhook_port or cluster.ports()["webhook"]
        self.certificates = cluster.dir / "certs"
        self.sockets = tempfile.mkdtemp(prefix="ckaito-")  # short: the address of a Unix socket ends at 107 bytes
        self.urls = message_urls(urls, self.sockets)
        self.processes = {}
        for name in ("ckaito",) if all_in_one else THREE:
            health = free_port()
            program = build_folder() / (name if all_in_one else f"ckaito-{name}")
            command = [program, f"--health-address=127.0.0.1:{health}"]
            for part in THREE if all_in_one else (name,):
                command += getattr(self, f"{part}_flags")()
            command += [self.kubeconfig_flag(name)] if name != "webhook" else []
            command += [] if all_in_one else url_flags(name, self.urls)
            command += [f"--bus-tls-dir={self.certificates}/bus"] if urls == "tls+tcp" else []
            self.processes[name] = Process(name, command, self.dir / "log" / f"{name}.log", health)

    def webhook_flags(self):
        return [f"--listen=127.0.0.1:{self.webhook_port}", f"--tls-dir={self.certificates}/webhook"]

    def reconciler_flags(self):
        return ["--namespace=ckaito-system", f"--certificate-dir={self.certificates}",
                "--webhook-hosts=127.0.0.1,localhost"]

    def provisioner_flags(self):
        return ["--driver=rehearsal", f"--rehearsal-delay={self.delay}"]

    def kubeconfig_flag(self, name):
        own = self.dir / ("kubeconfig" if name == "ckaito" else f"{name}.kubeconfig")
        return f"--kubeconfig={self.kubeconfigs.get(name, own)}"

    def __getitem__(self, name):
        return self.processes[name]

    def __iter__(self):
        return iter(self.processes.values())

    def __enter__(self):
        for process in self:
            process.start()
        return self

    def __exit__(self, *_):
        for process in self:
            if process.wanted:
                process.stop(signal.SIGKILL)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def wait_ready(self, timeout=20):
        for process in self:
            process.wait_ready(timeout)

    def wait_admission(self):
        """The API server learns of a new certificate authority a moment after it was written."""
        def answers():
            status, text = self.cluster.kubectl("create", "--dry-run=server", "-f", PROBE, check=False)
            if status != 0 and "failed calling webhook" in text:
                raise NotYet(text.strip())
            return True
        wait_for(answers, 15, "an answer of the webhook")
