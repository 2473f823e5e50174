"""Both examples, through kubectl as a user applies them."""
from cases import case
from cluster import condition, is_true
from workspaces import FINALIZER, INFERENCE, TUNING, claim_name

GPUS = {TUNING: ("Standard_NC6s_v3", "1"), INFERENCE: ("Standard_NC24ads_A100_v4", "1")}


@case
def examples_become_ready(world):
    """kubectl apply of both versions ends with WorkspaceSucceeded True."""
    tuning, inference = world.examples()
    assert tuning["status"]["state"] == "Succeeded", tuning["status"]["state"]
    assert inference["status"]["state"] == "Ready", inference["status"]["state"]


@case(shared=True)
def conditions_are_whole(world):
    """Every condition is there, says why, and is of the newest generation."""
    own = {TUNING: "JobStarted", INFERENCE: "InferenceReady"}
    for workspace in world.examples():
        name = workspace["metadata"]["name"]
        for kind in ("NodeClaimReady", "NodesReady", "ResourceReady", own[name], "WorkspaceSucceeded", "Ready"):
            assert is_true(workspace, kind), f"{name}: {kind} is {condition(workspace, kind)}"
        for kind in ("Reconciling", "Stalled"):
            assert condition(workspace, kind).get("status", "False") == "False", f"{name}: {condition(workspace, kind)}"
        for item in workspace["status"]["conditions"]:
            assert item["reason"] and item["observedGeneration"] == workspace["metadata"]["generation"], (name, item)


@case(shared=True)
def one_claim_and_one_node_each(world):
    """The NodeClaim is named after the Workspace's UID; its node has the GPUs of the instance type."""
    for workspace in world.examples():
        name, uid = workspace["metadata"]["name"], workspace["metadata"]["uid"]
        instance, gpus = GPUS[name]
        claims, nodes = world.cluster.claims_of("default", name), world.cluster.nodes_of("default", name)
        assert [c["metadata"]["name"] for c in claims] == [claim_name(uid, 0)], claims
        labels = claims[0]["metadata"]["labels"]
        assert labels["karpenter.sh/nodepool"] == "kaito"
        for key, value in workspace["resource"]["labelSelector"]["matchLabels"].items():
            assert labels[key] == value, (key, labels)
        assert claims[0]["metadata"]["annotations"]["kaito.sh/workspace-uid"] == uid
        assert claims[0]["spec"]["expireAfter"] == "Never"
        assert is_true(claims[0], "Ready"), claims[0]["status"]
        assert len(nodes) == 1 and is_true(nodes[0], "Ready"), nodes
        assert nodes[0]["status"]["capacity"]["nvidia.com/gpu"] == gpus
        assert nodes[0]["metadata"]["labels"]["node.kubernetes.io/instance-type"] == instance
        assert nodes[0]["spec"]["taints"] == [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
        assert workspace["status"]["workerNodes"] == [nodes[0]["metadata"]["name"]]


@case(shared=True)
def workloads_are_made(world):
    """A Job for tuning; a StatefulSet and two Services for inference; one revision each; all owned."""
    tuning, inference = world.examples()
    cluster = world.cluster
    found = {
        "job": cluster.get("job", "default", TUNING),
        "statefulset": cluster.get("statefulset", "default", INFERENCE),
        "service": cluster.get("service", "default", INFERENCE),
        "headless service": cluster.get("service", "default", f"{INFERENCE}-headless"),
    }
    for kind, item in found.items():
        assert item, f"no {kind}"
        owner = item["metadata"]["ownerReferences"][0]
        of = tuning if kind == "job" else inference
        assert owner["uid"] == of["metadata"]["uid"] and owner["controller"], (kind, owner)
    assert found["job"]["status"]["succeeded"] == 1
    assert found["statefulset"]["status"]["readyReplicas"] == 1
    assert found["service"]["spec"]["ports"][0]["port"] == 80
    for workspace in (tuning, inference):
        metadata = workspace["metadata"]
        revisions = cluster.list("revision", "default", **{"workspace.kaito.io/name": metadata["name"]})
        assert [r["revision"] for r in revisions] == [1], revisions
        digest = metadata["annotations"]["workspace.kaito.io/hash"]
        assert revisions[0]["metadata"]["name"] == f"{metadata['name']}-{digest[:5]}"
        assert metadata["annotations"]["workspace.kaito.io/revision"] == "1"
        assert metadata["finalizers"] == [FINALIZER], metadata["finalizers"]


@case(shared=True)
def columns_of_kubectl_get(world):
    """kubectl get workspace shows the columns that users' eyes know, and more with -o wide."""
    world.examples()
    lines = world.cluster.kubectl("get", "workspace").splitlines()
    assert lines[0].split() == ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY", "STATE", "AGE"]
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert rows[INFERENCE][1:6] == [GPUS[INFERENCE][0], "True", "True", "True", "Ready"], rows
    assert rows[TUNING][1] == GPUS[TUNING][0] and rows[TUNING][-2] == "Succeeded", rows
    wide = world.cluster.kubectl("get", "workspace", "-o", "wide").splitlines()
    assert len(wide[0].split()) > 7 and wide[0].startswith("NAME"), wide[0]
    assert world.cluster.kubectl("get", "wk").splitlines()[0] == lines[0]


@case(shared=True)
def describe_tells_the_story(world):
    """The events of kubectl describe say what was bought, what was started and that it is ready."""
    for workspace in world.examples():
        name = workspace["metadata"]["name"]
        text = world.cluster.kubectl("describe", "workspace", name)
        story = text[text.index("\nEvents:"):]
        claim = claim_name(workspace["metadata"]["uid"], 0)
        for word in ("NodeClaimCreated", claim, workspace["resource"]["instanceType"]):
            assert word in story, f"no {word} in the events of {name}: {story}"
        ours = [e for e in world.cluster.list("event", "default") if e["involvedObject"]["name"] == name
                and e["involvedObject"]["kind"] == "Workspace"]
        assert len({e["reason"] for e in ours}) >= 3, story
        assert all(e["type"] == "Normal" for e in ours), story
        assert all(e["message"] and e.get("count", 1) == 1 for e in ours), story


@case(shared=True)
def explain_shows_real_text(world):
    """kubectl explain has a sentence for every member a user writes."""
    for path in ("tuning.input", "tuning.output", "resource", "inference.preset", "status.conditions"):
        text = world.cluster.kubectl("explain", f"workspace.{path}")
        assert len(text) > 200 and "<empty>" not in text, f"{path}: {text}"
