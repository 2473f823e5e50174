"""The examples as objects, what is known beforehand about what becomes of them, and how two outcomes compare."""
import hashlib
import json
import re

from cluster import EXAMPLES

TUNING, INFERENCE = "workspace-tuning-phi-3", "workspace-phi-4-mini"
FINALIZER = "workspace.finalizer.kaito.sh"

TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# What the server or the clock chose.
VOLATILE = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "deletionTimestamp", "clusterIP",
            "clusterIPs", "nodeInfo", "addresses", "uncountedTerminatedPods", "batch.kubernetes.io/controller-uid",
            "controller-uid", "kaito.sh/applied-hash"}


def example(cluster, file, name, version=None):
    """deploy/examples/FILE as an object of another name (and API version); kubectl reads the YAML."""
    text = cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f", EXAMPLES / f"{file}.yaml")
    body = json.loads(text)
    body["metadata"] = {"name": name}
    if version:
        body["apiVersion"] = f"kaito.sh/{version}"
    return body


def claim_name(uid, ordinal):
    return "ws" + hashlib.sha256(f"{uid}/{ordinal}".encode()).hexdigest()[:9]


def scrub(value, names):
    """Without what differs from run to run; what is named after a UID gets a fixed name."""
    if isinstance(value, dict):
        return {names.get(key, key): scrub(item, names) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        items = [scrub(item, names) for item in value]
        conditions = items and all(isinstance(item, dict) and {"type", "status"} <= item.keys() for item in items)
        return {item["type"]: item for item in items} if conditions else items  # a map, for its readers
    if isinstance(value, str):
        for text, name in names.items():
            value = value.replace(text, name)
        return TIME.sub("TIME", value)
    return value


def snapshot(cluster, namespace, name):
    """kind/name -> object, of everything that belongs to a Workspace, comparable between runs."""
    workspace = cluster.get("workspace", namespace, name)
    if workspace is None:
        return {}
    uid = workspace["metadata"]["uid"]
    names = {claim_name(uid, ordinal): f"CLAIM-{ordinal}" for ordinal in range(4)}
    names |= {uid: "UID", name: "NAME", namespace: "NAMESPACE"}
    found = {"workspace/NAME": workspace}
    label = {"kaito.sh/workspace": name}
    for kind, objects in (
            ("nodeclaim", cluster.claims_of(namespace, name)), ("node", cluster.nodes_of(namespace, name)),
            ("revision", cluster.list("revision", namespace, **{"workspace.kaito.io/name": name})),
            ("job", cluster.list("job", namespace, **label)), ("service", cluster.list("service", namespace, **label)),
            ("statefulset", cluster.list("statefulset", namespace, **label)),
            ("configmap", [o for o in cluster.list("configmap", namespace) if o["metadata"]["name"] != "kube-root-ca.crt"])):
        found |= {f"{kind}/{o['metadata']['name']}": o for o in objects}
    pods = [pod["status"].get("phase") for pod in cluster.list("pod", namespace, **label)]
    result = {scrub(key, names): scrub(item, names) for key, item in found.items()}
    return result | {"pods": sorted(map(str, pods))}


def differences(before, after, path=""):
    """Lines that say where two snapshots differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [line for key in sorted(before.keys() | after.keys())
                for line in differences(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [line for i, pair in enumerate(zip(before, after)) for line in differences(*pair, f"{path}[{i}]")]
    return [] if before == after else [f"{path}: {json.dumps(before)[:200]} became {json.dumps(after)[:200]}"]
