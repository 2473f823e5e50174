#!/usr/bin/env python3
"""Answers of admission through a real API server with the services behind it, against what is expected of them.

usage: apiserver.py DIR
The cluster lives in DIR and is torn down at the end. The cases are those of corpus.py, here with their
ConfigMaps in the cluster and updates of objects that exist. A refusal must name a JSON path. Then every object of a
case, good or bad, is sent to the webhook as an update of itself: nothing that is stored may freeze. Last, where no
webhook is asked, the schema alone refuses what it can.
$BUILD names the build (release), $CKAITO_CORPUS the folder of more cases.
"""
import concurrent.futures
import copy
import http.client
import json
import pathlib
import re
import signal
import ssl
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

from cluster import Cluster  # noqa: E402
from corpus import complaint, files, read_cases, review_of  # noqa: E402
from report import Report  # noqa: E402
from services import Services  # noqa: E402

AT_ONCE = 4
OPERATOR = {"Impersonate-User": "system:serviceaccount:ckaito-system:ckaito-reconciler",
            "Impersonate-Group": "system:masters"}
OPERATORS_KEYS = ("workspace.kaito.io/", "kaito.sh/applied-")
PROBLEM = re.compile(r"([A-Za-z<][^\s,:]*(?:\[[^\]]*\][^\s,:]*)*): "
                     r"(?:Required value|Invalid value|Forbidden|Unsupported value|Too long|Too many|Duplicate value)")
UNKNOWN = re.compile(r'unknown field "([^"]+)"|Go struct field \w+\.(\S+)')
WHAT_CONTROLLERS_WRITE = (
    {}, {"metadata": {"finalizers": ["workspace.finalizer.kaito.sh"]}}, {"metadata": {"labels": {"team": "a"}}},
    {"metadata": {"annotations": {"workspace.kaito.io/revision": "1"}}}, {"status": {"state": "Ready"}})


class Asker:
    """Puts one case after the other to the API server."""

    def __init__(self, cluster):
        self.cluster = cluster

    def send(self, method, path, body, headers=()):
        """(allowed, message): what is refused by the webhooks, the schema or the decoder."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.cluster.port, context=self.cluster.tls, timeout=20)
        connection.request(method, "/" + path, json.dumps(body), {
            "Authorization": f"Bearer {self.cluster.token}", "Content-Type": "application/json", **dict(headers)})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        message = answer.get("message", "") if response.status >= 300 else ""
        if response.status >= 300 and response.status not in (400, 403, 422) or "failed calling webhook" in message:
            raise AssertionError(f"{response.status}: {message}")
        return response.status < 300, message, answer

    @staticmethod
    def path(body, name="", dry_run=True):
        query = "?fieldValidation=Strict" + "&dryRun=All" * dry_run
        namespace = body["metadata"].get("namespace", "default")
        return f"apis/{body['apiVersion']}/namespaces/{namespace}/workspaces{'/' * bool(name)}{name}{query}"

    def put_configmaps(self, case):
        for configmap in case.get("configmaps", []):
            name, namespace = configmap["metadata"]["name"], configmap["metadata"].get("namespace", "default")
            body = {"apiVersion": "v1", "kind": "ConfigMap", **configmap}
            self.cluster.delete("configmap", namespace, name)
            self.cluster.create("configmap", namespace, body)

    def store(self, old):
        """Makes `old` exist, also when it would be refused: it may have been stored before there was a rule."""
        allowed, _, made = self.send("POST", self.path(old, dry_run=False), old)
        if not allowed:
            allowed, message, made = self.send("POST", self.path(old, dry_run=False), old, OPERATOR)
            assert allowed, f"the old object cannot exist: {message}"
        return made

    def update(self, case):
        name = re.sub("[^a-z0-9]+", "-", case["id"].lower()).strip("-")
        old, new = copy.deepcopy(case["old"]), copy.deepcopy(case["object"])
        old["metadata"]["name"] = new["metadata"]["name"] = name
        namespace = old["metadata"].setdefault("namespace", "default")
        self.store(old)
        try:
            for _ in range(20):  # the reconciler writes too
                now = self.cluster.get("workspace", namespace, name)["metadata"]
                body = copy.deepcopy(new)
                body["metadata"] |= {"resourceVersion": now["resourceVersion"], "finalizers": now.get("finalizers", [])}
                kept = {key: value for key, value in now.get("annotations", {}).items()
                        if key.startswith(OPERATORS_KEYS)}
                body["metadata"]["annotations"] = kept | body["metadata"].get("annotations", {})
                try:
                    return self.send("PUT", self.path(body, name), body)
                except AssertionError as error:
                    if not str(error).startswith("409"):
                        raise
                    time.sleep(0.05)
            raise AssertionError("always a conflict")
        finally:
            self.cluster.delete("workspace", namespace, name)

    def answer(self, case):
        """(allowed, message, paths) of one case."""
        self.put_configmaps(case)
        if case["op"] == "UPDATE":
            allowed, message, _ = self.update(case)
        else:
            allowed, message, _ = self.send("POST", self.path(case["object"]), case["object"])
        unknown = [first or second for first, second in UNKNOWN.findall(message)]
        return allowed, message, PROBLEM.findall(message) + unknown


def check(case, asker):
    wrong = complaint(case, asker.answer(case))
    assert wrong is None, wrong


def merged(target, change):
    if not isinstance(change, dict) or not isinstance(target, dict):
        return change
    return target | {key: merged(target.get(key), value) for key, value in change.items()}


def nothing_freezes(cases, port):
    """Whatever is stored can be written again, as it is and with what controllers add to it."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context(), timeout=20)
    for case in cases:
        for stored in filter(None, (case["object"], case.get("old"))):
            for change in WHAT_CONTROLLERS_WRITE:
                review = review_of(case | {"op": "UPDATE", "old": stored, "object": merged(stored, change)})
                for path in ("/mutate", "/validate"):
                    connection.request("POST", path, json.dumps(review), {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    text = answer.read().decode()
                    assert answer.status == 200 and json.loads(text)["response"]["allowed"], \
                        f"{case['id']} with {change}: {answer.status} {text[:600]}"


SERVE = {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": "ws", "namespace": "unjudged"},
         "resource": {"instanceType": "Standard_NC24ads_A100_v4", "labelSelector": {"matchLabels": {"apps": "ws"}}},
         "inference": {"preset": {"name": "phi-4-mini-instruct"}}}
TUNE = {**SERVE, "tuning": {"preset": {"name": "phi-4-mini-instruct"}, "method": "lora", "input": {"image": "r.io/d:1"},
                            "output": {"image": "r.io/o:1", "imagePushSecret": "s"}}}
del TUNE["inference"]
IMAGE = {"name": "a", "image": "r.io/a:1"}


def adapters(*sources):
    return {"inference": {"adapters": [{"source": source} for source in sources]}}


SCHEMA_REFUSES = (
    (SERVE, {"metadata": {"name": "a.b"}}, "the name consists of"),
    (SERVE, {"metadata": {"name": "a" * 53}}, "52 characters"),
    (SERVE, {"tuning": TUNE["tuning"]}, "inference"), (SERVE, {"resource": {"count": 0}}, "resource.count"),
    (SERVE, {"resource": {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}},
     "matchExpressions"),
    (SERVE, {"inference": {"config": "My_Config"}}, "inference.config"),
    (SERVE, {"inference": {"preset": {"presetOptions": {"modelAccessSecret": "A"}}}}, "modelAccessSecret"),
    (SERVE, adapters({"image": "r.io/a:1"}), "a source with a name"),
    (SERVE, adapters({"name": "A_b", "image": "x"}), "lower-case"),
    (SERVE, adapters(IMAGE, IMAGE), "used once"), (SERVE, adapters({"name": "a"}), "exactly one place"),
    (SERVE, adapters({**IMAGE, "urls": ["https://a.b/c"]}), "not downloaded"),
    (TUNE, {"resource": {"count": 2}}, "one node"), (TUNE, {"tuning": {"method": "full"}}, "tuning.method"),
    (TUNE, {"tuning": {"config": "A"}}, "tuning.config"),
    (TUNE, {"tuning": {"input": {"urls": ["https://a.b/c"]}}}, "one place"),
    (TUNE, {"tuning": {"output": {"imagePushSecret": ""}}}, "imagePushSecret"),
    (TUNE, {"tuning": {"output": {"imagePushSecret": "A"}}}, "imagePushSecret"),
)


def schema_alone(cluster, asker):
    """In a namespace that the webhooks leave alone, the CRD still refuses what needs nothing but the object."""
    cluster.create("namespace", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "unjudged", "labels": {"ckaito.sh/ignore": "true"}}})
    elsewhere = {"resource": {"instanceType": "Standard_Nothing"}}
    for good in (SERVE, TUNE, merged(SERVE, adapters(IMAGE)), merged(SERVE, elsewhere)):
        allowed, message, _ = asker.send("POST", asker.path(good), good)
        assert allowed, message
    for base, patch, word in SCHEMA_REFUSES:
        body = merged(base, patch)
        allowed, message, _ = asker.send("POST", asker.path(body), body)
        assert not allowed, f"accepted: {patch}"
        assert word in message and "webhook" not in message, f"{patch}: {message}"


def make_namespaces(cluster, cases):
    names = {case["object"]["metadata"].get("namespace", "default") for case in cases}
    names |= {item["metadata"].get("namespace", "default") for case in cases for item in case.get("configmaps", [])}
    for name in sorted(names - {"default"}):
        cluster.create("namespace", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def run_cases(report, asker, name, cases):
    """Cases with ConfigMaps share names and run one after the other."""
    alone = [case for case in cases if case.get("configmaps")]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for case in cases:
            if not case.get("configmaps"):
                pool.submit(report.run, f"apiserver/{name}/{case['id']}", check, case, asker)
    for case in alone:
        report.run(f"apiserver/{name}/{case['id']}", check, case, asker)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: apiserver.py DIR")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster goes in any case
    report = Report()
    suites = {name: read_cases(path) for name, path in files() if path.exists()}
    every = [case for cases in suites.values() for case in cases]
    with Cluster(sys.argv[1]) as cluster:
        cluster.install()
        make_namespaces(cluster, every)
        with Services(cluster) as services:
            services.wait_ready(40)
            for name, cases in suites.items():
                run_cases(report, Asker(cluster), name, cases)
            report.run("apiserver/nothing_freezes", nothing_freezes, every, services.webhook_port)
            report.run("apiserver/schema_alone", schema_alone, cluster, Asker(cluster))
    report.close()


main()
