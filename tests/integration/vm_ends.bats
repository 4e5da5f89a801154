# How a microVM ends, and what is told of it: whatever happens to its kernel, its agent or the processes
# around it, the end is definite and says why; nothing is left.

load lib

setup() {
	set_up
	[ "$MOAT_MODE" = vm ] || skip "these are a VM's ends"
	KERNEL=$(realpath "$SUITE/../../vm-mode/kernel/built/vmlinux") && [ -e "$KERNEL" ] || skip "no guest kernel in the tree"
}

# boot_with PARAMETER [INITRD]: a parameter of the kernel's, and one more initramfs.
boot_with() {
	config --arg kernel "$KERNEL" --arg parameter "$1" --arg initrd "${2-}" \
		'.vm.kernel = {path: $kernel, parameters: [$parameter], initrd: $initrd}'
}

# boot_by SCRIPT: the guest's first process is a shell script; the agent is /init.
boot_by() {
	printf '#!/bin/busybox sh\n%s\n' "$1" >"$T/first"
	"$SUITE/../../vm-mode/agent/mkcpio" "$T/initrd" bin/busybox=/bin/busybox first="$T/first"
	boot_with rdinit=/first "$T/initrd"
}

# boot_by_victim: the first process is one that starts the agent and then waits for a word: it ends, which
# is a kernel's end, or kills the agent. `say WORD` says it, by a directory that the container shares.
boot_by_victim() {
	mkdir "$T/shared"
	config --arg source "$T/shared" '.mounts += [{destination: "/shared", source: $source, options: ["bind"]}]'
	boot_by '
		busybox=/bin/busybox
		$busybox mknod /dev/null c 1 3
		$busybox mkdir /proc
		$busybox mount -t proc proc /proc
		/init & agent=$!
		while :; do
			case $($busybox cat /proc/[0-9]*/root/shared/word 2>/dev/null) in
				end*) exit 3 ;;
				kill*) kill -9 $agent ;;
			esac
			$busybox usleep 50000
		done'
}
say() { echo "$1" >"$T/shared/word"; }

# panic_by_memory: what the container runs brings its kernel down by using memory.
panic_by_memory() {
	config '.linux.resources.memory = {limit: 16777216} | .linux.readonlyPaths = []'
	set_args sh -c "echo 2 >/proc/sys/vm/panic_on_oom; echo up; $1 probe touch 60000000; echo alive"
}

# told [ID]: why it ended, by `moat state`.
told() { moat state "${1:-$ID}" | jq -r '."org.moat.error" // ""'; }

has_file_server() { [ -n "$(file_server "$1")" ]; }

@test "vm ends: a kernel that panics under its program is 1, with the end of its console" {
	panic_by_memory ''
	run_container
	assert_status 1
	assert_eq "$output" up
	assert_match "$stderr" '^moat: guest: its kernel has panicked: Out of memory: .*; its console ends with:'
	assert_match "$stderr" 'Kernel panic - not syncing: Out of memory'
}

@test "vm ends: of a container in the background its log, its stderr and moat state tell" {
	panic_by_memory 'while [ ! -e /tmp/go ]; do sleep 0.02; done;'
	config --arg source "$T" '.mounts += [{destination: "/tmp", source: $source, options: ["bind"]}]'
	start_container
	assert_eq "$(told)" ''
	# An exec that is under way ends as if its container had been killed.
	spawn moat exec "$ID" sh -c 'echo in; sleep 1000' >"$T/exec" 2>&1
	wait_for 10 grep -q in "$T/exec"
	: >"$T/go"
	wait_for 10 has_status stopped
	status=0 && wait "$spawned" || status=$?
	assert_status 137
	assert_match "$(told)" '^guest: its kernel has panicked: Out of memory'
	assert_has "$(<"$T/$ID.err")" 'moat: guest: its kernel has panicked: Out of memory'
	moat delete "$ID"
}

@test "vm ends: the log has the reason, too" {
	panic_by_memory ''
	attempt moat --log "$T/log" --log-format json run -b "$BUNDLE" "$ID"
	assert_status 1
	assert_match "$stderr" '^moat: guest: its kernel has panicked'
	jq -e 'select(.level == "error") | .msg | startswith("guest: its kernel has panicked: Out of memory")' <"$T/log"
}

@test "vm ends: before the start: start, state, log and delete" {
	boot_by_victim
	moat --log "$T/log" create -b "$BUNDLE" "$ID" >"$T/$ID.out" 2>"$T/$ID.err"
	assert_eq "$(container_status)" created
	say end
	wait_for 10 has_status stopped
	fails 1 'cannot start container .*: it is stopped, not created: guest: its kernel has panicked: Attempted to kill init!' \
		moat start "$ID"
	assert_match "$(told)" '^guest: its kernel has panicked: Attempted to kill init! exitcode=0x00000300'
	assert_match "$(<"$T/log")" 'level=error msg="guest: its kernel has panicked: Attempted to kill init!'
	fails 255 'cannot exec in a stopped container' moat exec "$ID" true
	moat delete "$ID"
}

@test "vm ends: an agent that dies under its program is 1" {
	boot_by_victim
	set_args sh -c 'echo up; sleep 1000'
	spawn moat run -b "$BUNDLE" "$ID" >"$T/out" 2>"$T/err"
	wait_for 10 grep -q up "$T/out"
	say kill
	status=0 && wait "$spawned" || status=$?
	stderr=$(<"$T/err")
	assert_status 1
	assert_match "$stderr" '^moat: guest: the agent has ended'
}

@test "vm ends: a kernel that finds no first process fails create" {
	boot_with rdinit=/nonexistent
	fails 1 'settle: guest: its kernel has panicked: VFS: Unable to mount root fs.*its console ends with:' create_container
	assert_nothing_left
}

@test "vm ends: an initramfs that is broken fails create" {
	{ printf 070701 && head -c 100000 /dev/urandom; } >"$T/initrd"
	boot_with quiet "$T/initrd"
	fails 1 'settle: guest: its kernel has panicked: .*its console ends with:' create_container
	assert_nothing_left
}

@test "vm ends: a kernel's words before it finds its console are told" {
	# Too early for any driver.
	boot_with 'init_on_alloc=1 panic_on_warn=1 memmap=1G$0'
	fails 1 'settle: guest: its kernel has panicked: .*its console ends with:' create_container
	assert_nothing_left
}

@test "vm ends: a guest that hangs while it boots fails create, with what it has said" {
	boot_by 'echo hanging; while :; do /bin/busybox sleep 1000; done'
	# shellcheck disable=SC2046 # the words of the command; moat() has less patience than moat itself
	fails 1 'settle: guest: it does not boot; its console ends with:.*hanging' \
		timeout --foreground -k 5 300 $(moat_command) create -b "$BUNDLE" "$ID"
	assert_nothing_left
}

# vmm: the VMM of a container that is being created.
vmm() {
	local pid
	for pid in $(our_processes); do
		! grep -qsx 'vcpu 0' /proc/"$pid"/task/*/comm || echo "$pid"
	done
}

@test "vm ends: a guest waits for an answer of a VMM that gets no processor" {
	local create
	boot_by 'echo booted; exec /init'
	spawn moat --debug --log "$T/log" create -b "$BUNDLE" "$ID"
	create=$spawned
	wait_for 10 grep -q 'Linux version' "$T/log"
	spawn "$HELPERS/holdup" "$(vmm)" >"$T/holdup"
	wait_for 10 grep -q held "$T/holdup"
	# The vCPUs go on, and write to the console. Then the agent connects; Linux gives that 2 seconds where it
	# isn't told otherwise.
	wait_for 10 grep -q booted "$T/log"
	sleep 4
	kill "$spawned"
	wait "$create"
	moat start "$ID"
	assert_eq "$(told)" ''
}

@test "vm ends: a VMM that is killed is 137, and takes its file server along" {
	set_args sh -c 'echo up; sleep 1000'
	spawn moat run -b "$BUNDLE" "$ID" >"$T/out" 2>"$T/err"
	wait_for 10 grep -q up "$T/out"
	kill -KILL "$(container_pid)"
	status=0 && wait "$spawned" || status=$?
	assert_status 137
	assert_nothing_left
}

@test "vm ends: a VMM that is killed in the background is stopped, an exec in it 137" {
	set_args sleep 1000
	start_container
	spawn moat exec "$ID" sh -c 'echo in; sleep 1000' >"$T/exec" 2>&1
	wait_for 10 grep -q in "$T/exec"
	kill -KILL "$(container_pid)"
	status=0 && wait "$spawned" || status=$?
	assert_status 137
	wait_for 5 has_status stopped
	assert_eq "$(told)" ''
	fails 1 'container not running' moat kill "$ID"
	moat delete "$ID"
}

@test "vm ends: a file server that is killed ends the VM, with 1" {
	local vmm
	set_args sh -c 'echo up; sleep 1000'
	spawn moat run -b "$BUNDLE" "$ID" >"$T/out" 2>"$T/err"
	wait_for 10 grep -q up "$T/out"
	vmm=$(container_pid)
	has_file_server "$vmm"
	kill -KILL "$(file_server "$vmm")"
	status=0 && wait "$spawned" || status=$?
	stderr=$(<"$T/err")
	assert_status 1
	assert_match "$stderr" 'moat: guest: the file server was killed by signal 9'
	assert_nothing_left
}

@test "vm ends: a program that its memory limit kills is 137, and --debug tells" {
	config '.linux.resources.memory = {limit: 16777216}'
	set_args probe touch 60000000
	attempt moat --debug --log "$T/log" run -b "$BUNDLE" "$ID"
	assert_status 137
	assert_has "$(<"$T/log")" "the guest's OOM killer has struck"
}

@test "vm ends: a guest without memory kills what uses it, and never its agent" {
	config --arg kernel "$KERNEL" '.linux.readonlyPaths = []
		| .vm = {kernel: {path: $kernel}, hwConfig: {memory: 134217728}}'
	set_args sh -c 'echo 1 >/proc/sys/vm/overcommit_memory; probe touch 200000000; echo $?; echo alive'
	attempt moat --debug --log "$T/log" run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_has "$output" 137
	assert_has "$output" alive
	assert_has "$(<"$T/log")" "the guest's OOM killer has struck"
}

@test "vm ends: moat state has the stages of the start, in milliseconds and in order" {
	start_container
	moat state "$ID" | jq -e '."org.moat.startup" | [.vmm, .machine, .entered, .init, .agent, .created, .starting, .started]
		| all(type == "number" and . > 0) and . == sort'
	moat state "$ID" | jq -e '."org.moat.error" == null'
	moat delete -f "$ID"
	create_container
	moat state "$ID" | jq -e '."org.moat.startup" | .created > 0 and .starting == null and .started == null'
}

@test "vm ends: --debug logs the stages of the start as they come, the kernel's first words among them" {
	attempt moat --debug --log "$T/log" run -b "$BUNDLE" --detach "$ID"
	assert_status 0
	local stages=(vmm machine entered console init agent created starting started)
	assert_eq "$(sed -n 's/.*"vm: *[0-9.]* ms  \([a-z]*\)".*/\1/p' "$T/log" | xargs)" "${stages[*]}"
	moat state "$ID" | jq -e '."org.moat.startup" | [.[$ARGS.positional[]]] | all(type == "number" and . > 0) and . == sort' \
		--args "${stages[@]}"
}
