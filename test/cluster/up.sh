#!/bin/bash
# Brings up a Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager,
# kube-scheduler, and kwok, which plays the nodes. All state is in DIR; DIR/kubeconfig is the
# administrator's. On a DIR that is up already it does nothing, and it restarts what has died.
# usage: up.sh DIR
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HERE/components.sh"

dir=$(cluster_dir "${1:-}" make)
lock "$dir"

up() {
	local name
	for name in etcd kube-apiserver kube-controller-manager kube-scheduler kwok; do
		alive "$dir" "$name" || return 1
	done
	apiserver_ready "$dir"
}
! up || exit 0

bin=$("$HERE/tools.sh")
ln -sfn "$bin" "$dir/bin"
port "$dir" webhook >/dev/null # where install.sh says and services.sh runs it
"$HERE/credentials.sh" "$dir"

ensure "$dir" etcd etcd_ready
ensure "$dir" kube-apiserver apiserver_ready
for name in kube-controller-manager kube-scheduler kwok; do
	alive "$dir" "$name" || "start_$name" "$dir"
done

# The controller manager is at work when it has made the default service account, without which the
# API server refuses pods.
controllers_ready() {
	http_ok --cacert "$1/pki/ca.crt" -H @"$1/pki/admin.header" \
		"$(apiserver_url "$1")/api/v1/namespaces/default/serviceaccounts/default"
}
ensure "$dir" kube-controller-manager controllers_ready
ensure "$dir" kube-scheduler
ensure "$dir" kwok
