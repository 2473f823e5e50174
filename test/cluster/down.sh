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
rm -rf "$dir"
