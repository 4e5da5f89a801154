# vm-run itself: five boots, of which only the first goes as far as systemd.

load ../integration/lib.bash

VM=$BATS_TEST_DIRNAME
TREE=$(realpath "$VM/../..")

setup() {
	exec </dev/null
	T=$BATS_TEST_TMPDIR
	SPAWNED=()
	# Others may use test VMs of this tree.
	mkdir -p "$TREE/.cache/vm"
	runs_before=$(ls "$TREE/.cache/vm")
	snapshot_host
}

teardown() {
	local pid
	for pid in "${SPAWNED[@]}"; do
		kill -TERM "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	rm -f "$TREE/.cache/vm-go-$$"
	assert_nothing_left
}

# leftovers: directories of vm-run, mounts, and the processes that name such a directory.
leftovers() {
	local run
	diff <(echo "$mounts_before") /proc/self/mountinfo
	for run in $(ls "$TREE/.cache/vm" | grep -vxF -e "${runs_before:-none}"); do
		echo "$TREE/.cache/vm/$run"
		grep -lsaF -e "$TREE/.cache/vm/$run" /proc/[0-9]*/cmdline
	done
	# Nothing found is no failure.
	:
}

vm_run() { "$VM/vm-run" "$@" 3>&- 4>&-; }

@test "vm-run: --help is its head, without a boot" {
	attempt vm_run --help
	assert_status 0
	assert_match "$output" '^vm-run \[.*COMMAND.*Exit status'
	refute_has "$output" '# '
}

# What is no text, and the same here as in the VM.
binary() { seq "$1" | gzip -nc; }

@test "vm-run: the command's streams, byte for byte and live, its status, and no wait for what it leaves behind" {
	local go=$TREE/.cache/vm-go-$$
	cat >"$T/command" <<-EOF
		echo first
		until [ -e "$go" ]; do sleep 0.1; done
		sleep 1000 &
		seq 50000 | gzip -nc
		seq 40000 | gzip -nc >&2
		exit 7
	EOF
	spawn "$VM/vm-run" --timeout 300 sh -c "$(<"$T/command")" >"$T/out" 2>"$T/err"
	wait_for 200 grep -qs '^first' "$T/out" || fail "no live output" "$(<"$T/err")"
	touch "$go"
	attempt wait "$spawned"
	assert_status 7
	tail -n +2 "$T/out" | cmp - <(binary 50000)
	# On stderr it is amid vm-run's own lines.
	[[ $(od -An -v -tx1 "$T/err" | tr -d ' \n') == *"$(binary 40000 | od -An -v -tx1 | tr -d ' \n')"* ]]
}

@test "vm-run: a command that takes too long is 124" {
	fails 124 'not done after 5 s' vm_run --timeout 5 sleep 1000
}

@test "vm-run: a VM without a sign of life is 123, and its processor's state is shown" {
	FROZEN=8 fails 123 'no sign of life for 8 s.*RIP=.*LVTT.*State:.*State:' vm_run --append 'init=/usr/bin/sleep -- 1000' true
}

@test "vm-run: a kernel that panics is 125, and says why" {
	fails 125 'kernel panicked.*Requested init /nosuch failed' vm_run --append init=/nosuch true
	refute_has "$stderr" "not done"
}

@test "vm-run: Ctrl-C at a terminal ends it, and all that it started" {
	mkfifo "$T/tty"
	exec 9<>"$T/tty"
	# What runs in the background of a shell ignores the signal, unless told otherwise.
	env --default-signal=INT script --quiet --return --command "$VM/vm-run --timeout 100 true" /dev/null \
		<&9 >"$T/out" 3>&- 4>&- 9>&- &
	local pid=$!
	SPAWNED+=("$pid")
	wait_for 60 grep -qs 'kernel is up' "$T/out" || fail "$(<"$T/out")"
	printf '\003' >&9
	attempt wait "$pid"
	assert_status 130
}
