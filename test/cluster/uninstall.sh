#!/bin/bash
# Takes out of the cluster of DIR what install.sh put there. For a cluster that is not ours; one of ours
# goes as a whole. A CRD goes only if install.sh brought it and nobody else's objects need it.
# usage: uninstall.sh DIR
set -euo pipefail
. "$(dirname "$0")/lib.sh"

dir=$(cluster_dir "${1:-}")
delete() { kube "$dir" delete --ignore-not-found --timeout=120s "$@" >/dev/null; }

delete -f "$ROOT/deploy/examples" 2>/dev/null || [ -z "$(kube "$dir" get workspaces -A -o name 2>/dev/null)" ] ||
	die "the example Workspaces do not go: see '$HERE/services.sh status $dir' and $dir/log, then try again"
delete mutatingwebhookconfiguration/ckaito validatingwebhookconfiguration/ckaito
others=$(kube "$dir" get workspaces,nodeclaims,nodepools -A -o name --ignore-not-found 2>/dev/null | wc -l)
if [ "$others" = 0 ] && [ -s "$dir/installed" ]; then
	mapfile -t crds <"$dir/installed"
	delete "${crds[@]}"
elif [ "$others" != 0 ]; then
	say "$others other Workspaces, NodeClaims or NodePools are in the cluster: their CRDs stay"
fi
delete -f "$ROOT/deploy/rbac.yaml" -f "$ROOT/deploy/namespace.yaml"
