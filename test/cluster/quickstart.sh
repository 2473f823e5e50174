#!/bin/bash
# From a bare Debian 12 to two ready Workspaces: packages, build, control plane, the three services, the
# examples. Run it again and it reuses all of it. "quickstart.sh stop" leaves nothing behind but the build
# and the programs in the cache. Everything else is in build/quickstart.
#
# It starts a cluster of its own, whatever ~/.kube/config says. Only if the environment variable KUBECONFIG
# names a file does it use that cluster; stop then takes out of it what was installed.
# Environment: BUILD (release), and what services.sh, tools.sh and packages.sh read.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

dir=$ROOT/build/quickstart
export BUILD=${BUILD:-release}
unset MAKEFLAGS MAKELEVEL MFLAGS
examples=(workspace-tuning-phi-3 workspace-phi-4-mini)

# --- progress -------------------------------------------------------------------------------------

begin=$EPOCHREALTIME
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f s", b - a}'; }
is_tty=
[ ! -t 1 ] || is_tty=1

child=
stopped() {
	trap '' INT TERM
	[ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true
	printf '\nstopped: run it again to go on, or "make quickstart-stop" to remove everything\n'
	exit 130
}
trap stopped INT TERM

# Runs a command in the background of this terminal: one line when it is done, and until then a line
# that moves, or on no terminal one every 15 s.
step() { # TITLE COMMAND...
	local title=$1 start=$EPOCHREALTIME log=$dir/log/quickstart.log tick=0 line spinner='-\|/'
	shift
	mkdir -p "$dir/log"
	PROGRESS_EVERY=${is_tty:-15} setsid "$@" >"$log" 2>&1 </dev/null &
	child=$!
	while kill -0 "$child" 2>/dev/null; do
		sleep 0.1
		tick=$((tick + 1))
		line="$title, $(since "$start")  $(tail -n 1 "$log" | tr -d '\r\t')"
		if [ -n "$is_tty" ]; then
			printf '\r\033[K%s' "${spinner:tick % 4:1} ${line:0:$(tput cols 2>/dev/null || echo 80) - 3}"
		elif [ $((tick % 150)) = 0 ]; then
			echo "  ... ${line:0:160}"
		fi
	done
	[ -z "$is_tty" ] || printf '\r\033[K'
	if ! wait "$child"; then
		child=
		echo "FAILED: $title, after $(since "$start"):"
		tail -n 15 "$log" | sed 's/^/  /'
		echo "  (all of it: $log)"
		exit 1
	fi
	child=
	printf '%9s  %s\n' "$(since "$start")" "$title"
}

# --- start ----------------------------------------------------------------------------------------

# True if $KUBECONFIG names a cluster other than our own, which the last lines tell users to export.
is_external() {
	[ -n "${KUBECONFIG:-}" ] && [ "$(realpath -m "$KUBECONFIG")" != "$(realpath -m "$dir/kubeconfig")" ]
}

start() {
	local cluster=up.sh title="control plane: etcd, kube-apiserver, controller manager, scheduler, kwok" programs=()
	if is_external; then
		cluster=attach.sh title="cluster of $KUBECONFIG" programs=(kubectl kwok)
		[ ! -e "$dir/kubeconfig" ] || [ -e "$dir/external" ] ||
			die "the quickstart's own cluster is up: unset KUBECONFIG, or run 'make quickstart-stop' first"
	elif [ -e "$dir/external" ]; then
		die "the quickstart uses the cluster at $(cat "$dir/external"): run 'make quickstart-stop' first"
	fi
	cluster_dir "$dir" make >/dev/null

	if [ "$(id -u)" = 0 ]; then
		step "packages" "$HERE/packages.sh"
	else
		"$HERE/packages.sh" # sudo may want a password
	fi
	step "build of the services" make -C "$ROOT" -j"$(nproc)" BUILD="$BUILD"
	step "programs of the control plane" "$HERE/tools.sh" "${programs[@]}"
	step "$title" "$HERE/$cluster" "$dir"
	step "CRDs, RBAC, webhook configurations" "$HERE/install.sh" "$dir"
	step "services: webhook, reconciler, provisioner" "$HERE/services.sh" start "$dir"
	kubectl=(env KUBERC=off "$dir/bin/kubectl" --kubeconfig="$dir/kubeconfig" --cache-dir="$dir/cache")
	step "two Workspaces applied" "${kubectl[@]}" apply -f "$ROOT/deploy/examples"

	echo "Waiting for the Workspaces:"
	"$HERE/wait-ready.py" "${QUICKSTART_WAIT:-120}" "${kubectl[@]}" -- "${examples[@]}" || {
		say "not ready: see '$HERE/services.sh status $dir', $dir/log, and"
		say "  $dir/bin/kubectl --kubeconfig=$dir/kubeconfig describe workspaces"
		exit 1
	}
	summary
}

summary() {
	printf '\nBoth Workspaces are ready, %s after the start.\n\n' "$(since "$begin")"
	kube "$dir" get workspaces
	echo
	kube "$dir" get nodeclaims,nodes,statefulsets,jobs,services,pods
	cat <<-END

		Look around:
		  export KUBECONFIG=$(is_external && echo "$KUBECONFIG" || echo "$dir/kubeconfig")
		  alias kubectl=$dir/bin/kubectl
		  kubectl describe workspace ${examples[1]}    its events tell the story
		  kubectl explain workspace.tuning.input
		  kubectl delete workspace --all                   takes nodes and workloads along
		Logs: $dir/log
		Stop: make quickstart-stop
	END
}

# --- stop -----------------------------------------------------------------------------------------

stop() {
	if [ ! -e "$dir" ]; then
		echo "The quickstart does not run."
		return
	fi
	if [ -e "$dir/external" ]; then
		step "everything out of the cluster at $(cat "$dir/external")" "$HERE/uninstall.sh" "$dir"
	fi
	"$HERE/down.sh" "$dir"
	echo "Stopped, and $dir removed. Kept: the build, and the programs in the cache" \
		"(${CKAITO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ckaito})."
}

case "${1:-start}" in
start) start ;;
stop) stop ;;
*) die "usage: quickstart.sh [stop]" ;;
esac
