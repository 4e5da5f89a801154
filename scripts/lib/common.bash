# shellcheck shell=bash
# What the scripts share: where they are, and how they speak.

set -euo pipefail

# The root of the source tree, in which every script runs.
top=$(realpath "${BASH_SOURCE[0]%/*}/../..")
cd "$top"

# heading WORDS...: what comes next.
heading() { printf '\n== %s\n' "$*"; }

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "must be root (containers are made with mounts and cgroups)"; }
