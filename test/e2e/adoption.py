"""A cluster that comes from KAITO."""
import json

from cases import case
from cluster import ROOT, NotYet, wait_for
from workspaces import FINALIZER

NAME = "workspace-phi-4-mini"
HASH = "203bd2f573e212877fc413be56776945a635c4cd6ea73b05061e71a0272019a8"
CLAIM = "ws1a2b3c4d5"
MACHINE = "Standard_NC24ads_A100_v4"


def node_claim(namespace):
    def within(key, value):
        return {"key": key, "operator": "In", "values": [value]}
    return {
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": CLAIM,
                     "labels": {"karpenter.sh/nodepool": "kaito", "apps": "phi-4", "kaito.sh/workspace": NAME,
                                "kaito.sh/workspacenamespace": namespace},
                     "annotations": {"karpenter.sh/do-not-disrupt": "true", "kaito.sh/node-image-family": "ubuntu"}},
        "spec": {"nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
                 "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
                 "requirements": [within("karpenter.sh/nodepool", "kaito"),
                                  within("node.kubernetes.io/instance-type", MACHINE),
                                  within("kubernetes.io/os", "linux"), within("karpenter.azure.com/sku-name", MACHINE)],
                 "resources": {"requests": {"storage": "87Gi"}}}}


def documents(text):
    """kubectl prints several objects one after the other."""
    while text := text.strip():
        item, end = json.JSONDecoder().raw_decode(text)
        text = text[end:]
        yield item


def lay_out(cluster, namespace):
    """As KAITO leaves it; with weights on no disk of their own, and a command that is not ours."""
    text = cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f",
                           ROOT / "test/golden/inference-single-node.yaml")
    workspace, *others = documents(text.replace('"default"', f'"{namespace}"'))
    workspace["metadata"] = {"name": NAME, "finalizers": [FINALIZER],
                             "annotations": {"workspace.kaito.io/hash": HASH, "workspace.kaito.io/revision": "1"}}
    uid = cluster.create("workspace", namespace, workspace)["metadata"]["uid"]
    for item in others:
        item["metadata"]["ownerReferences"][0]["uid"] = uid
        if item["kind"] == "StatefulSet":
            del item["spec"]["volumeClaimTemplates"]
            pod = item["spec"]["template"]["spec"]
            pod["volumes"].append({"name": "model-weights-volume", "emptyDir": {}})
            pod["containers"][0]["command"][2] += " --kaito-way"
        kind = {"ControllerRevision": "revision"}.get(item["kind"], item["kind"].lower())
        cluster.create(kind, namespace, item)
    cluster.create("nodeclaim", None, node_claim(namespace))


@case
def taken_over_from_kaito(world):
    """What KAITO made runs on: its pod, its StatefulSet, its one machine. The next change rolls it, and nothing else."""
    namespace, cluster = world.namespace("from-kaito"), world.cluster
    world.services["reconciler"].stop()
    lay_out(cluster, namespace)
    pod = wait_for(lambda: cluster.get("pod", namespace, f"{NAME}-0"), 20, "KAITO's pod")
    before = cluster.get("statefulset", namespace, NAME)
    world.services["reconciler"].start()
    world.services.wait_ready()
    cluster.wait_condition(namespace, NAME, "Ready")

    after = cluster.get("statefulset", namespace, NAME)
    for member in ("uid", "generation"):
        assert after["metadata"][member] == before["metadata"][member], member
    assert cluster.get("pod", namespace, f"{NAME}-0")["metadata"]["uid"] == pod["metadata"]["uid"]
    assert [c["metadata"]["name"] for c in cluster.claims_of(namespace, NAME)] == [CLAIM]
    workspace = cluster.get("workspace", namespace, NAME)
    assert workspace["metadata"]["annotations"]["workspace.kaito.io/hash"] == HASH

    cluster.patch("workspace", namespace, NAME,
                  {"inference": {"adapters": [{"source": {"name": "law", "image": "example.com/law:1"}}]}})

    def rolled():
        found = cluster.get("pod", namespace, f"{NAME}-0")
        if not found or not found["spec"].get("initContainers"):
            raise NotYet("the pod is the old one")
        return found
    wait_for(rolled, 20, "a pod with the adapter")
    cluster.wait_condition(namespace, NAME, "Ready")
    assert "--kaito-way" not in json.dumps(cluster.get("statefulset", namespace, NAME))
    assert [c["metadata"]["name"] for c in cluster.claims_of(namespace, NAME)] == [CLAIM]
    cluster.delete("workspace", namespace, NAME)
    cluster.wait_gone(namespace, NAME)
