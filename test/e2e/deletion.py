"""What goes, in which order, and what comes back."""
import time

import sp
from cases import case
from cluster import ApiError, NotYet, condition, is_true, wait_for
from workspaces import FINALIZER, INFERENCE, TUNING, claim_name


@case
def deletion_leaves_nothing(world):
    """kubectl delete workspace --all leaves no NodeClaim, Node, workload or revision."""
    world.examples()
    world.cluster.kubectl("delete", "workspace", "--all", "--wait=false")
    for name in (TUNING, INFERENCE):
        world.cluster.wait_gone("default", name)
    world.applied = False


@case(shared=True)
def finalizer_stays_while_a_claim_is_there(world):
    """A Workspace outlives its last NodeClaim, and its status names the one that is still there."""
    namespace, cluster = world.namespace("held"), world.cluster
    world.create(namespace)
    claim = world.wait_claims(namespace)[0]["metadata"]["name"]
    cluster.wait_condition(namespace, "ws", "ResourceReady")
    finalizers = cluster.get("nodeclaim", None, claim)["metadata"]["finalizers"]
    cluster.patch("nodeclaim", None, claim, {"metadata": {"finalizers": finalizers + ["test.example/hold"]}})
    cluster.delete("workspace", namespace, "ws")

    def named():
        workspace = cluster.get("workspace", namespace, "ws")
        assert workspace, "the Workspace went before its NodeClaim"
        said = [c.get("message", "") for c in workspace["status"]["conditions"] if claim in c.get("message", "")]
        if not said:
            raise NotYet(f"WorkspaceDeleting: {condition(workspace, 'WorkspaceDeleting')}")
        return True
    wait_for(named, 10, f"status names {claim}")
    wait_for(lambda: not cluster.nodes_of(namespace, "ws"), 20, "the node gone")
    time.sleep(2)
    workspace = cluster.get("workspace", namespace, "ws")
    assert workspace and FINALIZER in workspace["metadata"]["finalizers"]
    cluster.patch("nodeclaim", None, claim, {"metadata": {"finalizers": None}})
    cluster.wait_gone(namespace, "ws", 15)


@case(shared=True)
def deletion_during_provisioning(world):
    """Deleted while its machine is still coming: the claim goes, and no node comes afterwards."""
    namespace, cluster = world.namespace("early"), world.cluster
    uid = world.create(namespace)["metadata"]["uid"]
    world.wait_claims(namespace)
    cluster.delete("workspace", namespace, "ws")
    cluster.wait_gone(namespace, "ws")
    time.sleep(2)
    assert not cluster.leftovers(namespace, "ws")
    assert world.claims.born.count(claim_name(uid, 0)) == 1
    assert claim_name(uid, 1) not in world.claims.born


@case(shared=True)
def deletion_before_anything(world):
    """Deleted in the moment of its creation: nothing stays."""
    namespace = world.namespace("at-once")
    world.create(namespace)
    world.cluster.delete("workspace", namespace, "ws")
    world.cluster.wait_gone(namespace, "ws")


@case(shared=True)
def same_name_again(world):
    """Created again as soon as the name is free: the second life has a claim of its own and becomes ready."""
    namespace, cluster = world.namespace("again"), world.cluster
    first = world.create(namespace)["metadata"]["uid"]
    cluster.wait_condition(namespace, "ws", "ResourceReady")
    cluster.delete("workspace", namespace, "ws")

    def accepted():
        try:
            return world.create(namespace)
        except ApiError as error:
            if error.status != 409:
                raise AssertionError(f"refused: {error}") from error
            raise NotYet(error.message) from error
    second = wait_for(accepted, 30, "the name is free again")["metadata"]["uid"]
    cluster.wait_condition(namespace, "ws")
    assert [c["metadata"]["name"] for c in cluster.claims_of(namespace, "ws")] == [claim_name(second, 0)]
    assert world.claims.born.count(claim_name(first, 0)) == 1
    cluster.delete("workspace", namespace, "ws")
    cluster.wait_gone(namespace, "ws")


@case(shared=True)
def second_life_beside_the_first_ones_claim(world):
    """The first life ended by force and left a claim that will not go: the second one is not given that machine."""
    namespace, cluster = world.namespace("forced"), world.cluster
    first = world.create(namespace)["metadata"]["uid"]
    cluster.wait_condition(namespace, "ws", "ResourceReady")
    old = claim_name(first, 0)
    kept = cluster.get("nodeclaim", None, old)["metadata"]["finalizers"] + ["test.example/hold"]
    cluster.patch("nodeclaim", None, old, {"metadata": {"finalizers": kept}})
    cluster.delete("workspace", namespace, "ws")
    cluster.patch("workspace", namespace, "ws", {"metadata": {"finalizers": None}})
    wait_for(lambda: cluster.get("workspace", namespace, "ws") is None, 10, "the first life gone")
    second = world.create(namespace)["metadata"]["uid"]
    cluster.wait_condition(namespace, "ws")
    names = {c["metadata"]["name"]: c for c in cluster.claims_of(namespace, "ws")}
    assert set(names) == {old, claim_name(second, 0)}, names.keys()
    assert "deletionTimestamp" in names[old]["metadata"], "the orphan was not deleted"
    cluster.patch("nodeclaim", None, old, {"metadata": {"finalizers": None}})
    cluster.delete("workspace", namespace, "ws")
    cluster.wait_gone(namespace, "ws")


@case(shared=True)
def deleted_claim_is_replaced(world):
    """A user deletes the NodeClaim of a ready Workspace: another one comes and the Workspace is ready again."""
    namespace, cluster = world.namespace("replaced"), world.cluster
    uid = world.create(namespace, "inference-phi-4-mini")["metadata"]["uid"]
    cluster.wait_condition(namespace, "ws")
    old = cluster.claims_of(namespace, "ws")[0]["metadata"]
    old_node = cluster.nodes_of(namespace, "ws")[0]["metadata"]["uid"]
    cluster.delete("nodeclaim", None, old["name"])

    def replaced():
        claims = cluster.claims_of(namespace, "ws")
        if len(claims) != 1 or claims[0]["metadata"]["uid"] == old["uid"]:
            raise NotYet(f"claims {[c['metadata']['name'] for c in claims]}")
        return claims[0]["metadata"]["name"]
    new = wait_for(replaced, 30, "one other NodeClaim")
    assert new in (claim_name(uid, 0), claim_name(uid, 1)), new

    def moved():
        pod = cluster.get("pod", namespace, "ws-0")
        where = pod and pod["spec"].get("nodeName")
        nodes = {node["metadata"]["name"]: node["metadata"]["uid"] for node in cluster.nodes_of(namespace, "ws")}
        if where not in nodes or nodes[where] == old_node or not is_true(pod, "Ready"):
            raise NotYet(f"ws-0 is on {where}")
        return True
    wait_for(moved, 20, "the model served on the new node")
    cluster.wait_condition(namespace, "ws")
    cluster.delete("workspace", namespace, "ws")
    cluster.wait_gone(namespace, "ws")


@case(shared=True)
def stale_demand_buys_nothing(world):
    """A demand for a Workspace that does not exist, or had that UID in an earlier life, is refused."""
    born = len(world.claims.born)
    demand = {"namespace": "default", "name": "ghost", "uid": "00000000-0000-0000-0000-000000000000",
              "generation": 1, "instanceType": "Standard_NC6s_v3", "count": 1, "diskGiB": 128}
    kind, body = sp.request(f"{world.services.sockets}/demand", "NodeDemand", demand)
    assert kind == "Error", (kind, body)
    namespace = world.namespace("stale")
    world.create(namespace)
    kind, body = sp.request(f"{world.services.sockets}/demand", "NodeDemand",
                            {**demand, "namespace": namespace, "name": "ws"})
    assert kind == "Error", (kind, body)
    world.cluster.delete("workspace", namespace, "ws")
    world.cluster.wait_gone(namespace, "ws")
    ghosts = [name for name in world.claims.born[born:] if name in {claim_name(demand["uid"], n) for n in range(3)}]
    assert not ghosts, ghosts
