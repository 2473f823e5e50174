#!/bin/bash
# Makes what a control plane in DIR needs to be trusted and to trust: a CA, the API server's
# certificate, the key for service account tokens, one token and kubeconfig per user, the audit policy.
# What exists is kept.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
umask 077
dir=$(cd "${1:?usage: credentials.sh DIR}" && pwd)
pki=$dir/pki
url=https://127.0.0.1:$(port "$dir" kube-apiserver)
mkdir -p "$pki"

make_keys() {
	local new=$pki/new
	rm -rf "$new"
	mkdir "$new"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=ckaito-test-ca \
		-addext keyUsage=critical,keyCertSign,cRLSign -keyout "$new/ca.key" -out "$new/ca.crt"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kube-apiserver \
		-keyout "$new/server.key" -out "$new/server.csr"
	openssl x509 -req -in "$new/server.csr" -CA "$new/ca.crt" -CAkey "$new/ca.key" -CAcreateserial -days 3650 \
		-out "$new/server.crt" -extfile <(
			echo subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc
			echo extendedKeyUsage=serverAuth
		)
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$new/service-account.key"
	openssl pkey -in "$new/service-account.key" -pubout -out "$new/service-account.pub"
	mv "$new"/* "$pki/"
	rmdir "$new"
}
# server.crt is the last to be looked at: a half-made set is made anew.
if [ ! -s "$pki/server.crt" ] || [ ! -s "$pki/service-account.pub" ]; then
	make_keys 2>"$dir/log/openssl.log" || die "openssl failed: $(tail -n 1 "$dir/log/openssl.log") (see $dir/log/openssl.log)"
fi

# Every request but the first half of it, one JSON object a line: tests read who wrote what.
cat >"$pki/audit-policy.json" <<-END
	{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
	 "rules": [{"level": "Metadata"}]}
END

# The product's services are known as their service accounts, so deploy/rbac.yaml binds here as it
# does in a real cluster. The webhook has no credentials.
[ -s "$pki/tokens.csv" ] || {
	while read -r name user groups; do
		echo "$(openssl rand -hex 24),$user,$name,\"$groups\""
	done >"$pki/tokens.csv.new" <<-END
		admin admin system:masters
		kube-controller-manager system:kube-controller-manager system:masters
		kube-scheduler system:kube-scheduler system:authenticated
		kwok kwok system:masters
		reconciler system:serviceaccount:ckaito-system:ckaito-reconciler system:serviceaccounts,system:serviceaccounts:ckaito-system
		provisioner system:serviceaccount:ckaito-system:ckaito-provisioner system:serviceaccounts,system:serviceaccounts:ckaito-system
	END
	mv "$pki/tokens.csv.new" "$pki/tokens.csv"
}

# For curl, in a file so that no token is seen in the list of processes.
sed -n 's/^\([^,]*\),admin,.*/Authorization: Bearer \1/p' "$pki/tokens.csv" >"$pki/admin.header"

while IFS=, read -r token _ name _; do
	file=$dir/$name.kubeconfig
	[ "$name" != admin ] || file=$dir/kubeconfig
	cat >"$file.new" <<-END
		apiVersion: v1
		kind: Config
		current-context: ckaito
		contexts:
		- name: ckaito
		  context: {cluster: ckaito, user: $name}
		clusters:
		- name: ckaito
		  cluster:
		    server: $url
		    certificate-authority-data: $(base64 -w 0 "$pki/ca.crt")
		users:
		- name: $name
		  user:
		    token: $token
	END
	mv "$file.new" "$file"
done <"$pki/tokens.csv"
