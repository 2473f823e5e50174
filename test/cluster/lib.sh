# Helpers that the scripts of this folder share. Sourced, never run.
# shellcheck shell=bash disable=SC2034

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
MARKER=.ckaito-cluster # a folder that holds this file is ours, and may be removed

say() { printf '%s\n' "$*" >&2; }

die() {
	say "${0##*/}: $*"
	exit 1
}

# The cluster's folder, absolute; made and marked when the second argument is "make".
cluster_dir() {
	[ -n "${1:-}" ] || die "which folder? usage: ${0##*/} DIR"
	if [ "${2:-}" = make ]; then
		if [ -d "$1" ] && [ ! -e "$1/$MARKER" ] && [ -n "$(ls -A "$1")" ]; then
			die "$1 holds other files: name a folder that is new or empty"
		fi
		mkdir -p "$1" || die "cannot make the folder $1"
		touch "$1/$MARKER"
		mkdir -p "$1/log" "$1/pid" "$1/run"
		chmod 700 "$1"
	fi
	[ -e "$1/$MARKER" ] || die "no cluster in $1: start one with ${HERE#"$PWD"/}/up.sh $1"
	(cd "$1" && pwd)
}

# One script at a time works on a cluster. Descriptor 9 is closed for every process that stays.
lock() {
	exec 9>"$1/lock"
	flock -w 120 9 || die "another script is at work on $1: wait for it, or end it"
}

# --- processes ------------------------------------------------------------------------------------

# The pid of process NAME if it still runs. A pid file may be stale (a crash, a reboot), so the
# process must name the cluster's folder on its own command line before it is trusted.
pid_of() { # DIR NAME
	local pid command
	pid=$(cat "$1/pid/$2" 2>/dev/null) && [ -n "$pid" ] || return 1
	command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
	[[ $command == *"$1/"* ]] || return 1
	echo "$pid"
}

alive() { pid_of "$1" "$2" >/dev/null; }

# Starts a command in the background, apart from this terminal, and notes its pid.
spawn() { # DIR NAME COMMAND...
	local dir=$1 name=$2
	shift 2
	setsid "$@" >>"$dir/log/${name%.supervisor}.log" 2>&1 </dev/null 9>&- &
	echo $! >"$dir/pid/$name"
}

# Ends process NAME: SIGTERM, up to WAIT seconds, then SIGKILL. Not running is no error.
finish() { # DIR NAME WAIT
	local pid tries=$(($3 * 20))
	if pid=$(pid_of "$1" "$2"); then
		kill -TERM "$pid" 2>/dev/null || true
		while alive "$1" "$2"; do
			if [ $((tries--)) -le 0 ]; then
				kill -KILL "$pid" 2>/dev/null || true
			fi
			sleep 0.05
		done
	fi
	rm -f "$1/pid/$2"
}

# The last line that a process logged, for an error message.
last_words() { grep -v '^supervisor:' "$1/log/$2.log" 2>/dev/null | tail -n 1 | cut -c 1-300; }

# kubectl for the cluster of DIR, and for no other: it reads no file of the user's and leaves none.
kube() { # DIR ARGUMENTS...
	local dir=$1
	shift
	KUBERC=off "$dir/bin/kubectl" --kubeconfig="$dir/kubeconfig" --cache-dir="$dir/cache" "$@"
}

# --- ports ----------------------------------------------------------------------------------------

# The TCP port of NAME in this cluster: chosen once, then always the same. Taken from below the
# range that the kernel hands out to clients, so that nobody grabs it while its owner restarts.
port() { # DIR NAME
	local line
	if line=$(grep "^$2=" "$1/ports" 2>/dev/null); then
		echo "${line#*=}"
		return
	fi
	line=$(python3 - "$1/ports" <<-'PY'
		import random, socket, sys
		try:
		    taken = {line.split("=")[1].strip() for line in open(sys.argv[1])}
		except FileNotFoundError:
		    taken = set()
		for _ in range(200):
		    port = random.randrange(20000, 32000)
		    with socket.socket() as s:
		        try:
		            s.bind(("127.0.0.1", port))
		        except OSError:
		            continue
		    if str(port) not in taken:
		        print(port)
		        break
	PY
	)
	[ -n "$line" ] || die "no free TCP port between 20000 and 32000 on 127.0.0.1"
	echo "$2=$line" >>"$1/ports"
	echo "$line"
}

# --- HTTP -----------------------------------------------------------------------------------------

http_ok() { [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$@" 2>/dev/null)" = 200 ]; }

# Waits until a command succeeds; fails after SECONDS.
wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
