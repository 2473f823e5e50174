#!/usr/bin/env python3
"""Rewrites webhook configurations for a webhook that runs outside the cluster.

Reads objects as JSON from standard input (as `kubectl create --dry-run=client -o json` prints them) and
writes them with every clientConfig.service replaced by a URL at the given host and port.
usage: render-webhooks.py HOST:PORT
"""
import json
import sys


def objects(text):
    """The objects in a text: one after the other, or in a List."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield from value["items"] if value["kind"] == "List" else [value]
        text = text[end:].lstrip()


def main():
    if len(sys.argv) != 2 or ":" not in sys.argv[1]:
        sys.exit("usage: render-webhooks.py HOST:PORT")
    items = list(objects(sys.stdin.read()))
    for item in items:
        for webhook in item.get("webhooks", []):
            service = webhook["clientConfig"].pop("service", None)
            if service:
                webhook["clientConfig"]["url"] = f"https://{sys.argv[1]}{service.get('path', '')}"
        item["metadata"].pop("creationTimestamp", None)
    json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout, indent=1)


main()
