#!/bin/bash
# Runs the product against the cluster in DIR: webhook, reconciler and provisioner as three processes,
# or, with SERVICES=allinone, as one. Each is started again when it dies.
# usage: services.sh start DIR | stop DIR | restart NAME DIR | status DIR
#
# Environment: BUILD (release: which folder of build/ the programs come from), CLOUD (azure), DRIVER
# (rehearsal), REHEARSAL_DELAY (3s), WEBHOOK_HOST (127.0.0.1: the address of this machine at which the
# API server reaches the webhook), WEBHOOK_FLAGS, RECONCILER_FLAGS, PROVISIONER_FLAGS (more flags).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

action=${1:-}
case "$action" in
start | stop | status) dir=$(cluster_dir "${2:-}") ;;
restart) only=${2:-} dir=$(cluster_dir "${3:-}") ;;
*) die "usage: services.sh start DIR | stop DIR | restart NAME DIR | status DIR" ;;
esac
programs=$ROOT/build/${BUILD:-release}
three="ckaito-reconciler ckaito-provisioner ckaito-webhook"

running() { cat "$dir/services" 2>/dev/null || true; } # the names that start has started

# --- command lines --------------------------------------------------------------------------------

# Sockets live in DIR/run, unless its path is too long for the address of a Unix socket.
socket_dir() {
	if [ -s "$dir/socket-dir" ]; then
		cat "$dir/socket-dir"
	elif [ ${#dir} -le 80 ]; then
		echo "$dir/run"
	else
		mktemp -d /tmp/ckaito-run.XXXXXX | tee "$dir/socket-dir"
	fi
}

common_flags() { # NAME
	echo "--health-address=127.0.0.1:$(port "$dir" "$1-health")"
	echo "--log-level=${LOG_LEVEL:-info}"
}
url_flags() { # MESSAGE...: those that this service sends or answers
	local sockets url
	sockets=$(socket_dir)
	for url in "$@"; do
		echo "--$url-url=ipc://$sockets/$url.ipc"
	done
}
webhook_flags() {
	echo "--listen=${WEBHOOK_HOST:-127.0.0.1}:$(port "$dir" webhook)"
	echo "--tls-dir=$dir/certs/webhook"
	tr ' ' '\n' <<<"${WEBHOOK_FLAGS:-}"
}
reconciler_flags() {
	echo "--namespace=ckaito-system"
	echo "--certificate-dir=$dir/certs"
	echo "--webhook-hosts=${WEBHOOK_HOST:-127.0.0.1},localhost"
	echo "--webhook-configuration=ckaito"
	echo "--cloud=${CLOUD:-azure}"
	tr ' ' '\n' <<<"${RECONCILER_FLAGS:-}"
}
provisioner_flags() {
	echo "--driver=${DRIVER:-rehearsal}"
	[ "${DRIVER:-rehearsal}" != rehearsal ] || echo "--rehearsal-delay=${REHEARSAL_DELAY:-3s}"
	tr ' ' '\n' <<<"${PROVISIONER_FLAGS:-}"
}
# The credentials of one service; a cluster that we did not start has but one kubeconfig.
kubeconfig_flag() {
	local file=$dir/$1.kubeconfig
	[ -e "$file" ] || file=$dir/kubeconfig
	echo "--kubeconfig=$file"
}
flags() { # NAME
	common_flags "$1"
	case "$1" in
	ckaito-webhook) url_flags config-check rejection && webhook_flags ;;
	ckaito-reconciler) url_flags demand state config-check rejection && kubeconfig_flag reconciler && reconciler_flags ;;
	ckaito-provisioner) url_flags demand state && kubeconfig_flag provisioner && provisioner_flags ;;
	ckaito) kubeconfig_flag admin && webhook_flags && reconciler_flags && provisioner_flags ;;
	esac
}

# --- one service ----------------------------------------------------------------------------------

# False if the service's file has been built anew since it was started.
same_program() { [[ $(readlink "/proc/$(pid_of "$dir" "$1")/exe" 2>/dev/null) != *' (deleted)' ]]; }

# Starts a service, unless it runs already from the same file with the same flags.
start_one() {
	local name=$1 command
	[ -x "$programs/$name" ] || die "$programs/$name is missing: run make${BUILD:+ BUILD=$BUILD} first"
	mapfile -t command < <(echo "$programs/$name" && flags "$name" | sed '/^$/d')
	if alive "$dir" "$name.supervisor" && same_program "$name" && [ "$(cat "$dir/run/$name.ended")" -lt 4 ] &&
		printf '%s\n' "${command[@]}" | cmp -s - "$dir/run/$name.command"; then
		return
	fi
	stop_one "$name"
	printf '%s\n' "${command[@]}" >"$dir/run/$name.command"
	echo 0 >"$dir/run/$name.ended"
	spawn "$dir" "$name.supervisor" "$HERE/supervise.sh" "$dir" "$name" "${command[@]}"
}

stop_one() {
	finish "$dir" "$1.supervisor" 5
	finish "$dir" "$1" 5 # left over where the supervisor was killed
}

health_url() { echo "http://127.0.0.1:$(port "$dir" "$1-health")/readyz"; }

wait_ready() {
	local name=$1 end=$((SECONDS + 30)) why=
	until http_ok "$(health_url "$name")"; do
		if [ "$(cat "$dir/run/$name.ended")" -ge 4 ]; then
			why="ends as soon as it is started"
		elif [ $SECONDS -ge $end ]; then
			why="is not ready after 30 s: $(curl -s -m 2 "$(health_url "$name")" | tr '\n' ' ' || true)"
		fi
		[ -z "$why" ] || die "$name $why: $(last_words "$dir" "$name") (see $dir/log/$name.log)"
		sleep 0.05
	done
}

# The API server learns of a new certificate authority a moment after it was written.
wait_admission() {
	local end=$((SECONDS + 15)) answer
	until answer=$(env KUBERC=off "$dir/bin/kubectl" --kubeconfig="$dir/kubeconfig" --cache-dir="$dir/cache" \
		create --dry-run=server -f "$HERE/../../deploy/examples/tuning-phi-3.yaml" 2>&1); do
		[[ $answer == *"failed calling webhook"* ]] || return 0 # an answer, if not the one hoped for
		[ $SECONDS -lt $end ] || die "the API server does not reach the webhook: $(head -n 1 <<<"$answer")"
		sleep 0.1
	done
}

# --- actions --------------------------------------------------------------------------------------

[ "$action" = status ] || lock "$dir"
case "$action" in
start)
	names=$three
	[ "${SERVICES:-}" != allinone ] || names=ckaito
	for name in $(running); do
		[[ " $names " == *" $name "* ]] || stop_one "$name"
	done
	echo "$names" >"$dir/services"
	for name in $names; do start_one "$name"; done
	for name in $names; do wait_ready "$name"; done
	wait_admission
	;;
stop)
	for name in $(running); do stop_one "$name"; done
	[ ! -s "$dir/socket-dir" ] || rm -rf "$(cat "$dir/socket-dir")"
	rm -f "$dir/services" "$dir/socket-dir" "$dir/run"/*.ipc
	;;
restart)
	[[ " $(running) " == *" $only "* ]] || die "$only does not run in $dir: one of $(running)"
	old=$(pid_of "$dir" "$only") || die "$only is between two starts: try again in a moment"
	kill -TERM "$old"
	renewed() { local new; new=$(pid_of "$dir" "$only") && [ "$new" != "$old" ]; }
	wait_for 30 renewed || die "$only did not start again: $(last_words "$dir" "$only") (see $dir/log/$only.log)"
	wait_ready "$only"
	;;
status)
	failed=0
	for name in $(running); do
		state="not running"
		if pid=$(pid_of "$dir" "$name"); then
			state="pid $pid, not ready"
			http_ok "$(health_url "$name")" && state="pid $pid, ready, $(awk '/^VmRSS/ {print $2}' "/proc/$pid/status") KiB" || failed=1
		else
			failed=1
		fi
		echo "$name: $state"
	done
	exit $failed
	;;
esac
