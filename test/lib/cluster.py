"""A Kubernetes control plane of its own for a test: test/cluster starts it, this speaks to it over REST."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "test" / "cluster"
EXAMPLES = ROOT / "deploy" / "examples"

NAMESPACED, CLUSTER_WIDE = True, False
KINDS = {
    "workspace": ("apis/kaito.sh/v1beta1", "workspaces", NAMESPACED),
    "nodeclaim": ("apis/karpenter.sh/v1", "nodeclaims", CLUSTER_WIDE),
    "node": ("api/v1", "nodes", CLUSTER_WIDE),
    "pod": ("api/v1", "pods", NAMESPACED),
    "service": ("api/v1", "services", NAMESPACED),
    "configmap": ("api/v1", "configmaps", NAMESPACED),
    "secret": ("api/v1", "secrets", NAMESPACED),
    "event": ("api/v1", "events", NAMESPACED),
    "namespace": ("api/v1", "namespaces", CLUSTER_WIDE),
    "job": ("apis/batch/v1", "jobs", NAMESPACED),
    "statefulset": ("apis/apps/v1", "statefulsets", NAMESPACED),
    "revision": ("apis/apps/v1", "controllerrevisions", NAMESPACED),
    "crd": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions", CLUSTER_WIDE),
    "mutating": ("apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", CLUSTER_WIDE),
    "validating": ("apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", CLUSTER_WIDE),
}


class ApiError(Exception):
    """The API server's refusal; `message` is its own text."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class NotYet(Exception):
    """Raised by a predicate of wait_for to say what is still missing."""


def wait_for(predicate, timeout, what, every=0.05):
    """Calls `predicate` until it returns something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        try:
            value = predicate()
            problem = f"last seen: {value!r}"[:600]
        except (NotYet, ApiError, OSError, http.client.HTTPException) as error:
            value, problem = None, f"{type(error).__name__}: {error}"[:600]
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s; {problem}")
        time.sleep(every)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def condition(obj, kind):
    """One condition of an object, or {}."""
    for item in obj.get("status", {}).get("conditions", []):
        if item["type"] == kind:
            return item
    return {}


def is_true(obj, kind):
    return condition(obj, kind).get("status") == "True"


class Cluster:
    """A control plane in a folder. Use as a context manager: it is always torn down."""

    def __init__(self, folder, **environment):
        self.dir = pathlib.Path(folder).resolve()
        self.environment = {**os.environ, **environment}
        self.environment.pop("KUBECONFIG", None)
        self.local = threading.local()

    # --- life cycle

    def script(self, name, *arguments, timeout=120):
        result = subprocess.run([SCRIPTS / name, *map(str, arguments)], env=self.environment, timeout=timeout,
                                capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{name}: {result.stderr.strip()[-600:]}")

    def __enter__(self):
        self.script("down.sh", self.dir)
        try:
            self.script("up.sh", self.dir)
            pki = self.dir / "pki"
            self.tls = ssl.create_default_context(cafile=pki / "ca.crt")
            self.token = (pki / "admin.header").read_text().split()[-1]
            self.port = int(self.ports()["kube-apiserver"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Tears it down; the logs of all its processes stay in build/test-logs."""
        kept = ROOT / "build" / "test-logs" / self.dir.name
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(OSError):
            shutil.copytree(self.dir / "log", kept)
        self.script("down.sh", self.dir)

    def ports(self):
        return dict(line.split("=") for line in (self.dir / "ports").read_text().split())

    def install(self):
        self.script("install.sh", self.dir)

    def kubectl(self, *arguments, stdin=None, check=True):
        """What kubectl prints; with check=False its (exit status, both outputs)."""
        command = [self.dir / "bin" / "kubectl", f"--kubeconfig={self.dir}/kubeconfig",
                   f"--cache-dir={self.dir}/cache", *arguments]
        result = subprocess.run(command, input=stdin, env={**self.environment, "KUBERC": "off"}, timeout=60,
                                capture_output=True, text=True, check=False)
        if not check:
            return result.returncode, result.stdout + result.stderr
        assert result.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {result.stderr.strip()}"
        return result.stdout

    # --- REST

    def request(self, method, path, body=None, content_type="application/json"):
        """One exchange as the administrator: the decoded answer, or ApiError."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), content_type
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=20)
        self.local.connection = None  # kept only after a whole exchange
        connection.request(method, "/" + path, body, headers)
        response = connection.getresponse()
        text = response.read()
        self.local.connection = connection
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"message": text.decode(errors="replace")}
        if response.status >= 300:
            raise ApiError(response.status, answer.get("message", ""))
        return answer

    @staticmethod
    def path(kind, namespace=None, name=None, query=None):
        prefix, plural, namespaced = KINDS[kind]
        path = f"{prefix}/namespaces/{namespace}/{plural}" if namespaced and namespace else f"{prefix}/{plural}"
        return path + (f"/{name}" if name else "") + ("?" + urllib.parse.urlencode(query) if query else "")

    def get(self, kind, namespace=None, name=None):
        """The object, or None where there is none."""
        try:
            return self.request("GET", self.path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind, namespace=None, **labels):
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else None
        return self.request("GET", self.path(kind, namespace, query=query))["items"]

    def create(self, kind, namespace, body):
        return self.request("POST", self.path(kind, namespace), body)

    def patch(self, kind, namespace, name, body):
        return self.request("PATCH", self.path(kind, namespace, name), body, "application/merge-patch+json")

    def delete(self, kind, namespace, name, **options):
        """False where there was nothing to delete."""
        try:
            self.request("DELETE", self.path(kind, namespace, name), options or None)
            return True
        except ApiError as error:
            if error.status == 404:
                return False
            raise

    # --- this product's objects

    def claims_of(self, namespace, name):
        labels = {"kaito.sh/workspace": name, "kaito.sh/workspacenamespace": namespace}
        return self.list("nodeclaim", **labels)

    def nodes_of(self, namespace, name):
        labels = {"kaito.sh/workspace": name, "kaito.sh/workspacenamespace": namespace}
        return self.list("node", **labels)

    def wait_condition(self, namespace, name, kind="WorkspaceSucceeded", timeout=40):
        def reached():
            workspace = self.get("workspace", namespace, name)
            if workspace is None:
                raise NotYet(f"Workspace {namespace}/{name} does not exist")
            if not is_true(workspace, kind):
                raise NotYet("; ".join(f"{c['type']}={c['status']} {c.get('reason', '')} {c.get('message', '')}".strip()
                                       for c in workspace.get("status", {}).get("conditions", [])) or "no condition")
            return workspace
        return wait_for(reached, timeout, f"{namespace}/{name} {kind}")

    def leftovers(self, namespace, name):
        """Everything of a Workspace that still exists, as kind/name."""
        labels = {"kaito.sh/workspace": name}
        found = [f"workspace/{name}"] if self.get("workspace", namespace, name) else []
        found += [f"nodeclaim/{o['metadata']['name']}" for o in self.claims_of(namespace, name)]
        found += [f"node/{o['metadata']['name']}" for o in self.nodes_of(namespace, name)]
        for kind in ("pod", "job", "statefulset", "service"):
            found += [f"{kind}/{o['metadata']['name']}" for o in self.list(kind, namespace, **labels)]
        found += [f"revision/{o['metadata']['name']}"
                  for o in self.list("revision", namespace, **{"workspace.kaito.io/name": name})]
        return found

    def wait_gone(self, namespace, name, timeout=40):
        def gone():
            left = self.leftovers(namespace, name)
            if left:
                raise NotYet("still there: " + " ".join(left))
            return True
        wait_for(gone, timeout, f"{namespace}/{name} gone with all that is its own", every=0.1)
