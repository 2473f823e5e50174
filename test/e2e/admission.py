"""What the API server answers to a user."""
import json
import re
import signal
import time

from audit import AuditLog
from cases import case
from cluster import EXAMPLES, ApiError, NotYet, wait_for
from workspaces import differences, example, snapshot

PLACEHOLDERS = (("myregistry.azurecr.io/phi-3-tuned:0.0.1", "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1"),
                ("acr-push-secret", "ACR_REGISTRY_SECRET_HERE"))


@case
def applying_again_changes_nothing(world):
    """kubectl apply of the same file: unchanged, no new revision, no write by the services."""
    world.examples()
    time.sleep(1)
    log = AuditLog(world.cluster)
    said = world.cluster.kubectl("apply", "-f", EXAMPLES)
    assert said.count("unchanged") == 2, said
    time.sleep(2)
    assert not log.writes(), log.writes()
    for name in ("workspace-tuning-phi-3", "workspace-phi-4-mini"):
        assert len(world.cluster.list("revision", "default", **{"workspace.kaito.io/name": name})) == 1


@case(shared=True)
def placeholders_are_refused(world):
    """The documentation's example unedited: both fields in one answer, a legal value for each, nothing made."""
    text = (EXAMPLES / "tuning-phi-3.yaml").read_text()
    for real, placeholder in PLACEHOLDERS:
        assert real in text
        text = text.replace(real, placeholder)
    namespace = world.namespace("placeholder")
    status, said = world.cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=text, check=False)
    assert status != 0, f"accepted: {said}"
    for word in ("tuning.output.image:", "tuning.output.imagePushSecret:", PLACEHOLDERS[0][1], PLACEHOLDERS[1][1]):
        assert word in said, f"no {word} in: {said}"
    time.sleep(1)
    assert not world.cluster.list("workspace", namespace)
    assert not world.cluster.leftovers(namespace, "workspace-tuning-phi-3")


@case(shared=True)
def rejection_becomes_an_event(world):
    """A platform team sees what its users get wrong: the refusal is an Event in the namespace."""
    namespace = world.namespace("refused")
    body = example(world.cluster, "tuning-phi-3", "ws")
    body["resource"]["instanceType"] = "Standard_D2s_v5"
    refusal = None
    try:
        world.cluster.create("workspace", namespace, {**body, "apiVersion": "kaito.sh/v1beta1"})
    except ApiError as error:
        refusal = error
    assert refusal and "resource.instanceType" in refusal.message, refusal

    def told():
        events = world.cluster.list("event", namespace)
        if not events:
            raise NotYet("no event")
        return events
    events = wait_for(told, 10, f"an event in {namespace}")
    assert any("instanceType" in event["message"] for event in events), events


@case(shared=True)
def both_versions_are_one(world):
    """The same Workspace through v1alpha1 and v1beta1 becomes the same objects and the same revision hash."""
    cluster, found = world.cluster, {}
    for version in ("v1alpha1", "v1beta1"):
        namespace = world.namespace(f"in-{version}")
        world.create(namespace, version=version)
        world.create(namespace, "inference-phi-4-mini", name="serve", version=version)
    for version in ("v1alpha1", "v1beta1"):
        for name in ("ws", "serve"):
            cluster.wait_condition(f"in-{version}", name)
    for version in ("v1alpha1", "v1beta1"):
        text = json.dumps([snapshot(cluster, f"in-{version}", name) for name in ("ws", "serve")])
        found[version] = json.loads(re.sub(r"10\.244\.\d+\.\d+|10\.96\.\d+\.\d+", "ADDRESS", text))
    for before, after in zip(found["v1alpha1"], found["v1beta1"]):
        different = differences(before, after)
        assert not different, "\n".join(different[:10])
    for version in ("v1alpha1", "v1beta1"):
        for name in ("ws", "serve"):
            cluster.delete("workspace", f"in-{version}", name)
            cluster.wait_gone(f"in-{version}", name)


@case
def webhook_down_refuses(world):
    """Without the webhook nothing unjudged gets in; with it again, everything does. What runs goes on."""
    namespace, webhook = world.namespace("unjudged"), world.services["webhook"]
    assert webhook.stop(signal.SIGTERM) == 0, "the webhook did not end in order"
    try:
        status, said = world.cluster.kubectl("apply", "-n", namespace, "-f", EXAMPLES / "tuning-phi-3.yaml", check=False)
        assert status != 0 and "webhook" in said, said
        assert not world.cluster.list("workspace", namespace)
    finally:
        webhook.start()
        webhook.wait_ready()
    world.create(namespace)
    world.cluster.delete("workspace", namespace, "ws")
    world.cluster.wait_gone(namespace, "ws")


@case
def lost_certificates_are_made_again(world):
    """The Secrets of authority and webhook certificate are lost: the next pass of the reconciler (each minute, and
    at its start) makes new ones, the webhook takes its own up, and admission works with both."""
    cluster, namespace = world.cluster, world.namespace("certificates")
    names = ("ckaito-webhook-tls", "ckaito-certificates")
    before = {name: cluster.get("secret", "ckaito-system", name) for name in names}
    for name in names:
        assert cluster.delete("secret", "ckaito-system", name), f"no Secret {name}"
    world.services["reconciler"].kill()

    def renewed():
        for name in names:
            now = cluster.get("secret", "ckaito-system", name)
            if not now or now["data"] == before[name]["data"]:
                raise NotYet(f"{name} is not there")
        return True
    wait_for(renewed, 20, "both Secrets made again")
    path = cluster.path("workspace", namespace, query={"dryRun": "All"})
    body = {**example(cluster, "tuning-phi-3", "ws"), "apiVersion": "kaito.sh/v1beta1"}
    wait_for(lambda: cluster.request("POST", path, body), 30, "admission with the new certificate")
    for _ in range(20):
        cluster.request("POST", path, body)
