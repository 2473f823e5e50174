"""Causes provoked on a real API server: what the status says, and what `kubectl ckaito why` says first."""
import os
import subprocess

from cases import case
from cluster import NotYet, condition, wait_for
from services import build_folder
from workspaces import example


def why(world, namespace, name="ws"):
    """(exit status, what it prints), with the kubectl and the kubeconfig of the cluster."""
    folder = world.cluster.dir
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "KUBERC": "off", "HOME": str(folder),
                   "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run([build_folder() / "kubectl-ckaito", "why", name, "-n", namespace], env=environment, timeout=60,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def wait_why(world, namespace, code, *parts, timeout=40):
    """Until the first line has the code; then each of the parts must be in it."""
    def told():
        status, text = why(world, namespace)
        first = text.splitlines()[0]
        if not first.startswith(f"{code}: "):
            raise NotYet(text)
        assert status == 1, text
        for part in (*parts, "; next: "):
            assert part in first, first
        return True
    return wait_for(told, timeout, code, every=0.3)


def wait_status(world, namespace, code, *parts, timeout=40):
    """Until Ready has the code as its reason; timeline and message must agree, an event must tell it."""
    def told():
        workspace = world.cluster.get("workspace", namespace, "ws")
        ready = condition(workspace, "Ready")
        if ready.get("reason") != code:
            raise NotYet(ready)
        entry = workspace["status"]["timeline"][-1]
        assert entry["cause"] == code and entry["message"] == ready["message"], entry
        assert ready["message"].startswith(entry["object"]) and entry["nextStep"] in ready["message"], ready
        for part in parts:
            assert part in ready["message"], ready
        return True

    def warned():
        events = world.cluster.list("event", namespace)
        return any(e["reason"] == code and e["type"] == "Warning" for e in events)
    wait_for(told, timeout, code)
    wait_for(warned, 10, f"an event {code}")


def namespace_with(world, name, *objects, labels=None):
    world.namespace(name)
    if labels:
        world.cluster.patch("namespace", None, name, {"metadata": {"labels": labels}})
    for path, body in objects:
        world.cluster.request("POST", f"api/v1/namespaces/{name}/{path}", body)
    return name


@case(shared=True)
def config_map_is_missing_then_wrong_then_right(world):
    """ConfigMissing, ConfigInvalid, and on: each names the ConfigMap."""
    namespace, cluster = world.namespace("explained-config"), world.cluster
    body = example(cluster, "inference-phi-4-mini", "ws")
    body["inference"]["config"] = "params"
    cluster.create("workspace", namespace, body)
    wait_status(world, namespace, "ConfigMissing", "ConfigMap/params")
    wait_why(world, namespace, "ConfigMissing", "ConfigMap/params", "create the ConfigMap")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "params"},
              "data": {"inference_config.yaml": "vllm: ["}}
    cluster.create("configmap", namespace, config)
    wait_status(world, namespace, "ConfigInvalid", "ConfigMap/params")
    wait_why(world, namespace, "ConfigInvalid", "ConfigMap/params")
    cluster.patch("configmap", namespace, "params", {"data": {"inference_config.yaml": "vllm: {}\n"}})
    cluster.wait_condition(namespace, "ws", "Ready")
    assert why(world, namespace)[1].startswith("Workspace/ws is ready\n")
    assert why(world, namespace)[0] == 0
    assert why(world, namespace, "other")[0] == 2


@case(shared=True)
def name_is_taken(world):
    """NameTaken names the Service that is in the way."""
    namespace = namespace_with(world, "explained-name", ("services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "ws"}, "spec": {"ports": [{"port": 80}]}}))
    world.create(namespace, "inference-phi-4-mini")
    wait_status(world, namespace, "NameTaken", "Service/ws")
    wait_why(world, namespace, "NameTaken", "Service/ws", "delete that object")


@case(shared=True)
def namespace_refuses_pods(world):
    """ResourceQuota, LimitRange and Pod Security: no object of ours says so, the events do."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "least"},
              "spec": {"limits": [{"type": "Pod", "min": {"memory": "1Gi"}}]}}
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    rows = (("explained-quota", (("resourcequotas", quota),), None, "ResourceQuotaExceeded", "exceeded quota: none"),
            ("explained-limits", (("limitranges", limits),), None, "LimitRangeExceeded", "memory"),
            ("explained-security", (), restricted, "PodSecurityForbidden", "restricted"))
    for namespace, objects, labels, _, _ in rows:
        namespace_with(world, namespace, *objects, labels=labels)
        world.create(namespace, "inference-phi-4-mini")
    for namespace, _, _, code, part in rows:
        wait_why(world, namespace, code, "StatefulSet/ws", part, namespace)


def break_pod(world, namespace, pod, status):
    """The kubelet's part, played by us: kwok's pods never fail."""
    name = pod["metadata"]["name"]
    container = pod["spec"]["containers"][0]
    state = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 3,
             "started": False, **status}
    conditions = [dict(c, status="False", reason="ContainersNotReady") if c["type"] in ("Ready", "ContainersReady") else c
                  for c in pod["status"]["conditions"]]
    path = f"{world.cluster.path('pod', namespace, name)}/status"
    world.cluster.request("PATCH", path, {"status": {"conditions": conditions, "containerStatuses": [state]}},
                          "application/merge-patch+json")


@case(shared=True)
def containers_fail(world):
    """What the kubelet says of a container reaches the status; put right, it is gone from there."""
    namespace, cluster = world.namespace("explained-pods"), world.cluster
    world.create(namespace, "inference-phi-4-mini")
    cluster.wait_condition(namespace, "ws", "Ready")
    crash = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}

    def ended(code, reason, message=""):
        times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}
        return {"state": crash, "lastState": {"terminated": {"exitCode": code, "reason": reason, "message": message, **times}}}
    rows = (
        ("ImageNotFound", {"state": {"waiting": {"reason": "ErrImagePull", "message": "registry.example/x:1: not found"}}}),
        ("SecretMissing", {"state": {"waiting": {"reason": "CreateContainerConfigError",
                                                 "message": 'secret "hf-token" not found'}}}),
        ("ContainerOOMKilled", ended(137, "OOMKilled")),
        ("GpuOutOfMemory", ended(1, "Error", "torch.OutOfMemoryError: CUDA out of memory.\n")),
        ("ModelGated", ended(1, "Error", "huggingface_hub.errors.GatedRepoError: 401 Client Error.\n")),
    )
    for code, status in rows:
        break_pod(world, namespace, cluster.get("pod", namespace, "ws-0"), status)
        wait_status(world, namespace, code, "Pod/ws-0")
        wait_why(world, namespace, code, "Pod/ws-0")
    cluster.delete("pod", namespace, "ws-0")
    cluster.wait_condition(namespace, "ws", "Ready")


@case(shared=True)
def node_takes_no_pods(world):
    """The node is cordoned and its pod goes: `why` names the node, and uncordons it."""
    namespace, cluster = world.namespace("explained-node"), world.cluster
    world.create(namespace, "inference-phi-4-mini")
    cluster.wait_condition(namespace, "ws", "Ready")
    node = cluster.nodes_of(namespace, "ws")[0]["metadata"]["name"]
    cluster.patch("node", None, node, {"spec": {"unschedulable": True}})
    cluster.delete("pod", namespace, "ws-0")
    wait_status(world, namespace, "Unschedulable", "Pod/ws-0")
    wait_why(world, namespace, "NodeUnschedulable", f"Node/{node}", f"kubectl uncordon {node}")
    cluster.patch("node", None, node, {"spec": {"unschedulable": None}})
    cluster.wait_condition(namespace, "ws", "Ready")


@case(shared=True)
def claim_is_going(world):
    """A Workspace that is deleted says which NodeClaim is still there."""
    namespace, cluster = world.namespace("explained-going"), world.cluster
    world.create(namespace, "inference-phi-4-mini")
    claim = world.wait_claims(namespace)[0]["metadata"]["name"]
    cluster.wait_condition(namespace, "ws", "ResourceReady")
    finalizers = cluster.get("nodeclaim", None, claim)["metadata"]["finalizers"]
    cluster.patch("nodeclaim", None, claim, {"metadata": {"finalizers": finalizers + ["test.example/hold"]}})
    cluster.delete("workspace", namespace, "ws")
    wait_why(world, namespace, "NodeClaimDeleting", f"NodeClaim/{claim}", "test.example/hold")
    cluster.patch("nodeclaim", None, claim, {"metadata": {"finalizers": None}})
    cluster.wait_gone(namespace, "ws", 15)


@case
def provisioner_is_away(world):
    """ProvisionerUnreachable, while it does not run."""
    namespace = world.namespace("explained-away")
    world.services["provisioner"].stop()
    try:
        world.create(namespace, "inference-phi-4-mini")
        wait_status(world, namespace, "ProvisionerUnreachable", "Service/ckaito-provisioner")
        wait_why(world, namespace, "ProvisionerUnreachable", "Service/ckaito-provisioner")
    finally:
        world.services["provisioner"].start()
    world.services.wait_ready()
    world.cluster.wait_condition(namespace, "ws", "Ready")
    for item in world.cluster.list("workspace"):  # shared cases leave theirs
        if item["metadata"]["namespace"].startswith("explained-"):
            world.cluster.delete("workspace", item["metadata"]["namespace"], "ws")
