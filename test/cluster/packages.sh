#!/bin/bash
# Installs the Debian packages that the build and the tests need, if any is missing. With the
# argument "lint", those of the linters too. Root, or sudo, is needed only when one is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(gcc make pkg-config libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libcjson-dev libyaml-dev
	libnng-dev uthash-dev libcmocka-dev git ca-certificates python3 python3-venv openssl curl procps iproute2)
case "${1:-}" in
"") ;;
lint) packages+=(clang clang-tidy clang-format libclang-rt-14-dev cppcheck shellcheck codespell) ;;
*) die "unknown argument $1: none, or lint" ;;
esac

type -P dpkg-query >/dev/null || die "not a Debian system: install by hand what these packages hold: ${packages[*]}"
missing=()
for name in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
	type -P sudo >/dev/null || die "packages are missing: as root, run: apt-get install ${missing[*]}"
	as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }

say "installing ${missing[*]}"
# The package lists may be absent or stale: try with those at hand, then with new ones.
apt install --no-install-recommends "${missing[@]}" 2>/dev/null || {
	apt update
	apt install --no-install-recommends "${missing[@]}"
} || die "apt-get failed: check the lines above, then run: apt-get install ${missing[*]}"
