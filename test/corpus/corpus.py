"""The cases of admission and what is expected of them.

A case has an id, op (CREATE or UPDATE), object, old, expect (accept, reject, or any where either answer can be
defended), and may have configmaps that exist beforehand and paths that a refusal names.
"""
import json
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "corpus"


def files():
    """(name, path) of each file of cases: our own, and admission.jsonl of $CKAITO_CORPUS, which may be missing."""
    shared = pathlib.Path(os.environ.get("CKAITO_CORPUS") or SHARED)
    return ("own", HERE / "cases.jsonl"), ("shared", shared / "admission.jsonl")


def read_cases(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip() and not line.startswith("#")]


def review_of(case):
    """The AdmissionReview that the API server would send."""
    group, version = case["object"]["apiVersion"].split("/")
    kind = {"group": group, "version": version, "kind": case["object"]["kind"]}
    request = {"uid": case["id"], "kind": kind, "operation": case["op"], "dryRun": True, "object": case["object"],
               "namespace": case["object"]["metadata"].get("namespace", "default"), "oldObject": case.get("old")}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def complaint(case, answer):
    """What is wrong with an answer, (allowed, message, paths); None when nothing is."""
    if answer is None:
        return "no answer"
    allowed, message, paths = answer
    if case["expect"] == "accept" and not allowed:
        return f"refused: {message}"
    if case["expect"] == "reject" and allowed:
        return f"accepted; {case.get('why') or 'it should be refused'}"
    if not allowed and not paths:
        return f"refused without a path: {message}"
    missing = [path for path in case.get("paths", []) if path not in paths]
    return f"{', '.join(missing)} not named; only {', '.join(paths)}" if missing and not allowed else None
