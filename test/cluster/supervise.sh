#!/bin/bash
# Runs one service of the cluster in DIR and starts it again whenever it ends, after 0.2 s at first and
# 2 s at most. SIGTERM ends both. Its own pid is in DIR/pid/NAME.supervisor, the service's in DIR/pid/NAME,
# and DIR/run/NAME.ended says how often it ended in a row before it had run for 10 s.
# usage: supervise.sh DIR NAME COMMAND...
set -uo pipefail
dir=$1 name=$2
shift 2

child=
trap 'trap "" TERM; [ -z "$child" ] || { kill -TERM "$child"; wait "$child"; }; exit 0' TERM

delay=2 # tenths of a second
ended=0
while true; do
	started=$SECONDS
	"$@" &
	child=$!
	echo "$child" >"$dir/pid/$name"
	wait "$child"
	status=$?
	child=
	[ $((SECONDS - started)) -lt 10 ] || delay=2 ended=0
	echo $((++ended)) >"$dir/run/$name.ended"
	echo "supervisor: $name ended with status $status, it starts again in $((delay / 10)).$((delay % 10)) s"
	sleep "$((delay / 10)).$((delay % 10))"
	delay=$((delay * 2 > 20 ? 20 : delay * 2))
done
