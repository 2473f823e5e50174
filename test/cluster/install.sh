#!/bin/bash
# Installs into the cluster of DIR what the product needs there: Karpenter's CRDs and its own, the
# namespace, RBAC, and the webhook configurations, which point at a webhook on this machine.
# usage: install.sh DIR
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HERE/components.sh"

dir=$(cluster_dir "${1:-}")
lock "$dir"
apply() { kube "$dir" apply --server-side --force-conflicts --field-manager=ckaito-install "$@" >/dev/null; }
crds() { kube "$dir" get crd -o name | sort; }

before=$(crds) || die "the API server does not answer: run up.sh $dir"
karpenter=$("$HERE/tools.sh" crds)
apply -f "$karpenter" -f "$ROOT/deploy/crds" || die "cannot install the CRDs: see the line above"
mapfile -t new < <(comm -13 <(echo "$before") <(crds))
if [ ${#new[@]} -gt 0 ]; then
	printf '%s\n' "${new[@]}" >>"$dir/installed" # what uninstall.sh may remove
	kube "$dir" wait --for=condition=Established --timeout=30s "${new[@]}" >/dev/null
	# The garbage collector looks for new kinds every 30 s only; a new one looks at once.
	if alive "$dir" kube-controller-manager; then
		finish "$dir" kube-controller-manager 0
		start_kube-controller-manager "$dir"
	fi
fi

apply -f "$ROOT/deploy/namespace.yaml" || die "cannot make the namespace: see the line above"
apply -f "$ROOT/deploy/rbac.yaml" || die "cannot install RBAC: see the line above"
kube "$dir" create --dry-run=client -o json -f "$ROOT/deploy/webhook.yaml" |
	"$HERE/render-webhooks.py" "${WEBHOOK_HOST:-127.0.0.1}:$(port "$dir" webhook)" | apply -f - ||
	die "cannot install the webhook configurations: see the line above"

# In a cluster that is not ours, the services act as their service accounts; a new run renews the tokens.
if [ -e "$dir/external" ]; then
	umask 077
	for name in reconciler provisioner; do
		kube "$dir" -n ckaito-system create token "ckaito-$name" --duration=24h >"$dir/$name.token.new"
		mv "$dir/$name.token.new" "$dir/$name.token"
		cp "$dir/kubeconfig" "$dir/$name.kubeconfig.new"
		config() { "$dir/bin/kubectl" --kubeconfig="$dir/$name.kubeconfig.new" config "$@"; }
		config set "users.$name.tokenFile" "$dir/$name.token" >/dev/null
		config set-context --current --user="$name" >/dev/null
		config view --raw --flatten --minify >"$dir/$name.kubeconfig"
		rm "$dir/$name.kubeconfig.new"
	done
fi
