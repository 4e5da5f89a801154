# What cgroup v2 alone offers, and how moat uses it. The limits are in cgroups.bats, for v1 and v2.

load lib

setup() {
	set_up
	requires_cgroup_v2
}

# traced CALLS COMMAND...: run it; $T/trace has these system calls of its own (not its children's).
traced() { strace -qq -e signal=none -s 64 -o "$T/trace" -e "trace=$1" "${@:2}"; }

requires_strace() { strace -o /dev/null true 2>/dev/null || skip "host has no strace that works"; }

@test "cgroup v2: the init is born in its cgroup" {
	requires_moat "clone3"
	requires_strace
	# shellcheck disable=SC2046 # the words of the command
	traced clone3 $(moat_command) create -b "$BUNDLE" "$ID" >"$T/out" 2>&1
	grep CLONE_INTO_CGROUP "$T/trace" || fail "$(<"$T/trace")"
	# Of a VM first the VMM, then its file server.
	assert_eq "$(cgroup_file pids cgroup.procs | head -n 1)" "$(container_pid)"
}

@test "cgroup v2: pause freezes the cgroup, kill --all is one write" {
	requires_moat "cgroup.kill"
	requires_strace
	set_args sh -c 'sleep 1000 & sleep 1000 & wait'
	start_container
	moat pause "$ID"
	assert_eq "$(cgroup_file freezer cgroup.freeze)" 1
	assert_match "$(cgroup_file freezer cgroup.events)" 'frozen 1'
	moat resume "$ID"
	assert_eq "$(cgroup_file freezer cgroup.freeze)" 0
	# shellcheck disable=SC2046
	traced openat,kill,pidfd_send_signal $(moat_command) kill --all "$ID" KILL
	grep -q '/cgroup.kill"' "$T/trace" || fail "$(<"$T/trace")"
	refute grep -E '^kill\(' "$T/trace"
	wait_for 5 has_status stopped
}

@test "cgroup v2: swap is what memory.swap is above the limit, or has no bound" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864, swap: 67108864}'
	start_container
	assert_eq "$(cgroup_file memory memory.swap.max)" 0
	moat delete -f "$ID"
	config '.linux.resources.memory = {limit: 67108864, swap: -1}'
	start_container
	assert_eq "$(cgroup_file memory memory.swap.max)" max
}

# The container may write to its cgroup: it moves to a group of its own, and shares out controllers.
move_into_subgroup() {
	config '(.mounts[] | select(.type == "cgroup").options) -= ["ro"] | .linux.resources.pids = {limit: 40}'
	set_args sh -c 'mkdir /sys/fs/cgroup/sub && echo 0 >/sys/fs/cgroup/sub/cgroup.procs &&
		echo +pids +memory >/sys/fs/cgroup/cgroup.subtree_control && echo moved; sleep 1000 & wait'
	start_container
	wait_for 10 grep -q moved "$T/$ID.out" || fail "$(<"$T/$ID.err")"
}

@test "cgroup v2: a container may share out what it has, but not raise its own limit" {
	requires_controller pids memory
	[ "$MOAT_MODE" = vm ] || grep -q ' /sys/fs/cgroup cgroup2 .*nsdelegate' /proc/mounts ||
		skip "host mounts cgroups without nsdelegate"
	move_into_subgroup
	attempt moat exec "$ID" sh -c 'cd /sys/fs/cgroup; echo 20 >sub/pids.max && cat sub/pids.max; echo max >pids.max'
	[ "$status" -ne 0 ] || fail "it could raise its limit"
	assert_eq "$output" 20
	in_exec 'cat /sys/fs/cgroup/pids.max'
	assert_eq "$output" 40
}

@test "cgroup v2: exec and the other verbs of a container that has moved to a sub-group" {
	requires_controller pids memory
	move_into_subgroup
	# Its own cgroup can't hold processes any more.
	in_exec 'cat /proc/self/cgroup'
	assert_eq "$output" 0::/sub
	moat pause "$ID"
	assert_eq "$(container_status)" paused
	moat resume "$ID"
	moat update --pids-limit 30 "$ID"
	in_exec 'cat /sys/fs/cgroup/pids.max'
	assert_eq "$output" 30
	moat events --stats "$ID" | jq -e '.data.pids.limit == 30 and .data.pids.current == 2'
	assert_eq "$(moat ps -f json "$ID" | jq length)" 2
	moat kill --all "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
	assert_nothing_left
}

@test "cgroup v2: events tells of pressure" {
	requires_moat "pressure"
	requires_path /proc/pressure "pressure stall information"
	set_args sh -c 'while :; do :; done'
	start_container
	# Two that want one CPU must wait for each other.
	moat exec --detach "$ID" sh -c 'while :; do :; done' >/dev/null 2>&1
	moat exec --detach "$ID" sh -c 'while :; do :; done' >/dev/null 2>&1
	wait_for 30 has_pressure
	moat events --stats "$ID" | jq -e '.data | [.cpu, .memory, .blkio] | all(.psi.some | has("avg10") and has("avg300"))'
}
has_pressure() { moat events --stats "$ID" | jq -e '.data.cpu.psi.some.total > 0'; }

@test "cgroup v2: weight of a device, by bfq" {
	requires_controller blkio
	requires_test_vm "a disk's scheduler"
	modprobe bfq
	echo bfq >/sys/block/nvme0n1/queue/scheduler
	local device
	device=$(</sys/block/nvme0n1/dev)
	config --argjson major "${device%:*}" --argjson minor "${device#*:}" '.linux.resources.blockIO = {
		weight: 200, weightDevice: [{major: $major, minor: $minor, weight: 350}]}'
	start_container
	assert_eq "$(cgroup_file io io.bfq.weight)" $'default 200\n'"$device 350"
	moat delete -f "$ID"
	echo none >/sys/block/nvme0n1/queue/scheduler
}
