# process: user, groups, umask, capabilities, rlimits and all that the program finds when it starts.

load lib

@test "process: args, with all their bytes" {
	set_args printf '%s|' 'a b' '' "it's" '"q"' $'tab\there' 'ünï'
	in_container
	assert_eq "$output" "a b||it's|\"q\"|"$'tab\there|ünï|'
}

@test "process: env is exactly what is given, and HOME" {
	config '.process.env = ["PATH=/bin", "A=1", "EMPTY=", "SPACES=a b  c", "EQ=x=y"]'
	set_args env
	in_container
	assert_eq "$(grep -v -e '^HOME=' <<<"$output" | sort)" $'A=1\nEMPTY=\nEQ=x=y\nPATH=/bin\nSPACES=a b  c'
	assert_has "$output" HOME=/root
}

@test "process: of the caller's environment nothing gets in" {
	# shellcheck disable=SC2030
	export LEAKED_SECRET=1
	set_args sh -c 'env; tr "\0" "\n" </proc/1/environ'
	in_container
	refute_has "$output" LEAKED_SECRET
	refute_has "$output" BATS_
	refute_has "$output" MOAT
}

@test "process: HOME is that of /etc/passwd, or / for a user without an entry, or what env says" {
	config '.process.user = {uid: 1000, gid: 1000}'
	in_container 'echo $HOME'
	assert_eq "$output" /home/user
	config '.process.user = {uid: 4242, gid: 4242}'
	in_container 'echo $HOME'
	assert_eq "$output" /
	config '.process.env += ["HOME=/given"]'
	in_container 'echo $HOME'
	assert_eq "$output" /given
}

@test "process: the last of two equal names in env wins" {
	config '.process.env += ["TWICE=first", "TWICE=second"]'
	in_container 'echo $TWICE'
	assert_eq "$output" second
}

@test "process: cwd" {
	config '.process.cwd = "/home/user"'
	in_container 'pwd; readlink /proc/self/cwd'
	assert_eq "$output" $'/home/user\n/home/user'
}

@test "process: a cwd that is missing is made" {
	config '.process.cwd = "/made/by/the/runtime"'
	in_container 'pwd'
	assert_eq "$output" /made/by/the/runtime
}

@test "process: a cwd that only the user may enter" {
	mkdir "$BUNDLE/rootfs/private"
	chown 1000:1000 "$BUNDLE/rootfs/private"
	chmod 700 "$BUNDLE/rootfs/private"
	config '.process.cwd = "/private" | .process.user = {uid: 1000, gid: 1000} | .process.capabilities = {}'
	in_container 'pwd'
	assert_eq "$output" /private
}

@test "process: a cwd that only root may enter is not for a user" {
	mkdir "$BUNDLE/rootfs/private"
	chmod 700 "$BUNDLE/rootfs/private"
	config '.process.cwd = "/private" | .process.user = {uid: 1000, gid: 1000} | .process.capabilities = {}'
	run_container 'touch /private/x'
	[ "$status" -ne 0 ]
	[ ! -e "$BUNDLE/rootfs/private/x" ]
}

@test "process: a cwd that is relative, or a file, is refused" {
	config '.process.cwd = "relative"'
	fails 1 'cwd|[Cc]wd' create_container
	config '.process.cwd = "/etc/passwd"'
	attempt moat run -b "$BUNDLE" "$ID"
	[ "$status" -ne 0 ]
	assert_nothing_left
}

@test "process: user and groups" {
	config '.process.user = {uid: 1000, gid: 2000, additionalGids: [3000, 4000, 5]}'
	in_container 'id -u; id -g; id -G; grep -E "^(Uid|Gid|Groups)" /proc/self/status'
	assert_match "$output" $'^1000\n2000\n2000 5 3000 4000|^1000\n2000\n2000 3000 4000 5'
	assert_match "$output" 'Uid:.1000.1000.1000.1000'
	assert_match "$output" 'Gid:.2000.2000.2000.2000'
	assert_match "$output" 'Groups:.5 3000 4000'
}

@test "process: without additionalGids there are no further groups, the caller's are gone" {
	# shellcheck disable=SC2046
	set_args grep Groups /proc/self/status
	attempt setpriv --groups 7,8,9 $(moat_command) run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$(tr -d '[:space:]' <<<"$output")" Groups:
}

@test "process: uids at the end of the range" {
	config '.process.user = {uid: 2147483647, gid: 2147483647}'
	in_container 'id -u; id -g'
	assert_eq "$output" $'2147483647\n2147483647'
}

@test "process: umask" {
	in_container 'umask'
	assert_eq "$output" 0022
	requires_moat "user.umask"
	config '.process.user.umask = 63'
	in_container 'umask; touch /tmp/x; stat -c %a /tmp/x'
	assert_eq "$output" $'0077\n600'
	config '.process.user.umask = 0'
	in_container 'umask'
	assert_eq "$output" 0000
}

@test "process: the caller's umask does not reach the container" {
	umask 077
	in_container 'umask'
	umask 022
	assert_eq "$output" 0022
}

caps() { sed -n "s/^Cap$1:\t//p" <<<"$output"; }

@test "process: the five capability sets" {
	config '.process.noNewPrivileges = false | .process.capabilities = {
		bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_CHROOT"],
		permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"], effective: ["CAP_CHOWN", "CAP_KILL"],
		inheritable: ["CAP_CHOWN", "CAP_KILL"], ambient: ["CAP_KILL"]} | .process.user = {uid: 1000, gid: 1000}'
	set_args grep Cap /proc/self/status
	in_container
	# Bits: CHOWN 0, KILL 5, NET_RAW 13, SYS_CHROOT 18. After execve by an ordinary user permitted and
	# effective are what is ambient.
	assert_eq "$(caps Bnd)" 0000000000042021
	assert_eq "$(caps Inh)" 0000000000000021
	assert_eq "$(caps Prm)" 0000000000000020
	assert_eq "$(caps Eff)" 0000000000000020
	assert_eq "$(caps Amb)" 0000000000000020
}

@test "process: capabilities of root are those of bounding and inheritable" {
	config '.process.capabilities = {bounding: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"], effective: ["CAP_CHOWN"]}'
	set_args grep Cap /proc/self/status
	in_container
	assert_eq "$(caps Bnd) $(caps Prm) $(caps Eff)" "0000000000000001 0000000000000001 0000000000000001"
	assert_eq "$(caps Inh) $(caps Amb)" "0000000000000000 0000000000000000"
}

@test "process: without capabilities there are none" {
	config 'del(.process.capabilities)'
	set_args grep Cap /proc/self/status
	in_container
	assert_eq "$(caps Eff) $(caps Bnd)" "0000000000000000 0000000000000000"
	config '.process.capabilities = {}'
	in_container
	assert_eq "$(caps Eff) $(caps Bnd)" "0000000000000000 0000000000000000"
}

@test "process: an unknown capability is passed over with a warning, or refused by name" {
	config '.process.capabilities.bounding += ["CAP_UNKNOWN_TO_ALL"]'
	attempt moat --log "$T/log" run -d -b "$BUNDLE" "$ID"
	assert_has "$stderr$(<"$T/log")" CAP_UNKNOWN_TO_ALL
}

@test "process: capabilities are effective: what is there works, what is not does not" {
	in_container 'chown 5 /tmp 2>&1 || echo refused'
	assert_has "$output" refused
	config '.process.capabilities |= map_values(. + ["CAP_CHOWN"])'
	in_container 'chown 5 /tmp && stat -c %u /tmp'
	assert_eq "$output" 5
}

@test "process: rlimits" {
	config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}, {type: "RLIMIT_CORE", soft: 0, hard: 0},
		{type: "RLIMIT_NPROC", soft: 500, hard: 600}, {type: "RLIMIT_STACK", soft: 4194304, hard: 8388608},
		{type: "RLIMIT_FSIZE", soft: 1048576, hard: 2097152}, {type: "RLIMIT_CPU", soft: 1000, hard: 2000},
		{type: "RLIMIT_AS", soft: 1073741824, hard: 2147483648}, {type: "RLIMIT_DATA", soft: 1073741824, hard: 1073741824},
		{type: "RLIMIT_MEMLOCK", soft: 4096, hard: 8192}, {type: "RLIMIT_LOCKS", soft: 10, hard: 20},
		{type: "RLIMIT_MSGQUEUE", soft: 1000, hard: 2000}, {type: "RLIMIT_NICE", soft: 0, hard: 0},
		{type: "RLIMIT_RSS", soft: 10485760, hard: 20971520}, {type: "RLIMIT_RTPRIO", soft: 0, hard: 0},
		{type: "RLIMIT_RTTIME", soft: 100000, hard: 200000}, {type: "RLIMIT_SIGPENDING", soft: 50, hard: 60}]'
	set_args cat /proc/self/limits
	in_container
	local row bad=
	while read -r row; do
		[[ $(tr -s ' ' <<<"$output") == *"$row"* ]] || bad+="$row"$'\n'
	done <<-'END'
		Max open files 100 200
		Max core file size 0 0
		Max processes 500 600
		Max stack size 4194304 8388608
		Max file size 1048576 2097152
		Max cpu time 1000 2000
		Max address space 1073741824 2147483648
		Max data size 1073741824 1073741824
		Max locked memory 4096 8192
		Max file locks 10 20
		Max msgqueue size 1000 2000
		Max nice priority 0 0
		Max resident set 10485760 20971520
		Max realtime priority 0 0
		Max realtime timeout 100000 200000
		Max pending signals 50 60
	END
	[ -z "$bad" ] || fail "missing: $bad"
}

@test "process: a rlimit without bound" {
	requires_cap_sys_resource
	config '.process.rlimits = [{type: "RLIMIT_CORE", soft: "MAX", hard: "MAX"}]'
	set_args sh -c 'ulimit -c'
	# A number that jq would round.
	sed -i 's/"MAX"/18446744073709551615/' "$BUNDLE/config.json"
	in_container
	assert_eq "$output" unlimited
}

@test "process: a rlimit above the hard limit" {
	local hard
	hard=$(ulimit -Hn)
	config --argjson n "$((hard + 1))" '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: $n, hard: $n}]'
	if has_cap 24; then
		in_container 'ulimit -Hn'
		assert_eq "$output" $((hard + 1))
	else
		fails 1 'rlimit|RLIMIT_NOFILE' create_container
		assert_nothing_left
	fi
}

@test "process: rlimits that are unknown, twice or soft above hard are refused" {
	config '.process.rlimits = [{type: "RLIMIT_NONE", soft: 1, hard: 1}]'
	fails 1 'RLIMIT_NONE' create_container
	requires_moat "strict rlimits"
	config '.process.rlimits = [{type: "RLIMIT_CORE", soft: 1, hard: 1}, {type: "RLIMIT_CORE", soft: 1, hard: 1}]'
	fails 1 'process.rlimits' create_container
	config '.process.rlimits = [{type: "RLIMIT_CORE", soft: 2, hard: 1}]'
	fails 1 'process.rlimits|RLIMIT_CORE' create_container
	assert_nothing_left
}

@test "process: the soft limit of open files is the caller's when the spec says none" {
	requires_moat "rlimits left alone (a Go program raises its own)"
	skip_in_vm "a guest's limits are its own kernel's"
	config 'del(.process.rlimits)'
	ulimit -Sn 777
	in_container 'ulimit -Sn'
	assert_eq "$output" 777
}

@test "process: no_new_privs" {
	in_container 'grep NoNewPrivs /proc/self/status'
	assert_match "$output" '1$'
	config '.process.noNewPrivileges = false'
	in_container 'grep NoNewPrivs /proc/self/status'
	assert_match "$output" '0$'
}

@test "process: no_new_privs holds back setuid programs" {
	config '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {bounding: ["CAP_SETUID"]}'
	cp "$HELPERS/probe" "$BUNDLE/rootfs/suid"
	chmod 4755 "$BUNDLE/rootfs/suid"
	# geteuid
	in_container '/suid syscall 107'
	assert_eq "$output" 1000
	config '.process.noNewPrivileges = false'
	in_container '/suid syscall 107'
	assert_eq "$output" 0
}

@test "process: oom_score_adj" {
	config '.process.oomScoreAdj = 250'
	in_container 'cat /proc/self/oom_score_adj'
	assert_eq "$output" 250
}

@test "process: oom_score_adj below the caller's" {
	requires_cap_sys_resource
	config '.process.oomScoreAdj = -300'
	in_container 'cat /proc/self/oom_score_adj'
	assert_eq "$output" -300
}

@test "process: oom_score_adj is the caller's when the spec says none" {
	skip_in_vm "a guest has its own kernel"
	in_container 'cat /proc/self/oom_score_adj'
	assert_eq "$output" "$(</proc/self/oom_score_adj)"
}

@test "process: sysctls" {
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1234567", "fs.mqueue.msg_max": "22",
		"net.core.somaxconn": "321", "kernel.msgmax": "9000"}'
	in_container 'cd /proc/sys; cat net/ipv4/ip_forward kernel/shmmax fs/mqueue/msg_max net/core/somaxconn kernel/msgmax'
	assert_eq "$output" $'1\n1234567\n22\n321\n9000'
	[ "$(</proc/sys/kernel/shmmax)" != 1234567 ]
}

@test "process: sysctls with slashes for dots" {
	requires_moat "sysctl names with slashes"
	config '.linux.sysctl = {"net/ipv4/conf/lo/forwarding": "1"}'
	in_container 'cat /proc/sys/net/ipv4/conf/lo/forwarding'
	assert_eq "$output" 1
}

@test "process: sysctls that are not of a namespace of the container are refused" {
	skip_in_vm "it has a kernel of its own to set"
	local key
	for key in kernel.panic vm.swappiness fs.file-max kernel.no_such; do
		config --arg key "$key" '.linux.sysctl = {($key): "1"}'
		fails 1 "$key" create_container
	done
	config '.linux.sysctl = {"kernel.shmmax": "1"} | .linux.namespaces |= map(select(.type != "ipc"))
		| .mounts |= map(select(.type != "mqueue"))'
	fails 1 'kernel.shmmax|ipc' create_container
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1"} | .linux.namespaces |= map(select(.type != "network"))'
	fails 1 'net.ipv4.ip_forward|network' create_container
	assert_nothing_left
}

@test "process: sysctls that reach elsewhere are refused" {
	config '.linux.sysctl = {"net/../kernel/panic": "1"}'
	fails 1 '' create_container
	config '.linux.sysctl = {"net...kernel.panic": "1"}'
	fails 1 '' create_container
	assert_nothing_left
}

@test "process: personality" {
	requires_moat "personality"
	config '.linux.personality = {domain: "LINUX32"}'
	in_container 'uname -m; cat /proc/self/personality'
	assert_match "$output" 'i[3-6]86|armv|^[a-z0-9]+'$'\n''0*8$'
	assert_match "$output" '0*8$'
	config '.linux.personality = {domain: "LINUX"}'
	in_container 'cat /proc/self/personality'
	assert_match "$output" '^0*$'
	config '.linux.personality = {domain: "SOLARIS"}'
	fails 1 'linux.personality.domain' create_container
	assert_nothing_left
}

@test "process: a session keyring of its own" {
	in_container 'probe keyring'
	assert_match "$output" ";_ses.$ID\$"
}

@test "process: --no-new-keyring leaves the caller's" {
	skip_in_vm "a guest has its own kernel"
	set_args probe keyring
	attempt moat run --no-new-keyring -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" "$("$HELPERS/probe" keyring)"
}

@test "process: a caller that ignores SIGCHLD can still wait for run, exec and hooks" {
	local ignoring=(timeout -k 1 $((20 * PATIENCE)) env --ignore-signal=CHLD $(moat_command))
	set_args sh -c 'exit 5'
	attempt "${ignoring[@]}" run -b "$BUNDLE" "$ID"
	assert_status 5
	config '.hooks.createRuntime = [{path: "/bin/false"}]'
	fails 1 'createRuntime.*exit status 1' "${ignoring[@]}" run -b "$BUNDLE" "$ID"
	config 'del(.hooks)'
	set_args sleep 300
	start_container
	attempt "${ignoring[@]}" exec "$ID" sh -c 'exit 6'
	assert_status 6
}

@test "process: signals are at their defaults, none blocked or ignored" {
	set_args grep Sig /proc/self/status
	# A caller that ignores and blocks some, as nohup and shells do.
	trap '' HUP PIPE QUIT
	attempt moat run -b "$BUNDLE" "$ID"
	trap - HUP PIPE QUIT
	assert_status 0
	assert_match "$output" 'SigBlk:.0000000000000000'
	requires_moat "default signal actions"
	assert_match "$output" 'SigIgn:.0000000000000000'
}

@test "process: is in a session of its own only with a terminal or detached; its parent is not of the container" {
	in_container 'cut -d" " -f4 /proc/self/stat; cut -d" " -f4 /proc/1/stat'
	assert_match "$output" $'\n0$'
}

@test "process: what is not supported yet is refused, never passed over" {
	requires_moat "scheduler, ioPriority and others of runtime-spec 1.3"
	local path value
	while read -r path value; do
		config --argjson path "$(jq -c 'split(".")' <<<"\"$path\"")" --argjson value "$value" 'setpath($path; $value)'
		attempt create_container
		if [ "$status" -eq 0 ]; then
			moat delete -f "$ID"
		else
			assert_has "$stderr$output$(<"$T/$ID.err")" "${path##*.}"
		fi
		assert_nothing_left
		cp "$SUITE/default.json" "$BUNDLE/config.json"
	done <<-'END'
		process.scheduler {"policy":"SCHED_BATCH","nice":5}
		process.ioPriority {"class":"IOPRIO_CLASS_BE","priority":3}
		process.execCPUAffinity {"initial":"0"}
		linux.memoryPolicy {"mode":"MPOL_BIND","nodes":"0"}
		linux.intelRdt {"closID":"moat"}
		linux.netDevices {"nosuchdev0":{}}
	END
}

@test "process: scheduler and ioPriority have their effect where they are accepted" {
	requires_moat "scheduler and ioPriority"
	config '.process.scheduler = {policy: "SCHED_BATCH", nice: 5}'
	run_container 'chrt -p $$; nice'
	if [ "$status" -eq 0 ]; then assert_match "$output" 'SCHED_BATCH'; else assert_has "$stderr" 'not supported yet'; fi
	config 'del(.process.scheduler) | .process.ioPriority = {class: "IOPRIO_CLASS_IDLE", priority: 0}'
	run_container 'ionice -p $$'
	if [ "$status" -eq 0 ]; then assert_match "$output" 'idle'; else assert_has "$stderr" 'not supported yet'; fi
}
