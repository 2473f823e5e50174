#!/bin/bash
# Stops everything that runs in DIR, the services included, and removes DIR.
# usage: down.sh DIR
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "$(ls -A "${1:?usage: down.sh DIR}" 2>/dev/null)" ] || exit 0
dir=$(cluster_dir "$1")
"$HERE/services.sh" stop "$dir"
lock "$dir"
# What they hold is thrown away, so there is nothing to wait for.
for name in kwok kube-scheduler kube-controller-manager kube-apiserver etcd; do
	finish "$dir" "$name" 0
done
for _ in 1 2 3 4 5; do
	if rm -rf "$dir" 2>/dev/null; then exit 0; fi # what was just killed may still have written
	sleep 0.2
done
rm -rf "$dir"
