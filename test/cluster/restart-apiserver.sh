#!/bin/bash
# Kills the API server of DIR (SIGKILL) and starts it again on the same port, PAUSE seconds later.
# usage: restart-apiserver.sh DIR [PAUSE]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$HERE/components.sh"

dir=$(cluster_dir "${1:-}")
lock "$dir"
if pid=$(pid_of "$dir" kube-apiserver); then
	kill -KILL "$pid"
	while alive "$dir" kube-apiserver; do sleep 0.02; done
fi
sleep "${2:-0}"
ensure "$dir" kube-apiserver apiserver_ready
