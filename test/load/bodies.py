"""Bodies that are legal to send and made to hurt: deep, many, long, amplifying, quadratic."""
import json

MOST = 7 * 1024 * 1024
WORKSPACE = {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": "ws", "namespace": "default"},
             "resource": {"instanceType": "Standard_NC24ads_A100_v4", "labelSelector": {"matchLabels": {"apps": "ws"}}},
             "inference": {"preset": {"name": "phi-4-mini-instruct"}}}


def review(workspace, old=None):
    """The text of an AdmissionReview of a creation, or of an update with `old`."""
    request = {"uid": "0", "kind": {"group": "kaito.sh", "version": "v1beta1", "kind": "Workspace"},
               "namespace": "default", "operation": "UPDATE" if old else "CREATE", "userInfo": {"username": "load"},
               "dryRun": True, "object": workspace} | ({"oldObject": old} if old else {})
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request},
                      separators=(",", ":"))


def labels(prefix, count):
    return {f"{prefix}{i}": "v" for i in range(count)}


def terms(prefix, count):
    return [{"key": f"{prefix}{i}", "operator": "In", "values": ["v"]} for i in range(count)]


def selecting(**selector):
    return WORKSPACE | {"resource": WORKSPACE["resource"] | {"labelSelector": selector}}


def annotated(keys):
    return WORKSPACE | {"metadata": WORKSPACE["metadata"] | {"annotations": {key: "v" for key in keys}}}


def adapters(count):
    return WORKSPACE | {"inference": {**WORKSPACE["inference"], "adapters": [{}] * count}}


def all_bodies():
    """name -> (text, statuses that are right)."""
    keys = [f"k{i}" for i in range(15000)]
    return {
        "brackets": ("[" * MOST, {400}),
        "zeros": ("[" + "0," * (MOST // 2 - 2) + "0]", {413}),
        "empty lists": ("[" + "[]," * (MOST // 3 - 2) + "[]]", {413}),
        "a million keys": ("{" + ",".join(f'"{i:x}":0' for i in range(700_000)) + "}", {413}),
        "one string": ('"' + "a" * (MOST - 2) + '"', {413}),
        "escapes": ('"' + "\\u0041" * (MOST // 6 - 2) + '"', {413}),
        "a long name": (review(WORKSPACE | {"inference": {"preset": {"name": "a" * 1_000_000}}}), {200}),
        "annotations in another order": (review(annotated(keys), annotated(reversed(keys))), {200}),
        "a selector in other words": (review(
            selecting(matchLabels=labels("a", 4000), matchExpressions=terms("b", 4000)),
            selecting(matchLabels=labels("b", 4000), matchExpressions=terms("a", 4000))), {200}),
        "sixteen thousand adapters": (review(adapters(16000)), {200}),
    }
