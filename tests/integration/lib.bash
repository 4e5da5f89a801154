# The language in which the integration tests are written. See README.md for how to use it.
#
# A test gets, fresh: $ID (a container id that is unique on the machine; further ones begin with it),
# $BUNDLE (a bundle of busybox whose config.json is default.json), $ROOT (the runtime's state) and
# $T (a directory for its files). When it ends, the containers in $ROOT are deleted, and the test
# fails if anything of it is left on the host.

bats_require_minimum_version 1.5.0

# ---- set-up and clean-up ------------------------------------------------------------------------

# A file with a setup of its own begins it with this.
set_up() {
	exec </dev/null
	T=$BATS_TEST_TMPDIR
	ROOT=$T/root
	ID=t$$t
	BUNDLE=$T/bundle
	SPAWNED=()
	make_bundle "$BUNDLE"
	snapshot_host
	# A file's own moat_command must say it, too; teardown looks at what it left.
	[ "$MOAT_MODE" != vm ] || assert_has " $(echo $(moat_command)) " " --vm "
}

setup() { set_up; }

teardown() {
	local id pid plain=
	# A setup that came to no set_up: all that follows would look for the test's things without its names.
	[ "${ID-}" ] && [ "${T-}" ] || return 0
	[ "${BATS_TEST_COMPLETED-}" ] || show_files
	for pid in "${SPAWNED[@]}"; do
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	# Most tests have left none, and no program need be started. (Of names with an @ none is a container's.)
	! compgen -G "$ROOT/[!@]*/" >/dev/null || for id in $(moat list -q 2>/dev/null); do
		is_of_mode "$id" || plain+=" $id"
		moat delete --force "$id" || :
	done
	assert_nothing_left || {
		sweep
		return 1
	}
	rm -rf "$BUNDLE"
	[ -z "$plain" ] || fail "ran as a plain container:$plain"
}

# is_of_mode ID: in VM mode it is a microVM, by its record: else the test shows nothing of VM mode. (One whose runtime was
# killed may have no record.)
is_of_mode() {
	local record=$ROOT/$1/state.json
	[ "$MOAT_MODE" != vm ] || [ ! -e "$record" ] || [[ $(<"$record") == *'"mode":"vm"'* ]]
}

# show_files: how what a test that failed has kept in $T ends: what programs in the background have said.
show_files() {
	local file
	for file in "$T"/*; do
		[ -f "$file" ] && [ -s "$file" ] && [ "$(stat -c %s "$file")" -le 100000 ] && grep -qI . "$file" || continue
		echo "-- ${file#"$T"/}:"
		tail -n 20 "$file"
	done
	moat list 2>&1 || :
}

# snapshot_host: remember the mounts that assert_nothing_left compares with.
snapshot_host() {
	mounts_before=$(</proc/self/mountinfo)
}

# assert_nothing_left: no mount, cgroup, process or state of this test is on the host. What ends
# by itself gets two seconds for it.
assert_nothing_left() {
	wait_for 2 nothing_left && return
	echo "left on the host:"
	leftovers
	return 1
}

nothing_left() {
	local left
	left=$(leftovers) && [ -z "$left" ]
}

# helpers/leftovers.c tells what counts. The mounts of a container name the test's directory as it is in
# the file system that it lies in.
leftovers() { "$HELPERS/leftovers" "$ID" "$ROOT" "${BATS_TEST_TMPDIR#"${BATS_RUN_TMPDIR%/*}"}/" <<<"$mounts_before"; }
our_processes() { "$HELPERS/leftovers" --processes "$ID" "$ROOT" "${BATS_TEST_TMPDIR#"${BATS_RUN_TMPDIR%/*}"}/"; }

# sweep: remove by force what a broken runtime left, so that the next test starts clean.
sweep() {
	local pid dir
	while read -r _ _ _ _ dir _; do
		[[ $dir != "$T"/* ]] || umount -l "$dir" || :
	done < <(tac /proc/self/mountinfo)
	for pid in $(our_processes); do
		kill -KILL "$pid" 2>/dev/null || :
	done
	wait_for 2 no_processes || :
	find /sys/fs/cgroup -depth -type d -name "*$ID*" | while read -r dir; do
		find "$dir" -depth -type d -exec rmdir {} \;
	done
}

no_processes() {
	local left
	left=$(our_processes) && [ -z "$left" ]
}

# wait_for SECONDS COMMAND...: true as soon as COMMAND is, false when it is not in time. A microVM, which may
# boot on an emulated machine, gets ten times as long (setup_suite).
wait_for() {
	local end=$((SECONDS + $1 * PATIENCE))
	shift
	until "$@"; do
		[ "$SECONDS" -le "$end" ] || return 1
		sleep 0.02
	done
}

# rounds N: how often a race is run: N times, or where $MOAT_ROUNDS says so that percentage of it.
rounds() { seq $((($1 * ${MOAT_ROUNDS:-100} + 99) / 100)); }

# spawn COMMAND...: run COMMAND in the background until the test ends; its pid is left in $spawned.
# The caller redirects its streams.
spawn() {
	# Without <&0 bash gives what runs in the background no stdin.
	"$@" <&0 3>&- 4>&- &
	spawned=$!
	SPAWNED+=("$spawned")
}

# ---- the bundle ---------------------------------------------------------------------------------

# make_bundle DIR: a root file system of its own (only the executables are shared, by hard links)
# and the default config.json.
make_bundle() {
	cp -alT "$TEMPLATE/bundle" "$1"
	cp -r "$TEMPLATE/own/." "$1"
}

# make_rootfs DIR: only the root file system, and all of it its own.
make_rootfs() {
	cp -a "$TEMPLATE/bundle/rootfs" "$1"
	cp -r "$TEMPLATE/own/rootfs/." "$1"
}

# chown_rootfs OWNER[:GROUP]: all of the root file system becomes OWNER's, also what was shared.
chown_rootfs() {
	cp -a "$BUNDLE/rootfs" "$BUNDLE/rootfs.own"
	rm -r "$BUNDLE/rootfs"
	mv "$BUNDLE/rootfs.own" "$BUNDLE/rootfs"
	chown -hR "$1" "$BUNDLE/rootfs"
}

# jq is gojq, which starts ten times as fast as jq 1.6: in the test VM that is a second a call. Unlike
# jq's its objects are sorted by key.
jq() { gojq "$@"; }

# config [JQ OPTIONS] FILTER: change config.json by a jq filter.
config() {
	jq "$@" <"$BUNDLE/config.json" >"$T/config.json"
	mv "$T/config.json" "$BUNDLE/config.json"
}

# set_args COMMAND...: what the container shall run.
set_args() { config '.process.args = $ARGS.positional' --args -- "$@"; }

# ---- running ------------------------------------------------------------------------------------

# moat ARGUMENTS...: the runtime, in the mode under test, with this test's state, and never for
# longer than a minute, in VM mode ten (see wait_for). Every call of the runtime goes through here or through
# moat_command.
moat() { timeout --foreground -k 5 $((60 * PATIENCE)) $(moat_command) "$@" 3>&- 4>&-; }

# moat_command: the words that moat() begins with, for tests that need the runtime's own pid or fds.
moat_command() {
	echo "$MOAT" --root "$ROOT"
	mode_flag
}

# mode_flag: the mode under test, for files with a moat_command of their own.
mode_flag() { [ "$MOAT_MODE" = container ] || echo --vm; }

# copy_moat: moat as $T/moat, for users to whom the tree of the build may be closed. In VM mode also what microVMs are made of,
# and in ${KVM[@]} the words before a command of root's that give it a /dev/kvm that is everybody's.
copy_moat() {
	local built=vm-mode/kernel/built
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	cp "$MOAT" "$T/moat"
	KVM=()
	[ "$MOAT_MODE" = vm ] || return 0
	mkdir -p "$T/$built" "$T/dev"
	cp "$SUITE/../../agent.cpio" "$T"
	cp "$SUITE/../../$built/vmlinux" "$T/$built"
	cat >"$T/with-kvm" <<-'EOF'
		#!/bin/sh
		mount -t tmpfs -o mode=755 tmpfs "${0%/*}/dev"
		mknod -m 666 "${0%/*}/dev/kvm" c 10 232
		mount --bind "${0%/*}/dev/kvm" /dev/kvm
		exec "$@"
	EOF
	chmod +x "$T/with-kvm"
	KVM=(unshare --mount --propagation private "$T/with-kvm")
}

# on_terminal COMMAND...: run it on a terminal of 40 lines of 120 characters; what appears on it,
# carriage returns removed, is the output.
on_terminal() {
	local command
	printf -v command '%q ' "$@"
	# A stdin that doesn't end: at an end of file script types one, and can lose what is shown.
	[ -p "$T/tty-in" ] || mkfifo "$T/tty-in"
	script --quiet --return --echo never --command "stty rows 40 cols 120; exec $command" /dev/null \
		<>"$T/tty-in" 3>&- 4>&- | tr -d '\r'
	return "${PIPESTATUS[0]}"
}

# moat_on_terminal ARGUMENTS...: moat() on a terminal.
moat_on_terminal() { on_terminal timeout --foreground -k 5 $((60 * PATIENCE)) $(moat_command) "$@"; }

# attempt COMMAND...: run it whatever comes of it, and leave $status, $output and $stderr. Unlike
# bats' run it writes to files, so that a container which outlives COMMAND does not hold it up.
attempt() {
	status=0
	"$@" >"$T/stdout" 2>"$T/stderr" || status=$?
	# Without NUL bytes, which bash warns of.
	{ output=$(<"$T/stdout") && stderr=$(<"$T/stderr"); } 2>/dev/null
	printf '$ %s\nstatus %d\n%s\n%s\n' "$*" "$status" "$output" "$stderr"
}

# run_container [SCRIPT]: `moat run`, of a shell script if there is one, as attempt does.
run_container() {
	[ $# -eq 0 ] || set_args sh -c "$1"
	attempt moat run -b "$BUNDLE" "$ID"
}

# in_container [SCRIPT]: run_container, which must succeed.
in_container() {
	run_container "$@"
	assert_status 0
}

# start_container [FLAGS...]: `moat run --detach`, which must succeed; the container's streams go
# to $T/$ID.out and .err. With a prefix, `ID=${ID}b start_container`, a further container.
start_container() { moat run --detach -b "$BUNDLE" "$@" "$ID" >"$T/$ID.out" 2>"$T/$ID.err" || show_streams; }

# create_container [FLAGS...]: the same for `moat create`.
create_container() { moat create -b "$BUNDLE" "$@" "$ID" >"$T/$ID.out" 2>"$T/$ID.err" || show_streams; }

show_streams() {
	local status=$?
	cat "$T/$ID.out" "$T/$ID.err"
	return "$status"
}

# in_exec SCRIPT: `moat exec` of a shell script, as attempt does; it must succeed.
in_exec() {
	attempt moat exec "$ID" sh -c "$1"
	assert_status 0
}

# container_status [ID], container_pid [ID]: a field of `moat state`.
container_status() { moat state "${1:-$ID}" | jq -r .status; }
container_pid() { moat state "${1:-$ID}" | jq -r .pid; }

# process_field PID NAME: a field of /proc/PID/status; PID/task/TID is a thread.
process_field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

# gone PID: it has ended (it may still be a zombie of another parent).
gone() { [ ! -e "/proc/$1" ] || [[ $(process_field "$1" State 2>/dev/null) != [!Z]* ]]; }

# file_server PID: the pid of the file server, a child of the VMM.
file_server() {
	local pid
	for pid in $(<"/proc/$1/task/$1/children"); do
		[ "$(<"/proc/$pid/comm")" != moat-fs ] || echo "$pid"
	done
}

# has_status STATUS [ID]: for wait_for.
has_status() { [ "$(container_status "${2-}" 2>/dev/null)" = "$1" ]; }

# ---- assertions ---------------------------------------------------------------------------------

fail() {
	printf '%s\n' "$@"
	return 1
}

assert_status() { [ "$status" -eq "$1" ] || fail "exit status is $status, not $1"; }
assert_eq() { [ "$1" = "$2" ] || fail "${3:-value} is '$1', not '$2'"; }
assert_match() { [[ $1 =~ $2 ]] || fail "no match for '$2' in: $1"; }
assert_has() { [[ $1 == *"$2"* ]] || fail "no '$2' in: $1"; }
refute_has() { [[ $1 != *"$2"* ]] || fail "unwanted '$2' in: $1"; }
refute() { ! "$@" || fail "succeeded: $*"; }

# fails STATUS REGEX COMMAND...: COMMAND exits with STATUS and says something that matches REGEX on
# stderr.
fails() {
	local expected=$1 regex=$2
	shift 2
	attempt "$@"
	# What create_container starts by mistake writes there, not to $T/stderr.
	[ ! -f "$T/$ID.err" ] || stderr+=$(<"$T/$ID.err")
	assert_status "$expected" && assert_match "$stderr" "$regex"
}

# ---- what a test needs --------------------------------------------------------------------------

# requires_moat REASON: the behaviour goes beyond the runtimes that may stand in for moat.
requires_moat() { [ "$RUNTIME" = moat ] || skip "$RUNTIME lacks: $1"; }

requires_vm() { [ "$MOAT_MODE" = vm ] || skip "not in a VM: $1"; }
skip_in_vm() { [ "$MOAT_MODE" != vm ] || skip "in a VM: $1"; }

requires_cgroup_v1() { [ "$CGROUPS" = v1 ] || skip "host has cgroup v2"; }
requires_cgroup_v2() { [ "$CGROUPS" = v2 ] || skip "host has cgroup v1"; }

requires_systemd() {
	[ -d /run/systemd/system ] || skip "host runs no systemd"
	"$MOAT" features | jq -e .linux.cgroup.systemd >/dev/null || skip "moat was built without systemd"
}

# requires_controller NAME...: a cgroup controller that containers of this host can use.
requires_controller() {
	local name
	for name; do
		has_controller "$name" || skip "host has no cgroup controller $name"
	done
}

has_controller() {
	case $CGROUPS in
		v1) [ -d "/sys/fs/cgroup/$1" ] || hybrid_has "$1" ;;
		v2) [[ $1 =~ ^(freezer|devices)$ ]] || grep -qw "$(v2_controller "$1")" /sys/fs/cgroup/cgroup.controllers ;;
	esac
}

# A controller that a hybrid host keeps in v2's hierarchy: runc leaves those alone.
hybrid_has() {
	[ "$RUNTIME" = moat ] && grep -qws "$1" /sys/fs/cgroup/unified/cgroup.controllers
}

v2_controller() {
	case $1 in
		blkio) echo io ;;
		cpuacct) echo cpu ;;
		*) echo "$1" ;;
	esac
}

# has_cap NUMBER: a capability of the caller.
has_cap() {
	local mask
	mask=$(sed -n 's/^CapEff:\t/0x/p' /proc/self/status)
	(((mask >> $1) & 1))
}
requires_cap_sys_resource() { has_cap 24 || skip "host grants no CAP_SYS_RESOURCE"; }

# requires_test_vm WHAT: the test changes something of the machine's.
requires_test_vm() { grep -qs 'moat\.run=' /proc/cmdline || skip "outside of the test VM this would change $1"; }

# requires_path PATH [WHAT]: something of the host's kernel.
requires_path() { [ -e "$1" ] || skip "host has no ${2:-$1}"; }

# requires_test_hooks: moat was configured with --enable-test-hooks.
requires_test_hooks() {
	requires_moat "test hooks"
	MOAT_LIST_STEPS=1 moat create steps >/dev/null 2>&1 || skip "moat was built without --enable-test-hooks"
}

# ---- cgroups ------------------------------------------------------------------------------------

# cgroup_root: a directory in which this test may make a cgroup of its own, one that holds nothing.
cgroup_root() {
	case $CGROUPS in
		v1) echo /sys/fs/cgroup/pids ;;
		v2) echo /sys/fs/cgroup ;;
	esac
}

# cgroup_dir CONTROLLER [ID]: where the container's init is. Without a v1 hierarchy for CONTROLLER
# it is its place in cgroup v2.
cgroup_dir() {
	local pid path mount=/sys/fs/cgroup
	pid=$(container_pid "${2:-$ID}")
	if [ "$CGROUPS" = v1 ] && hybrid_has "$1"; then
		path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
		mount+=/unified
	elif [ "$CGROUPS" = v1 ]; then
		path=$(sed -n "s/^[0-9]*:\(.*,\)\?$1\(,.*\)\?://p" "/proc/$pid/cgroup")
		mount+=/$1
	else
		path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
	fi
	echo "$mount$path"
}

# cgroup_file CONTROLLER FILE: the content of a file of the container's cgroup: in VM mode of the guest's, if
# the guest keeps that limit.
cgroup_file() {
	case $MOAT_MODE/$2 in
		vm/memory.swap.*) host_cgroup_file "$@" ;;
		vm/cpu.* | vm/memory.* | vm/pids.* | vm/hugetlb.*) moat exec "$ID" cat "/sys/fs/cgroup/$2" ;;
		*) host_cgroup_file "$@" ;;
	esac
}

host_cgroup_file() { cat "$(cgroup_dir "$1")/$2"; }

# assert_limits MEMORY PIDS: the container's own. In VM mode also those of its cgroup on the host, which has room for the machine,
# the VMM and the file server.
assert_limits() {
	local memory pids total
	assert_eq "$(cgroup_value memory.limit)/$(cgroup_value pids.limit)" "$1/$2" limits
	[ "$MOAT_MODE" = vm ] || return 0
	memory=$(host_cgroup_file memory memory.max)
	pids=$(host_cgroup_file pids pids.max)
	# The guest sees less than the machine's memory, by its kernel: some 30 MiB.
	total=$(moat exec "$ID" awk '/^MemTotal:/ { print $2 * 1024 }' /proc/meminfo)
	[ "$memory" -gt $((total + (64 << 20))) ] && [ "$memory" -lt $((total + (128 << 20))) ] ||
		fail "the host's limit of memory is $memory, the guest has $total"
	[ "$pids" -gt $(($2 + 64)) ] && [ "$pids" -lt $(($2 + 192)) ] || fail "the host's limit of processes is $pids"
}

# cgroup_value KEY: a limit by its name in the spec, in the spec's units, from v1 or v2 files; -1
# means without limit.
cgroup_value() {
	local of=$CGROUPS
	[ "$MOAT_MODE" = container ] || of=vm
	"cgroup_value_$of" "$1" | sed 's/^max$/-1/'
}

# Without a process in the guest where that can be: it may have little memory, or not be started.
cgroup_value_vm() {
	case $1 in
		memory.limit) moat events --stats "$ID" | jq .data.memory.usage.limit | sed 's/^18446744073709551615$/max/' ;;
		pids.limit) moat events --stats "$ID" | jq .data.pids.limit | sed 's/^0$/max/' ;;
		*) cgroup_value_v2 "$1" ;;
	esac
}

cgroup_value_v1() {
	case $1 in
		memory.limit) cgroup_file memory memory.limit_in_bytes ;;
		memory.reservation) cgroup_file memory memory.soft_limit_in_bytes ;;
		memory.swap) cgroup_file memory memory.memsw.limit_in_bytes ;;
		cpu.quota) cgroup_file cpu cpu.cfs_quota_us ;;
		cpu.period) cgroup_file cpu cpu.cfs_period_us ;;
		cpu.burst) cgroup_file cpu cpu.cfs_burst_us ;;
		cpu.idle) cgroup_file cpu cpu.idle ;;
		cpu.cpus) cgroup_file cpuset cpuset.cpus ;;
		cpu.mems) cgroup_file cpuset cpuset.mems ;;
		pids.limit) cgroup_file pids pids.max ;;
		*) fail "cgroup_value: unknown key $1" ;;
	esac
}

cgroup_value_v2() {
	local limit swap
	case $1 in
		memory.limit) cgroup_file memory memory.max ;;
		memory.reservation) cgroup_file memory memory.low ;;
		memory.swap)
			limit=$(cgroup_value memory.limit)
			swap=$(cgroup_file memory memory.swap.max)
			[ "$swap" = max ] && echo max || echo $((limit + swap))
			;;
		cpu.quota) cgroup_file cpu cpu.max | cut -d' ' -f1 ;;
		cpu.period) cgroup_file cpu cpu.max | cut -d' ' -f2 ;;
		cpu.burst) cgroup_file cpu cpu.max.burst ;;
		cpu.idle) cgroup_file cpu cpu.idle ;;
		cpu.cpus) cgroup_file cpuset cpuset.cpus ;;
		cpu.mems) cgroup_file cpuset cpuset.mems ;;
		pids.limit) cgroup_file pids pids.max ;;
		*) fail "cgroup_value: unknown key $1" ;;
	esac
}

# assert_shares N: cpu.shares of the spec, which become a weight on v2: 2 to 1, 1024 to 100 and 262144
# to 10000, by a curve through these points.
assert_shares() {
	case $CGROUPS in
		v1) assert_eq "$(cgroup_file cpu cpu.shares)" "$1" ;;
		v2) assert_eq "$(cgroup_file cpu cpu.weight)" "$(awk -v shares="$1" 'BEGIN {
			l = log(shares) / log(2)
			weight = exp(((l * l + 125 * l) / 612 - 7 / 34) * log(10))
			print int(weight + 0.999999)
		}')" ;;
	esac
}

# weight_file: the file with the container's block io weight, whose name depends on the kernel's
# scheduler; nothing if it has none.
weight_file() { find "$(cgroup_dir blkio)" -maxdepth 1 -name 'blkio*.weight' -o -maxdepth 1 -name 'io*.weight' | head -n 1; }

# assert_weight N: blockIO.weight of the spec, which counts from 10 to 1000, and io.weight from 1 to 10000.
assert_weight() {
	local file
	file=$(weight_file)
	case $file in
		*/io.weight) assert_eq "$(<"$file")" "default $((1 + ($1 - 10) * 9999 / 990))" ;;
		*) assert_match "$(<"$file")" "(^|[^0-9])$1\$" ;;
	esac
}
