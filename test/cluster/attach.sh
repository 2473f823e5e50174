#!/bin/bash
# Uses the cluster of $KUBECONFIG (its current context) instead of starting one; DIR then holds only what
# runs on this machine. kwok is started for rehearsal nodes unless that cluster runs one already.
# usage: attach.sh DIR
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HERE/components.sh"

[ -r "${KUBECONFIG:-}" ] || die "KUBECONFIG='${KUBECONFIG:-}' is not one readable file: name one, or unset it to get a cluster"
dir=$(cluster_dir "${1:-}" make)
lock "$dir"

programs=(kubectl)
[ "${DRIVER:-rehearsal}" != rehearsal ] || programs+=(kwok)
bin=$("$HERE/tools.sh" "${programs[@]}")
ln -sfn "$bin" "$dir/bin"

(
	umask 077
	kube "$dir" --kubeconfig="$KUBECONFIG" config view --raw --flatten --minify >"$dir/kubeconfig.new"
) || die "no usable current context in $KUBECONFIG"
server=$(kube "$dir" --kubeconfig="$dir/kubeconfig.new" config view -o 'jsonpath={.clusters[0].cluster.server}')
[ ! -e "$dir/external" ] || [ "$(cat "$dir/external")" = "$server" ] ||
	die "$dir uses the cluster at $(cat "$dir/external"), not $server: stop it first"
mv "$dir/kubeconfig.new" "$dir/kubeconfig"
kube "$dir" get --raw /readyz >/dev/null || die "the cluster at $server does not answer: check KUBECONFIG=$KUBECONFIG"
echo "$server" >"$dir/external"

if [ "${DRIVER:-rehearsal}" = rehearsal ] && [ -z "$(kube "$dir" get deployments -A -l app=kwok-controller -o name)" ]; then
	ln -sfn kubeconfig "$dir/kwok.kubeconfig"
	ensure "$dir" kwok
fi
