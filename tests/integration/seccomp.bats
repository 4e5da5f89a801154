# linux.seccomp: actions, arguments, flags, architectures and notification.

load lib

# seccomp RULES-JSON [DEFAULT]: a profile of these rules, all else allowed.
seccomp() {
	config --argjson rules "$1" --arg default "${2:-SCMP_ACT_ALLOW}" \
		'.linux.seccomp = {defaultAction: $default, syscalls: $rules}'
}

# Of x86-64; the suite's host.
getpriority=140 getpgid=121

@test "seccomp: errno, with and without a number" {
	seccomp '[{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71},
		{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]'
	in_container "probe syscall $getpriority; probe syscall $getpgid"
	assert_eq "$output" $'EPROTO\nEPERM'
}

@test "seccomp: an errno of zero makes the call a success that did nothing" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]'
	in_container "probe syscall $getpgid 1"
	assert_eq "$output" 0
}

@test "seccomp: a default of errno with what is needed allowed, and defaultErrnoRet" {
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 38, syscalls: [{action: "SCMP_ACT_ALLOW",
		names: ["execve", "execveat", "brk", "mmap", "munmap", "mprotect", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
			"prlimit64", "readlink", "readlinkat", "getrandom", "newfstatat", "fstat", "ioctl", "write", "writev", "exit", "exit_group", "read",
			"close", "close_range", "openat", "openat2", "futex", "rt_sigaction", "rt_sigprocmask", "getuid", "prctl", "uname",
			"capset", "capget", "setgroups", "setuid", "setgid", "setresuid", "setresgid", "chdir", "getdents64", "fcntl", "clone", "clone3", "epoll_ctl", "epoll_pwait",
			"getpid", "gettid", "tgkill", "sigaltstack", "nanosleep", "sched_yield", "umask", "stat", "poll", "dup3", "fchdir", "getppid", "geteuid", "access", "faccessat2", "statx", "sendto", "recvfrom", "sendmsg", "recvmsg", "pipe2", "dup2", "fsync", "statfs", "fstatfs", "wait4", "getcwd", "seccomp"]}]}'
	set_args probe syscall $getpgid
	in_container
	assert_eq "$output" ENOSYS
}

@test "seccomp: kill the process" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_KILL_PROCESS"}]'
	in_container "probe syscall $getpgid; echo \$?"
	assert_eq "$output" 159
}

@test "seccomp: kill the thread, by both names" {
	local action
	for action in SCMP_ACT_KILL SCMP_ACT_KILL_THREAD; do
		seccomp "[{\"names\": [\"getpgid\"], \"action\": \"$action\"}]"
		in_container "probe syscall $getpgid; echo \$?"
		assert_eq "$output" 159
	done
}

@test "seccomp: trap" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_TRAP"}]'
	in_container "probe syscall $getpgid; echo \$?"
	assert_eq "$output" 159
}

@test "seccomp: log allows the call" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_LOG"}]'
	in_container "probe syscall $getpgid 0"
	assert_match "$output" '^[0-9]+$'
}

@test "seccomp: trace without a tracer fails the call" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_TRACE", "errnoRet": 5}]'
	in_container "probe syscall $getpgid 0"
	assert_eq "$output" ENOSYS
}

@test "seccomp: arguments, by each operator" {
	local row op value two arg result bad=
	while read -r op value two arg result; do
		seccomp "[{\"names\": [\"getpriority\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 71,
			\"args\": [{\"index\": 1, \"value\": $value, \"valueTwo\": $two, \"op\": \"SCMP_CMP_$op\"}]}]"
		run_container "probe syscall $getpriority 0 $arg"
		[ "$output" = EPROTO ] && row=hit || row=miss
		[ "$row" = "$result" ] || bad+="$op $value $two for $arg: $output"$'\n'
	done <<-'END'
		EQ 7 0 7 hit
		EQ 7 0 8 miss
		NE 7 0 7 miss
		NE 7 0 8 hit
		LT 7 0 6 hit
		LT 7 0 7 miss
		LE 7 0 7 hit
		LE 7 0 8 miss
		GT 7 0 8 hit
		GT 7 0 7 miss
		GE 7 0 7 hit
		GE 7 0 6 miss
		MASKED_EQ 240 16 31 hit
		MASKED_EQ 240 16 32 miss
		EQ 4294967296 0 4294967296 hit
		EQ 4294967296 0 0 miss
	END
	[ -z "$bad" ] || fail "$bad"
}

@test "seccomp: several arguments of one rule must all match" {
	seccomp '[{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71,
		"args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]'
	in_container "probe syscall $getpriority 1 2; probe syscall $getpriority 1 3; probe syscall $getpriority 0 2"
	assert_match "$output" '^EPROTO'
	assert_eq "$(grep -c EPROTO <<<"$output")" 1
}

@test "seccomp: two conditions on the same argument are alternatives" {
	seccomp '[{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71,
		"args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 6, "op": "SCMP_CMP_EQ"}]}]'
	in_container "for i in 4 5 6 7; do probe syscall $getpriority 0 \$i; done"
	assert_eq "$(grep -c EPROTO <<<"$output")" 2
}

@test "seccomp: several rules for one call" {
	seccomp '[{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71, "args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 74, "args": [{"index": 1, "value": 6, "op": "SCMP_CMP_EQ"}]}]'
	in_container "probe syscall $getpriority 0 5; probe syscall $getpriority 0 6"
	assert_eq "$output" $'EPROTO\nEBADMSG'
}

@test "seccomp: unknown system calls are passed over" {
	seccomp '[{"names": ["no_such_call_ever", "getpgid"], "action": "SCMP_ACT_ERRNO"}]'
	in_container "probe syscall $getpgid"
	assert_eq "$output" EPERM
}

@test "seccomp: the 32-bit entry is closed unless its architecture is listed" {
	[ "$(uname -m)" = x86_64 ] || skip "not x86-64"
	seccomp '[{"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}]'
	config '.linux.seccomp.architectures = ["SCMP_ARCH_X86_64"]'
	run_container 'probe syscall32 20; echo $?'
	refute_has "$output" EPROTO
	assert_has "$output" 159
	config '.linux.seccomp.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]'
	in_container 'probe syscall32 20; probe syscall 39'
	assert_eq "$output" $'EPROTO\nEPROTO'
}

@test "seccomp: unknown actions, operators and architectures are refused by name" {
	seccomp '[]' SCMP_ACT_DANCE
	fails 1 'SCMP_ACT_DANCE' create_container
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_SING"}]'
	fails 1 'SCMP_ACT_SING' create_container
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_ISH"}]}]'
	fails 1 'SCMP_CMP_ISH' create_container
	seccomp '[]'
	config '.linux.seccomp.architectures = ["SCMP_ARCH_PDP11"]'
	fails 1 'SCMP_ARCH_PDP11' create_container
	assert_nothing_left
}

@test "seccomp: an argument index of more than 5 is refused" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]'
	fails 1 '' create_container
	[ -n "$stderr" ]
	assert_nothing_left
}

@test "seccomp: flags" {
	requires_moat "the flags"
	local flag
	for flag in $(moat features | jq -r '.linux.seccomp.supportedFlags[]'); do
		seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]'
		config --arg flag "$flag" '.linux.seccomp.flags = [$flag]'
		run_container "probe syscall $getpgid"
		if [ "$flag" = SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ]; then
			# The kernel takes it only together with a listener.
			continue
		fi
		assert_eq "$output" EPERM "with $flag: output"
	done
	config '.linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_OLD"]'
	fails 1 'SECCOMP_FILTER_FLAG_OLD' create_container
	assert_nothing_left
}

@test "seccomp: without flags the speculation controls are on, with SPEC_ALLOW they are not" {
	requires_moat "SECCOMP_FILTER_FLAG_SPEC_ALLOW by the spec alone"
	grep -q 'Speculation_Store_Bypass' /proc/self/status || skip "kernel does not tell"
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]'
	config '.linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]'
	in_container 'grep Speculation_Store_Bypass /proc/self/status'
	assert_eq "$output" "$(grep Speculation_Store_Bypass /proc/self/status)"
}

@test "seccomp: the filter is there, once, and for an unprivileged user too" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]'
	config '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {}'
	in_container "grep -E '^Seccomp' /proc/self/status; probe syscall $getpgid"
	assert_match "$output" 'Seccomp:.2'
	assert_match "$output" 'Seccomp_filters:.1'
	assert_has "$output" EPERM
}

@test "seccomp: works without no_new_privs" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]'
	config '.process.noNewPrivileges = false'
	in_container "probe syscall $getpgid; grep NoNewPrivs /proc/self/status"
	assert_eq "$output" $'EPERM\nNoNewPrivs:\t0'
}

@test "seccomp: a profile that forbids what the runtime itself does last still lets the program start" {
	seccomp '[{"names": ["mount", "umount2", "pivot_root", "setns", "unshare", "chroot", "keyctl", "add_key", "setgroups", "setgid",
		"setresgid", "setuid", "setresuid", "sethostname", "close_range", "prctl"], "action": "SCMP_ACT_ERRNO"}]'
	in_container 'echo started'
	assert_eq "$output" started
}

@test "seccomp: the same profile a second time gives the same, a changed one the change" {
	# Compiled filters are kept by a digest of the profile.
	local errno
	for errno in 71 71 74 71; do
		seccomp "[{\"names\": [\"getpgid\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": $errno}]"
		in_container "probe syscall $getpgid"
		case $errno in
			71) assert_eq "$output" EPROTO ;;
			74) assert_eq "$output" EBADMSG ;;
		esac
	done
}

@test "seccomp: a kept filter that was damaged is not used" {
	requires_moat "kept filters"
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"}]'
	in_container "probe syscall $getpgid"
	local file found=
	while IFS= read -r file; do
		found=1
		# An allow-all filter: the worst that a writer could want.
		printf '\x06\x00\x00\x00\x00\x00\xff\x7f' >"$file"
	done < <(find "$ROOT" -type f -path '*seccomp*')
	[ "$found" ] || skip "no filter is kept in the root"
	in_container "probe syscall $getpgid"
	assert_eq "$output" EPERM
	# What others could write is no cache.
	assert_eq "$(find "$ROOT" -path '*seccomp*' -perm /022)" ""
}

@test "seccomp: a profile as large as Docker's" {
	# Four hundred names and two dozen conditions.
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
		syscalls: ([range(24) | {names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 71, args: [{index: 1, value: (. + 100), op: "SCMP_CMP_EQ"}]}]
		+ [{names: ["acct", "add_key", "bpf", "delete_module", "finit_module", "init_module", "kexec_load", "lookup_dcookie", "mbind", "move_pages",
			"nfsservctl", "open_by_handle_at", "perf_event_open", "personality", "process_vm_readv", "ptrace", "quotactl", "reboot", "request_key",
			"settimeofday", "swapon", "swapoff", "sysfs", "uselib", "userfaultfd", "ustat", "vm86", "vm86old"], action: "SCMP_ACT_ERRNO"}])}'
	in_container "probe syscall $getpriority 0 112; probe syscall 169 0 0 0; probe syscall $getpriority 0 0"
	assert_match "$output" $'^EPROTO\nEPERM\n[0-9]+$'
}

@test "seccomp: notify hands the listener to the agent, with the container's state" {
	skip_in_vm "notifications go to a process of the host"
	spawn "$HELPERS/seccompd" "$T/agent" 74 >"$T/agent.out" 2>&1
	wait_for 5 test -S "$T/agent"
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]'
	config --arg path "$T/agent" '.linux.seccomp.listenerPath = $path | .linux.seccomp.listenerMetadata = "some words"
		| .annotations = {"k": "v"}'
	in_container "probe syscall $getpgid"
	assert_eq "$output" EBADMSG
	jq -e --arg id "$ID" '.ociVersion and (.fds == ["seccompFd"]) and .pid > 0 and .metadata == "some words"
		and .state.id == $id and .state.bundle and .state.annotations.k == "v"' "$T/agent.out"
}

@test "seccomp: notify for exec comes with a listener too" {
	skip_in_vm "notifications go to a process of the host"
	spawn "$HELPERS/seccompd" "$T/agent" 74 >/dev/null 2>&1
	wait_for 5 test -S "$T/agent"
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]'
	config --arg path "$T/agent" '.linux.seccomp.listenerPath = $path'
	start_container
	rm "$T/agent"
	spawn "$HELPERS/seccompd" "$T/agent" 71 >"$T/agent.out" 2>&1
	wait_for 5 test -S "$T/agent"
	in_exec "probe syscall $getpgid"
	assert_eq "$output" EPROTO
	jq -e --arg id "$ID" '.state.id == $id' "$T/agent.out"
}

@test "seccomp: notify without an agent, or without a path, is an error" {
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]'
	fails 1 'listenerPath|notify|NOTIFY' create_container
	config --arg path "$T/no-agent" '.linux.seccomp.listenerPath = $path'
	fails 1 'no-agent|seccomp' create_container
	assert_nothing_left
}

@test "seccomp: a listenerPath that no rule uses is ignored" {
	requires_moat "a look at the rules"
	seccomp '[{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}]'
	config --arg path "$T/no-agent" '.linux.seccomp.listenerPath = $path'
	start_container
	in_exec "probe syscall $getpgid"
	assert_eq "$output" EPROTO
}

@test "seccomp: notify as the default action, or for write, is refused" {
	# The runtime itself must still be able to tell of its errors.
	config --arg path "$T/agent" '.linux.seccomp = {defaultAction: "SCMP_ACT_NOTIFY", listenerPath: $path}'
	fails 1 'SCMP_ACT_NOTIFY|default' create_container
	seccomp '[{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]'
	config --arg path "$T/agent" '.linux.seccomp.listenerPath = $path'
	# In a VM none is taken.
	fails 1 'write|SCMP_ACT_NOTIFY' create_container
	assert_nothing_left
}
