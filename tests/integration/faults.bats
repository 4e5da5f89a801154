# Failures in the middle: whatever step fails, nothing is left; whenever the runtime dies, delete -f
# cleans up.

load lib

# steps: the names of create's steps, in order.
steps() { MOAT_LIST_STEPS=1 moat create "$ID"; }

# What makes each step have something to do.
full=
make_full_bundle() {
	full=1
	config '.linux.namespaces += [{type: "time"}] | .linux.sysctl = {"net.ipv4.ip_forward": "1"}
		| .linux.devices = [{path: "/dev/my", type: "c", major: 1, minor: 3}]
		| .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["getpgid"], action: "SCMP_ACT_ERRNO"}]}
		| .hooks = {createRuntime: [{path: "/bin/true"}], createContainer: [{path: "/bin/true"}], poststop: [{path: "/bin/true"}]}
		| .mounts += [{destination: "/new/dir", type: "tmpfs", source: "tmpfs"}]
		| .linux.resources.pids = {limit: 50}'
}

make_userns_bundle() {
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	chown_rootfs 100000:100000
	config '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
}

@test "faults: there is a list of steps" {
	requires_test_hooks
	attempt steps
	assert_status 0
	[ "$(wc -l <<<"$output")" -ge 5 ]
	assert_eq "$(sort <<<"$output" | uniq -d)" ""
	nothing_left
}

# Steps that not every bundle needs: with make_full_bundle each has something to do.
optional='mounted|runtime-hooks|hooked|container-hooks|sysctl'

# is_idle STEP: the step was passed over, as it may be. A VM's sysctls are its guest's.
is_idle() {
	[ "$status" = 0 ] || return
	[ "$MOAT_MODE/$1" = vm/sysctl ] || [[ ! $full && $1 =~ ^($optional)$ ]]
}

# each_step_fails VERB FLAGS...: make each step fail in turn.
each_step_fails() {
	local step bad=
	for step in $(steps); do
		MOAT_FAIL_STEP=$step attempt moat "$@" -b "$BUNDLE" "$ID"
		if is_idle "$step"; then
			moat delete -f "$ID"
			continue
		fi
		[ "$status" -eq 1 ] || bad+="$step: status $status"$'\n'
		[[ $stderr == *"$step"* ]] || bad+="$step: not named in: $stderr"$'\n'
		if ! wait_for 2 nothing_left; then
			bad+="$step left: $(leftovers)"$'\n'
			moat delete -f "$ID"
			sweep
		fi
	done
	[ -z "$bad" ] || fail "$bad"
	# And the id is free for a container that works.
	moat "$@" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	moat delete -f "$ID"
}

@test "faults: each step of create that fails is named and leaves nothing" {
	requires_test_hooks
	each_step_fails create
}

@test "faults: the same with all that a bundle can have" {
	requires_test_hooks
	make_full_bundle
	each_step_fails create
}

@test "faults: a step that fails leaves no parent of the cgroup that wasn't there before" {
	requires_test_hooks
	local step there
	there=$(cgroup_root)/$ID-there
	config --arg path "/$ID-there/new/$ID" '.linux.cgroupsPath = $path'
	for step in cgroup sources spawn join mounts settle publish published; do
		MOAT_FAIL_STEP=$step attempt moat create -b "$BUNDLE" "$ID"
		assert_status 1
		assert_nothing_left
	done
	mkdir "$there"
	MOAT_FAIL_STEP=mounts attempt moat create -b "$BUNDLE" "$ID"
	rmdir "$there"
	assert_nothing_left
}

@test "faults: the same in a user namespace" {
	requires_test_hooks
	make_userns_bundle
	each_step_fails create
}

@test "faults: the same for run" {
	requires_test_hooks
	each_step_fails run --detach
}

@test "faults: the same with a terminal" {
	requires_test_hooks
	config '.process.terminal = true'
	local step
	for step in $(steps); do
		rm -f "$T/console"
		spawn "$HELPERS/recvtty" "$T/console" </dev/null >/dev/null 2>&1
		wait_for 5 test -S "$T/console"
		MOAT_FAIL_STEP=$step attempt moat create --console-socket "$T/console" -b "$BUNDLE" "$ID"
		if is_idle "$step"; then moat delete -f "$ID"; else assert_status 1; fi
		assert_nothing_left
		kill "$spawned" 2>/dev/null || :
	done
}

@test "faults: an error in JSON names the step too" {
	requires_test_hooks
	local step
	step=$(steps | tail -n 1)
	MOAT_FAIL_STEP=$step attempt moat --log "$T/log" --log-format json create -b "$BUNDLE" "$ID"
	assert_status 1
	jq -e --arg step "$step" '.level == "error" and (.msg | contains($step))' <<<"$(tail -n 1 "$T/log")"
}

# each_step_kills VERB FLAGS...: the runtime dies at each step in turn; delete -f cleans up.
each_step_kills() {
	local step bad=
	for step in $(steps); do
		MOAT_KILL_STEP=$step attempt moat "$@" -b "$BUNDLE" "$ID"
		# A step of the container's side kills that side: its creator lives to clean up.
		[[ $status = 137 || $status = 1 ]] || is_idle "$step" || bad+="$step: status $status"$'\n'
		attempt moat delete -f "$ID"
		[ "$status" -eq 0 ] || bad+="$step: delete says $status: $stderr"$'\n'
		if ! wait_for 2 nothing_left; then
			bad+="$step left: $(leftovers)"$'\n'
			sweep
			rm -rf "${ROOT:?}/$ID"
		fi
	done
	[ -z "$bad" ] || fail "$bad"
	moat "$@" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	moat delete -f "$ID"
}

@test "faults: kill -9 of the runtime at each step, then delete -f, leaves nothing" {
	requires_test_hooks
	each_step_kills create
}

@test "faults: the same with all that a bundle can have, killed" {
	requires_test_hooks
	make_full_bundle
	each_step_kills create
}

@test "faults: the same in a user namespace, killed" {
	requires_test_hooks
	make_userns_bundle
	each_step_kills create
}

@test "faults: the same for run, killed" {
	requires_test_hooks
	each_step_kills run --detach
}

@test "faults: list, state and create live with what a killed runtime left" {
	requires_test_hooks
	local step
	for step in $(steps); do
		MOAT_KILL_STEP=$step attempt moat create -b "$BUNDLE" "$ID"
		attempt moat list
		assert_status 0
		attempt moat state "$ID"
		[ "$status" -le 1 ]
		ID=${ID}b start_container
		moat delete -f "${ID}b"
		moat delete -f "$ID"
		assert_nothing_left
	done
}

@test "faults: exec into what a killed create has left is refused" {
	requires_test_hooks
	MOAT_KILL_STEP=sources attempt moat create -b "$BUNDLE" "$ID"
	assert_eq "$(container_status)" creating
	fails 255 'cannot exec in a container that is not made yet' moat exec "$ID" true
	refute_has "$stderr" stopped
	moat delete -f "$ID"
}

@test "faults: kill -9 of the runtime at any time, then delete -f, leaves nothing" {
	requires_moat "clean-up after its own death"
	local i pid
	for i in $(rounds 60); do
		# shellcheck disable=SC2046
		$(moat_command) run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1 3>&- 4>&- &
		pid=$!
		sleep "0.00$((i % 10))"
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
		moat delete -f "$ID"
		assert_nothing_left
	done
}

@test "faults: the container's side killed at any time makes create fail, and leaves nothing" {
	requires_moat "clean-up after its child's death"
	local i stage
	for i in $(rounds 30); do
		kill_side sleep "0.00$((i % 5))"
	done
	[ "$MOAT_MODE" = vm ] || return 0
	# It is a VMM from `vmm` on. As far as `console` there is much for the guest to do before create could succeed.
	for stage in vmm machine entered console agent created; do
		kill_side wait_for 5 has_reached "$stage"
		[[ $stage =~ ^(agent|created)$ ]] || [ "$status" -eq 1 ] || fail "killed at $stage: status $status"
		[ "$status" -eq 0 ] || [ -s "$T/err" ] || fail "killed at $stage: no message"
	done
}

# kill_side WAIT...: run a container in the background and kill what moat has made for it when WAIT ends. Only one that came
# to be all the same is deleted.
kill_side() {
	local pid child
	rm -f "$T/log"
	# shellcheck disable=SC2046
	$(moat_command) --debug --log "$T/log" run -d -b "$BUNDLE" "$ID" >/dev/null 2>"$T/err" 3>&- 4>&- &
	pid=$!
	"$@"
	for child in $(pgrep -P "$pid"); do
		kill -KILL "$child" 2>/dev/null || :
	done
	status=0
	wait "$pid" 2>/dev/null || status=$?
	[ "$status" -ne 0 ] || moat delete -f "$ID"
	assert_nothing_left
}

has_reached() { grep -qs "vm: .* ms  $1" "$T/log"; }

@test "faults: a system call that fails, whichever it is, leaves nothing" {
	requires_moat "clean-up after any failure"
	strace -o /dev/null true 2>/dev/null || skip "host has no strace that works"
	local call n bad= max
	for call in clone3 openat2 mount fsopen fsmount move_mount open_tree mount_setattr pivot_root umount2 setns unshare mkdirat \
		mkdir renameat2 rename fsync socketpair pipe2 sethostname memfd_create prctl capset setresuid setgroups chdir fchdir pidfd_open write; do
		max=6
		for ((n = 1; n <= max; n++)); do
			# -D: strace stays with a container that was made all the same, and must not hold us up.
			# shellcheck disable=SC2046
			attempt timeout --foreground -k 5 $((60 * PATIENCE)) strace -D -f -qq -o /dev/null -e "inject=$call:error=EIO:when=$n" \
				$(moat_command) create -b "$BUNDLE" "$ID"
			[ "$status" -ne 0 ] || {
				# Not reached, or one that may fail.
				moat delete -f "$ID" || bad+="$call $n: delete failed"$'\n'
				n=$max
			}
			[ "$status" -le 1 ] || bad+="$call $n: status $status"$'\n'
			# In a VM's, which writes more, the message itself may be what couldn't be written.
			[ "$status" -eq 0 ] || [ -n "$stderr" ] || [ "$MOAT_MODE/$call" = vm/write ] || bad+="$call $n: no message"$'\n'
			wait_for 2 nothing_left || {
				bad+="$call $n left: $(leftovers)"$'\n'
				moat delete -f "$ID" || :
				sweep
			}
		done
	done
	[ -z "$bad" ] || fail "$bad"
}

@test "faults: a disk that is full is an error, and leaves nothing" {
	mkdir "$T/full"
	mount -t tmpfs -o size=16k none "$T/full"
	head -c 100000 /dev/zero >"$T/full/filler" 2>/dev/null || :
	snapshot_host
	local ROOT=$T/full
	fails 1 '' create_container
	[ -n "$stderr" ]
	assert_nothing_left
	umount "$T/full"
	snapshot_host
}

@test "faults: a root that is read-only is an error that names it" {
	mkdir "$T/ro"
	mount -t tmpfs -o ro none "$T/ro"
	snapshot_host
	ROOT=$T/ro/root fails 1 'ro/root|read-only' create_container
	umount "$T/ro"
	snapshot_host
}

@test "faults: no more processes is an error, and leaves nothing" {
	requires_controller pids
	requires_cgroup_v1
	mkdir "$(cgroup_root)/$ID-few"
	echo 4 >"$(cgroup_root)/$ID-few/pids.max"
	# Enough for a shell and the runtime, not for a container.
	attempt sh -c 'echo $$ >"$1/cgroup.procs"; echo 1 >"$1/pids.max"; shift; exec "$@"' sh "$(cgroup_root)/$ID-few" $(moat_command) create -b "$BUNDLE" "$ID"
	[ "$status" -ne 0 ]
	rmdir "$(cgroup_root)/$ID-few"
	assert_nothing_left
}

@test "faults: too few descriptors is an error, and leaves nothing" {
	local n
	for n in 4 5 6 7 8 10 12 14 16 20; do
		attempt sh -c 'ulimit -n "$1"; shift; exec "$@"' sh "$n" timeout -k 1 $((20 * PATIENCE)) $(moat_command) create -b "$BUNDLE" "$ID" 3>&- 4>&-
		[ "$status" -ne 0 ] || moat delete -f "$ID"
		[ "$status" -lt 124 ] || fail "with $n descriptors: status $status"
		assert_nothing_left
	done
}

@test "faults: a start that is killed before it has said so leaves the container to be started" {
	skip_in_vm "the service manager is the host's"
	strace -o /dev/null true 2>/dev/null || skip "host has no strace that works"
	requires_moat "a gate that waits for the word"
	# The notify socket that the first one has made is not in the second one's way.
	spawn "$HELPERS/notifyd" "$T/notify" >"$T/notify.out"
	wait_for 5 test -S "$T/notify"
	set_args sh -c 'probe notify READY=1; sleep 1000'
	NOTIFY_SOCKET=$T/notify create_container
	# shellcheck disable=SC2046
	attempt timeout -k 5 60 strace -qq -o /dev/null -e inject=sendmsg:error=EIO:signal=KILL:when=1 \
		$(moat_command) start "$ID"
	[ "$status" -ne 0 ] || fail "start was not killed"
	moat start "$ID"
	wait_for 5 has_status running
}
