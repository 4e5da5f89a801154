# What the processes of a microVM may do, and what they hold open, as docs/threat-model.md has it: seen from
# the host, in /proc.

load lib

setup() {
	set_up
	requires_vm "a container has neither VMM nor file server"
}

# start_vm: a container whose guest has a file of a bind mount open, while the runtime's caller has one
# that nobody asked for.
start_vm() {
	mkdir "$T/shared"
	echo bound >"$T/shared/file"
	config --arg source "$T/shared" '.mounts += [{destination: "/shared", source: $source, options: ["bind"]}]'
	set_args sh -c 'exec 4</shared/file; echo up; sleep 1000'
	moat --log "$T/log" run --detach -b "$BUNDLE" "$ID" >"$T/out" 2>"$T/err" 9<"$BUNDLE/config.json"
	wait_for 5 grep -q up "$T/out"
	vmm=$(container_pid)
	server=$(file_server "$vmm")
}

# assert_confined PROCESS CAPABILITIES: PROCESS is PID or PID/task/TID.
assert_confined() {
	local set
	for set in CapPrm CapEff CapBnd; do
		assert_eq "$(process_field "$1" $set)" "$2" "$set of $(<"/proc/$1/comm")"
	done
	for set in CapInh CapAmb; do
		assert_eq "$(process_field "$1" $set)" 0000000000000000 "$set of $(<"/proc/$1/comm")"
	done
	assert_eq "$(process_field "$1" NoNewPrivs)" 1 "NoNewPrivs of $(<"/proc/$1/comm")"
	assert_eq "$(process_field "$1" Seccomp)" 2 "Seccomp of $(<"/proc/$1/comm")"
	# The smallest limit that holds for pipes as well; where the runtime had less, that.
	assert_match "$(grep '^Max core file size' "/proc/$1/limits")" ' [01] +[01] +bytes'
}

# is_traceable PID: by a root who may trace no more than another user his own.
no_tracer=(setpriv --bounding-set -sys_ptrace)
is_traceable() { "${no_tracer[@]}" readlink "/proc/$1/exe" >/dev/null; }

@test "vm sandbox: capabilities, new privileges, core dumps, tracers and system calls are taken from each thread" {
	local task filters vcpus=0 caps
	start_vm
	filters=$(process_field "$vmm" Seccomp_filters)
	for task in "/proc/$vmm/task"/*; do
		task=${task#/proc/}
		assert_confined "$task" 0000000000000000
		[[ $(<"/proc/$task/comm") == 'vcpu '* ]] || continue
		vcpus=$((vcpus + 1))
		# Linux tells of their number since 5.9.
		[ -z "$filters" ] || assert_eq "$(process_field "$task" Seccomp_filters)" $((filters + 1)) "filters of a vCPU"
	done
	[ "$vcpus" -gt 0 ]
	# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETGID, SETUID, SYS_ADMIN, MKNOD and SETFCAP.
	printf -v caps %016x $((0x882000df & 0x$(process_field self CapPrm)))
	assert_confined "$server" "$caps"
	spawn "${no_tracer[@]}" sleep 1000
	wait_for 2 is_traceable "$spawned"
	refute is_traceable "$vmm"
	refute is_traceable "$server"
}

@test "vm sandbox: VMM and file server are in the container's namespaces and root" {
	local name pid
	start_vm
	for name in cgroup ipc mnt net pid uts; do
		[ "$(readlink "/proc/$vmm/ns/$name")" != "$(readlink "/proc/self/ns/$name")" ] || fail "$name is the host's"
		assert_eq "$(readlink "/proc/$server/ns/$name")" "$(readlink "/proc/$vmm/ns/$name")" "$name of the file server"
	done
	for pid in "$vmm" "$server"; do
		[ "/proc/$pid/root/." -ef "$BUNDLE/rootfs" ] || fail "$(<"/proc/$pid/comm") has another root"
	done
}

# held PID: what its descriptors are, and how many of each; a file is `below the root` where it lies on a mount
# of the container's.
held() {
	local fd link
	find "/proc/$1/fd" -type l -printf '%f %l\n' | awk '
		{ n = split(FILENAME, path, "/") }
		path[n] == "mountinfo" { ours[$1]; next }
		path[n - 1] == "fdinfo" { if ($1 == "mnt_id:" && $2 in ours) below[path[n]]; next }
		{ print $1 in below ? $1 " below the root" : $0 }' "/proc/$1/mountinfo" "/proc/$1/fdinfo"/* - |
		while read -r fd link; do
			# Of a procfs that is mounted nowhere.
			[[ ! $link =~ ^/([0-9]+/fd)?$ ]] || link=$(stat -L -f -c %T "/proc/$1/fd/$fd")
			echo "$link"
		done |
		sed -E -e "s,^$T/,," -e 's/^(socket|pidfd):.*/\1/' -e 's/^anon_inode:\[?(kvm-vcpu|[^]:]*).*/\1/' \
			-e 's/^\/memfd:(.*) \(deleted\)$/\1/' -e 's/^\/#[0-9]+ \(deleted\)$/moat-guest/' |
		sort | uniq -c | sed 's/^ *//'
}

# assert_holds PID LINES: just these; how many files below the root it has is the guest's business.
assert_holds() { wait_for 2 holds "$@" || fail "it holds:" "$(held "$1")"; }
holds() { [ "$(held "$1" | sed 's/.* below the root$/some below the root/' | sort)" = "$(sort <<<"$2")" ]; }

@test "vm sandbox: VMM and file server hold open what they need, and nothing else" {
	local vcpus of_vmm of_server
	start_vm
	vcpus=$(grep -l '^vcpu ' "/proc/$vmm/task"/*/comm | wc -l)
	# The loop's two eventfds, a line for each device, and the kicks of 13 queues.
	of_vmm="3 /dev/null
20 eventfd
1 eventpoll
$vcpus kvm-vcpu
1 kvm-vm
1 log
1 moat-guest
1 moat-irq
1 pidfd
1 root/$ID/vm.journal
1 signalfd
1 timerfd"
	# One listens, two lead to the file server. Standard error is also where its last words go.
	assert_holds "$vmm" "$of_vmm"$'\n3 socket\n1 out\n2 err'
	of_server=$'3 eventfd\n1 log\n1 moat-irq\n5 proc\n2 socket\nsome below the root'
	assert_holds "$server" "$of_server"
	# What `exec` runs has streams of its own, and a connection.
	spawn moat exec "$ID" sh -c 'cat /shared/file; until [ -e /shared/go ]; do sleep 0.1; done' >"$T/exec.out" 2>"$T/exec.err"
	wait_for 5 grep -q bound "$T/exec.out"
	assert_holds "$vmm" "$of_vmm"$'\n4 socket\n1 out\n2 err\n1 exec.out\n1 exec.err'
	assert_holds "$server" "$of_server"
	: >"$T/shared/go"
	wait "$spawned"
	assert_holds "$vmm" "$of_vmm"$'\n3 socket\n1 out\n2 err'
	assert_holds "$server" "$of_server"
}
