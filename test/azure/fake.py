#!/usr/bin/env python3
"""A fake of Azure over real HTTPS: agent pools of one AKS cluster in Azure Resource Manager, the authority that
exchanges a service account's token, the metadata service of a machine. Each failure on demand, latency, throttling,
and a ledger of machines bought and released.

In a test: `with Fake(folder, on_machine=..., off_machine=...) as azure`. By hand: `fake.py DIR [--kubeconfig FILE]`
prints the flags for the provisioner; POST a JSON object of settings to /control (see Settings).
"""
import contextlib
import http.server
import itertools
import json
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
GROUP, CLUSTER, TENANT, CLIENT = "rg", "aks", "tenant", "client"
POOLS = (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ContainerService"
         f"/managedClusters/{CLUSTER}/agentPools")
OPERATIONS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerService/locations/eastus/operations"
API_VERSION = "2024-01-01"
TOKEN_LIFE_S = 3600

# name -> (status of the refusal, or 0 for an operation that is accepted and fails; error code; message)
FAILURES = {
    "quota": (400, "ErrCode_InsufficientVCPUQuota",
              "Insufficient vcpu quota requested 24, remaining 0 for family standardNCADSA100v4Family for region eastus."),
    "capacity": (0, "AllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM "
                                        "size in this region."),
    "overconstrained": (0, "OverconstrainedAllocationRequest", "The request has too many constraints."),
    "size": (400, "BadRequest", "The VM size of Standard_X is not allowed in your subscription in location 'eastus'."),
    "policy": (403, "RequestDisallowedByPolicy", "Resource 'ws1' was disallowed by policy 'no-gpus'."),
    "throttling": (429, "TooManyRequests", "The request is being throttled."),
    "conflict": (409, "OperationNotAllowed",
                 "Operation is not allowed because there's an in progress create node pool operation."),
    "forbidden": (403, "AuthorizationFailed", "The client does not have authorization to perform action "
                                              "'Microsoft.ContainerService/managedClusters/agentPools/write'."),
    "broken": (500, "InternalServerError", "Something went wrong."),
}


class Settings:
    """What the fake does from now on."""

    def __init__(self):
        self.failure = None      # a name of FAILURES: how every creation ends
        self.create_s = 0.3      # from the acceptance of a pool to its machine
        self.delete_s = 0.3
        self.hold_put_s = 0.0    # the pool is there at once; the answer to its creation comes so much later
        self.retry_after = None  # of refusals
        self.never_join = False  # machines run and never become nodes
        self.refuse_identity = False


class Pool:
    """One agent pool: its body as last put, and what becomes of it when."""

    def __init__(self, name, body, due, failure):
        self.name, self.body, self.due, self.failure = name, body, due, failure
        self.state, self.operation, self.machine = "Creating", None, None

    def resource(self):
        return {"id": f"{POOLS}/{self.name}", "name": self.name,
                "type": "Microsoft.ContainerService/managedClusters/agentPools",
                "properties": {**self.body["properties"], "mode": "User", "provisioningState": self.state}}


def error_body(code, message, wrapped=True):
    error = {"code": code, "message": message}
    return {"error": error} if wrapped else {**error, "details": None, "subcode": ""}


class Fake:
    """The whole of Azure. Times run by themselves: a thread brings pools to their due state."""

    def __init__(self, folder, on_machine=None, off_machine=None):
        self.dir = pathlib.Path(folder).resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.on_machine, self.off_machine = on_machine or (lambda *_: None), off_machine or (lambda *_: None)
        self.lock = threading.RLock()
        self.settings, self.pools, self.operations, self.tokens = Settings(), {}, {}, {}
        self.numbers = itertools.count(1)
        self.calls = []  # (method, path without query, status)
        self.stopping = threading.Event()
        self.ledger = self.dir / "ledger.jsonl"
        self.ledger.write_text("")
        self.assertion = self.dir / "service-account-token"
        self.assertion.write_text("header.payload.signature\n")

    # --- life cycle

    def __enter__(self):
        make_certificate(self.dir)
        self.server = Server(("127.0.0.1", 0), self, self.dir)
        self.metadata = Server(("127.0.0.1", 0), self, None)
        for target in (self.server.serve_forever, self.metadata.serve_forever, self._advance):
            threading.Thread(target=target, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for server in (self.server, self.metadata):
            server.shutdown()
            server.server_close()

    @property
    def url(self):
        return f"https://localhost:{self.server.server_address[1]}"

    def flags(self, managed_identity=False):
        """The provisioner's flags for this Azure."""
        flags = ["--driver=aks", f"--arm-endpoint={self.url}", f"--authority={self.url}/",
                 f"--azure-ca-file={self.dir}/azure.crt", f"--subscription-id={SUBSCRIPTION}",
                 f"--resource-group={GROUP}", f"--cluster-name={CLUSTER}", f"--client-id={CLIENT}",
                 f"--metadata-endpoint=http://localhost:{self.metadata.server_address[1]}"]
        return flags if managed_identity else [*flags, f"--tenant-id={TENANT}",
                                               f"--federated-token-file={self.assertion}"]

    # --- the test's side

    def set(self, **settings):
        with self.lock:
            for name, value in settings.items():
                assert hasattr(self.settings, name), name
                setattr(self.settings, name, value)

    def reset(self):
        with self.lock:
            self.settings = Settings()

    def entries(self):
        """The ledger: {event: bought or released, pool, machine, size, time}, oldest first."""
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def running(self):
        """Names of the pools whose machine is paid for now."""
        owned = {}
        for entry in self.entries():
            if entry["event"] == "bought":
                owned[entry["machine"]] = entry["pool"]
            else:
                del owned[entry["machine"]]
        return sorted(owned.values())

    def bought(self, pool):
        return sum(entry["event"] == "bought" and entry["pool"] == pool for entry in self.entries())

    def count(self, method, pool=None):
        """Requests of that method for that pool, or for the list of them."""
        path = f"{POOLS}/{pool}" if pool else POOLS
        with self.lock:
            return sum(call[:2] == (method, path) for call in self.calls)

    # --- time

    def _advance(self):
        while not self.stopping.wait(0.02):
            with self.lock:
                due = [pool for pool in self.pools.values() if pool.due is not None and time.monotonic() >= pool.due]
            for pool in due:
                self._finish(pool)

    def _finish(self, pool):
        pool.due = None
        if pool.state == "Deleting":
            if pool.machine:
                self.off_machine(pool)
                self._write("released", pool)
            with self.lock:
                del self.pools[pool.name]
                self.operations[pool.operation] = {"name": pool.operation, "status": "Succeeded"}
        elif pool.failure:
            _, code, message = FAILURES[pool.failure]
            with self.lock:
                pool.state = "Failed"
                self.operations[pool.operation] = {"name": pool.operation, "status": "Failed",
                                                   **error_body(code, message)}
        else:
            pool.machine = f"aks-{pool.name}-{next(self.numbers):08d}-vmss000000"
            self._write("bought", pool)
            if not self.settings.never_join:
                self.on_machine(pool)
            with self.lock:
                if pool.state == "Creating":
                    pool.state = "Succeeded"
                self.operations[pool.operation] = {"name": pool.operation, "status": "Succeeded"}

    def _write(self, event, pool):
        entry = {"event": event, "pool": pool.name, "machine": pool.machine,
                 "size": pool.body["properties"]["vmSize"], "time": time.time()}
        with self.lock, open(self.ledger, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")

    # --- requests: each answers (status, body, headers)

    def answer(self, method, path, query, headers, body):
        if path == f"/{TENANT}/oauth2/v2.0/token" and method == "POST":
            return self.exchange_token(body)
        if path == "/control" and method == "POST":
            self.set(**json.loads(body))
            return 204, None, {}
        if path == "/ledger" and method == "GET":
            return 200, {"entries": self.entries(), "running": self.running()}, {}
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self.tokens.get(token, 0) < time.time():
            return 401, error_body("AuthenticationFailed", "The access token is missing or invalid."), {}
        operation = re.fullmatch(re.escape(OPERATIONS) + r"/(\w+)", path)
        if operation and method == "GET":
            return self.get_operation(operation.group(1))
        pool = re.fullmatch(re.escape(POOLS) + r"(?:/([a-z][a-z0-9]{0,11}))?", path)
        if not pool:
            return 404, error_body("ResourceNotFound", f"The Resource '{path}' was not found."), {}
        if query.get("api-version") != [API_VERSION]:
            return 400, error_body("InvalidApiVersionParameter", "The api-version is invalid."), {}
        name = pool.group(1)
        if name is None:
            return self.list_pools(query)
        return {"GET": self.get_pool, "PUT": self.put_pool, "DELETE": self.delete_pool}[method](name, body)

    def _new_token(self):
        token = f"token-{next(self.numbers)}"
        self.tokens[token] = time.time() + TOKEN_LIFE_S
        return token

    def exchange_token(self, body):
        form = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
        expected = {"grant_type": "client_credentials", "client_id": CLIENT, "scope": f"{self.url}/.default",
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "client_assertion": self.assertion.read_text().strip()}
        if self.settings.refuse_identity or form != expected:
            return 401, {"error": "invalid_client",
                         "error_description": "AADSTS700213: No matching federated identity record found."}, {}
        return 200, {"token_type": "Bearer", "expires_in": TOKEN_LIFE_S, "access_token": self._new_token()}, {}

    def metadata_token(self, query, headers):
        if headers.get("Metadata") != "true" or query.get("resource") != [self.url]:
            return 400, {"error": "invalid_request"}, {}
        return 200, {"token_type": "Bearer", "expires_in": str(TOKEN_LIFE_S), "access_token": self._new_token()}, {}

    def list_pools(self, query):
        """Two a page, so that clients must turn pages."""
        skip = int(query.get("$skip", ["0"])[0])
        with self.lock:
            everything = [pool.resource() for pool in self.pools.values()]
        answer = {"value": everything[skip:skip + 2]}
        if len(everything) > skip + 2:
            answer["nextLink"] = f"{self.url}{POOLS}?api-version={API_VERSION}&$skip={skip + 2}"
        return 200, answer, {}

    def get_pool(self, name, _):
        with self.lock:
            pool = self.pools.get(name)
            if pool is None:
                return 404, error_body("NotFound", f"Agent Pool not found: '{name}'.", wrapped=False), {}
            return 200, pool.resource(), {}

    def get_operation(self, name):
        with self.lock:
            known = self.operations.get(name)
        return (200, known, {}) if known else (404, error_body("OperationNotFound", "No such operation."), {})

    def _start(self, pool, seconds):
        pool.operation = f"op{next(self.numbers)}"
        pool.due = time.monotonic() + seconds
        self.operations[pool.operation] = {"name": pool.operation, "status": "InProgress"}
        url = f"{self.url}{OPERATIONS}/{pool.operation}?api-version=2016-03-30"
        return {"Azure-AsyncOperation": url, "Location": url}

    def put_pool(self, name, body):
        settings = self.settings
        status, code, message = FAILURES.get(settings.failure, (0, "", ""))
        if status:
            after = {"Retry-After": str(settings.retry_after)} if settings.retry_after else {}
            return status, error_body(code, message, wrapped=status != 400), after
        with self.lock:
            if name in self.pools:
                code = FAILURES["conflict"][1:]
                return (200, self.pools[name].resource(), {}) if self.pools[name].state == "Succeeded" else \
                    (409, error_body(*code), {})
            pool = Pool(name, json.loads(body), None, settings.failure)
            self.pools[name] = pool
            headers = self._start(pool, settings.create_s)
        self.stopping.wait(settings.hold_put_s)
        return 201, pool.resource(), headers

    def delete_pool(self, name, _):
        with self.lock:
            pool = self.pools.get(name)
            if pool is None:
                return 204, None, {}
            if pool.state == "Creating":
                return 409, error_body(*FAILURES["conflict"][1:]), {}
            pool.state = "Deleting"
            return 202, None, self._start(pool, self.settings.delete_s)


# ---------------------------------------------------------------------- HTTP

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        fake = self.server.fake
        if self.server.is_metadata:
            answer = fake.metadata_token(query, self.headers)
        else:
            answer = fake.answer(self.command, url.path, query, self.headers, body)
        with fake.lock:
            fake.calls.append((self.command, url.path, answer[0]))
        with contextlib.suppress(OSError):  # the client was killed meanwhile
            self.send(*answer)

    def send(self, status, body, headers):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(text), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, fake, certificate_dir):
        super().__init__(address, Handler)
        self.fake, self.is_metadata = fake, certificate_dir is None
        self.tls = None
        if certificate_dir is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate_dir / "azure.crt", certificate_dir / "azure.key")

    def finish_request(self, request, client_address):
        """On the connection's own thread: a slow handshake holds nobody up."""
        with contextlib.suppress(OSError):
            super().finish_request(self.tls.wrap_socket(request, server_side=True) if self.tls else request,
                                   client_address)

    def handle_error(self, *_):
        pass


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", folder / "azure.key", "-out", folder / "azure.crt"],
                   check=True, capture_output=True)


# ---------------------------------------------------------------------- machines as nodes

def provider_id(pool):
    return (f"azure:///subscriptions/{SUBSCRIPTION}/resourceGroups/mc_{GROUP}/providers/Microsoft.Compute"
            f"/virtualMachineScaleSets/{pool.machine.removesuffix('000000')}/virtualMachines/0")


def node_manifest(pool):
    """The node that a pool's machine becomes; kwok plays its kubelet."""
    properties = pool.body["properties"]
    taints = []
    for text in properties.get("nodeTaints", []):
        key, _, rest = text.partition("=")
        value, _, effect = rest.partition(":")
        taints.append({"key": key, "value": value, "effect": effect})
    resources = {"cpu": "24", "memory": "220Gi", "pods": "110", "ephemeral-storage": f"{properties['osDiskSizeGB']}Gi",
                 "nvidia.com/gpu": "1"}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": pool.machine, "annotations": {"kwok.x-k8s.io/node": "fake"},
                         "labels": {**properties["nodeLabels"], "agentpool": pool.name,
                                    "kubernetes.azure.com/agentpool": pool.name, "kubernetes.io/os": "linux",
                                    "kubernetes.io/hostname": pool.machine,
                                    "node.kubernetes.io/instance-type": properties["vmSize"]}},
            "spec": {"providerID": provider_id(pool), "taints": taints},
            "status": {"capacity": resources, "allocatable": resources,
                       "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]}}


def kubectl_machines(kubeconfig):
    """(on_machine, off_machine) that make nodes of a cluster with kubectl."""
    def kubectl(*arguments, stdin=None):
        subprocess.run(["kubectl", f"--kubeconfig={kubeconfig}", *arguments], input=stdin, text=True, check=False)
    return (lambda pool: kubectl("create", "-f", "-", stdin=json.dumps(node_manifest(pool))),
            lambda pool: kubectl("delete", "node", pool.machine, "--ignore-not-found"))


def main():
    if len(sys.argv) not in (2, 4) or (len(sys.argv) == 4 and sys.argv[2] != "--kubeconfig"):
        sys.exit("usage: fake.py DIR [--kubeconfig FILE]")
    machines = kubectl_machines(sys.argv[3]) if len(sys.argv) == 4 else (None, None)
    with Fake(sys.argv[1], *machines) as azure:
        print(" ".join(azure.flags()), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
