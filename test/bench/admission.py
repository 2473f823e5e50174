"""What a review costs beside a server that only parses it: no cluster, one process each, in turns."""
from cluster import free_port
from floor import EchoServer, cpu_seconds, memory_mib, socket_folder
from services import Process, build_folder

ROUNDS = 2
SECONDS = 5
MIB_MAX = 12


def webhook_command(floor, sockets, port, health):
    """No reconciler listens at these addresses, and none is needed to answer."""
    return [build_folder() / "ckaito-webhook", f"--listen=127.0.0.1:{port}", f"--tls-dir={floor.dir}",
            f"--health-address=127.0.0.1:{health}", f"--config-check-url=ipc://{sockets}/config-check",
            f"--rejection-url=ipc://{sockets}/rejection"]


class Side:
    """One of the two servers and what was measured of it."""

    def __init__(self, floor, pid, port, path):
        self.floor, self.pid, self.port, self.path = floor, pid, port, path
        self.runs, self.reviews, self.cpu = [], 0, 0.0

    def run(self):
        before = cpu_seconds(self.pid)
        result = self.floor.load(self.port, self.path, SECONDS)
        self.cpu += cpu_seconds(self.pid) - before
        self.reviews += result["answers"]
        self.runs.append(result)

    def mean(self, what):
        return sum(result[what] for result in self.runs) / len(self.runs)

    def cpu_us(self):
        return self.cpu / self.reviews * 1e6


def add_figures(figures, ours, echo):
    figures.add("admission rate", ours.mean("rate"), "/s", 0.8, "ratio", at_least=True,
                floor=echo.mean("rate"), goal=True)
    figures.add("admission p50", ours.mean("p50_ms"), "ms", floor=echo.mean("p50_ms"))
    figures.add("admission p99", ours.mean("p99_ms"), "ms", 0.8, floor=echo.mean("p99_ms"), goal=True)
    figures.add("admission CPU per review", ours.cpu_us(), "us", 1.3, "ratio", floor=echo.cpu_us(), goal=True)
    figures.add(f"admission RSS after {ours.reviews} reviews", memory_mib(ours.pid), "MiB", MIB_MAX,
                floor=memory_mib(echo.pid), goal=True)


def measure(figures, floor):
    """/validate of the tuning example: 8 keep-alive TLS connections, the server with its default of 2 threads."""
    port, health = free_port(), free_port()
    with socket_folder() as sockets, EchoServer(floor) as server:
        webhook = Process("webhook", webhook_command(floor, sockets, port, health), floor.dir / "webhook.log", health)
        webhook.start()
        try:
            webhook.wait_ready()
            ours = Side(floor, webhook.child.pid, port, "/validate")
            echo = Side(floor, server.pid, server.port, "/")
            for _ in range(ROUNDS):
                echo.run()
                ours.run()
            add_figures(figures, ours, echo)
        finally:
            webhook.stop()
