"""What the API server saw: its audit log, and a ledger of objects that came and went."""
import http.client
import json
import threading
import time

from cluster import Cluster

WRITES = ("create", "update", "patch", "delete", "deletecollection")
OURS = "system:serviceaccount:ckaito-system:"


class AuditLog:
    """Events written since this was made (or since `rewind`), oldest first."""

    def __init__(self, cluster):
        self.path = cluster.dir / "audit.log"
        self.rewind()

    def rewind(self):
        self.offset = self.path.stat().st_size

    def events(self):
        with open(self.path, "rb") as log:
            log.seek(self.offset)
            text = log.read()
        whole = text[:text.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def writes(self, user=OURS):
        """(verb, resource[/subresource], name, status) of each write by a user whose name begins so."""
        found = []
        for event in self.events():
            reference = event.get("objectRef", {})
            if event["verb"] in WRITES and event["user"]["username"].startswith(user):
                resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
                found.append((event["verb"], resource, reference.get("name", ""),
                              event.get("responseStatus", {}).get("code", 0)))
        return found


class Ledger(threading.Thread):
    """Watches one cluster-wide kind from now on: every object's birth and death in the server's own order."""

    def __init__(self, cluster, kind):
        super().__init__(daemon=True)
        self.cluster, self.kind = cluster, kind
        self.version, self.live = self.list()
        self.born, self.most, self.relists = [], len(self.live), 0
        self.stopping = False
        self.start()

    def list(self):
        start = self.cluster.request("GET", Cluster.path(self.kind))
        return (start["metadata"]["resourceVersion"],
                {item["metadata"]["uid"]: item["metadata"]["name"] for item in start["items"]})

    def run(self):
        while not self.stopping:
            try:
                self.watch()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)  # goes on from the last version: nothing is missed

    def watch(self):
        query = {"watch": "true", "resourceVersion": self.version, "timeoutSeconds": 300}
        connection = http.client.HTTPSConnection("127.0.0.1", self.cluster.port, context=self.cluster.tls, timeout=330)
        connection.request("GET", "/" + Cluster.path(self.kind, query=query),
                           headers={"Authorization": f"Bearer {self.cluster.token}"})
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"the API server refuses a watch: {response.status}")
        while line := response.readline():
            self.take(json.loads(line))

    def take(self, event):
        metadata = event["object"].get("metadata", {})
        if event["type"] == "ERROR":  # too old a version, after the API server was started anew
            self.relists += 1
            self.version, live = self.list()
            self.born += [name for uid, name in live.items() if uid not in self.live]
            self.live, self.most = live, max(self.most, len(live))
            return
        self.version = metadata["resourceVersion"]
        if event["type"] == "ADDED":
            self.born.append(metadata["name"])
            self.live[metadata["uid"]] = metadata["name"]
            self.most = max(self.most, len(self.live))
        elif event["type"] == "DELETED":
            self.live.pop(metadata["uid"], None)
