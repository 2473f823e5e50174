# How each program of the control plane is started. Sourced, never run. Every function takes the
# cluster's folder and starts one program in the background.
# shellcheck shell=bash

start_etcd() {
	local dir=$1 client peer
	client=http://127.0.0.1:$(port "$dir" etcd)
	peer=http://127.0.0.1:$(port "$dir" etcd-peer)
	spawn "$dir" etcd "$dir/bin/etcd" --data-dir="$dir/etcd" --log-level=warn --unsafe-no-fsync \
		--listen-client-urls="$client" --advertise-client-urls="$client" \
		--listen-peer-urls="$peer" --initial-advertise-peer-urls="$peer" --initial-cluster="default=$peer"
}

# Profiles that a real cluster has: RBAC, admission of service accounts, privileged pods allowed.
start_kube-apiserver() {
	local dir=$1
	spawn "$dir" kube-apiserver "$dir/bin/kube-apiserver" \
		--etcd-servers="http://127.0.0.1:$(port "$dir" etcd)" \
		--bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$(port "$dir" kube-apiserver)" \
		--endpoint-reconciler-type=none --service-cluster-ip-range=10.96.0.0/16 \
		--cert-dir="$dir/pki" --tls-cert-file="$dir/pki/server.crt" --tls-private-key-file="$dir/pki/server.key" \
		--service-account-issuer=https://kubernetes.default.svc \
		--service-account-key-file="$dir/pki/service-account.pub" \
		--service-account-signing-key-file="$dir/pki/service-account.key" \
		--authorization-mode=RBAC --token-auth-file="$dir/pki/tokens.csv" --allow-privileged=true \
		--audit-policy-file="$dir/pki/audit-policy.json" --audit-log-path="$dir/audit.log" \
		--audit-log-maxsize=1000 --profiling=false
}

# No leader election, so that a restarted one acts at once and an idle cluster stays quiet. Nodes
# here send no heartbeat, so their silence must not count against them.
start_kube-controller-manager() {
	local dir=$1
	spawn "$dir" kube-controller-manager "$dir/bin/kube-controller-manager" \
		--kubeconfig="$dir/kube-controller-manager.kubeconfig" --secure-port=0 --leader-elect=false \
		--root-ca-file="$dir/pki/ca.crt" --service-account-private-key-file="$dir/pki/service-account.key" \
		--node-monitor-grace-period=8760h --kube-api-qps=500 --kube-api-burst=1000 \
		--flex-volume-plugin-dir="$dir/flexvolume"
}

start_kube-scheduler() {
	local dir=$1
	spawn "$dir" kube-scheduler "$dir/bin/kube-scheduler" \
		--kubeconfig="$dir/kube-scheduler.kubeconfig" --secure-port=0 --leader-elect=false
}

start_kwok() {
	local dir=$1
	HOME=$dir spawn "$dir" kwok "$dir/bin/kwok" --kubeconfig="$dir/kwok.kubeconfig" --config="${KWOK_CONFIG:-$HERE/kwok.yaml}"
}

apiserver_url() { echo "https://127.0.0.1:$(port "$1" kube-apiserver)"; }

apiserver_ready() { http_ok --cacert "$1/pki/ca.crt" "$(apiserver_url "$1")/readyz"; }

etcd_ready() { http_ok "http://127.0.0.1:$(port "$1" etcd)/health"; }

# Starts NAME unless it runs, and waits until it is ready; a program that ends tells why.
ensure() { # DIR NAME [READY-COMMAND]
	local dir=$1 name=$2 ready=${3:-true} end=$((SECONDS + 60))
	alive "$dir" "$name" || "start_$name" "$dir"
	until "$ready" "$dir"; do
		alive "$dir" "$name" || die "$name ended: $(last_words "$dir" "$name") (see $dir/log/$name.log)"
		[ $SECONDS -lt $end ] || die "$name is not ready after 60 s: $(last_words "$dir" "$name") (see $dir/log/$name.log)"
		sleep 0.05
	done
}
