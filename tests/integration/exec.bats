# exec: a further process in a running container.

load lib

@test "exec: runs a program and gives its output and exit status" {
	start_container
	in_exec 'echo out; echo err >&2'
	assert_eq "$output" out
	assert_eq "$stderr" err
	attempt moat exec "$ID" sh -c 'exit 23'
	assert_status 23
}

@test "exec: gives 128+n when a signal killed the program" {
	start_container
	attempt moat exec "$ID" sh -c 'kill -TERM $$'
	assert_status 143
}

@test "exec: a program that is missing or not executable gives 255 and the known words" {
	start_container
	fails 255 'executable file not found in \$PATH' moat exec "$ID" no-such-program
	printf x >"$BUNDLE/rootfs/bin/plain"
	attempt moat exec "$ID" /bin/plain
	assert_status 255
	assert_has "${stderr,,}" 'permission denied'
}

@test "exec: into a container that is unknown, stopped or only created" {
	# runc 1.1 gives 1 here; engines look for 255 in neither case.
	attempt moat exec "${ID}no" true
	assert_match "$status" '^(1|255)$'
	assert_has "$stderr" 'does not exist'

	create_container
	in_exec 'echo in a created container'
	assert_eq "$output" 'in a created container'

	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	attempt moat exec "$ID" true
	assert_match "$status" '^(1|255)$'
	assert_match "$stderr" 'stopped|not running'
}

@test "exec: stdin passes with all bytes, and its end" {
	start_container
	head -c 200000 /dev/urandom >"$T/in"
	moat exec "$ID" cat <"$T/in" >"$T/out"
	cmp "$T/in" "$T/out"
}

@test "exec: is in all the container's namespaces and its cgroups" {
	start_container
	local ns pid
	pid=$(container_pid)
	for ns in cgroup ipc mnt net pid uts; do
		in_exec "readlink /proc/self/ns/$ns"
		[ "$MOAT_MODE" = vm ] || assert_eq "$output" "$(readlink "/proc/$pid/ns/$ns")" "$ns"
		assert_eq "$output" "$(moat exec "$ID" readlink "/proc/1/ns/$ns")" "$ns"
	done
	in_exec 'diff /proc/1/cgroup /proc/self/cgroup'
}

@test "exec: --cwd" {
	start_container
	attempt moat exec --cwd /tmp "$ID" pwd
	assert_eq "$output" /tmp
	config '.process.cwd = "/etc"'
	moat delete -f "$ID"
	start_container
	in_exec pwd
	assert_eq "$output" /etc
	fails 255 "not an absolute path" moat exec --cwd relative "$ID" pwd
}

@test "exec: --env adds to and overrides the environment" {
	config '.process.env += ["KEPT=1", "CHANGED=old"]'
	start_container
	attempt moat exec -e CHANGED=new -e ADDED="a b" "$ID" env
	assert_status 0
	assert_has "$output" KEPT=1
	assert_has "$output" CHANGED=new
	refute_has "$output" CHANGED=old
	assert_has "$output" "ADDED=a b"
}

@test "exec: sets HOME from /etc/passwd as for the first process" {
	start_container
	in_exec 'echo $HOME'
	assert_eq "$output" /root
	attempt moat exec -u 1000 "$ID" sh -c 'echo $HOME'
	assert_eq "$output" /home/user
	attempt moat exec -e HOME=/x "$ID" sh -c 'echo $HOME'
	assert_eq "$output" /x
}

@test "exec: --user takes uid and uid:gid" {
	start_container
	attempt moat exec --user 1000 "$ID" id -u
	assert_eq "$output" 1000
	attempt moat exec -u 1000:2000 "$ID" sh -c 'id -u; id -g'
	assert_eq "$output" $'1000\n2000'
	requires_moat "a --user of any length"
	attempt moat exec -u 0000000000000001000:0000000000000002000 "$ID" sh -c 'id -u; id -g'
	assert_eq "$output" $'1000\n2000'
}

@test "exec: --user refuses what is not a number in range (CVE-2026-30892)" {
	requires_moat "a strict --user"
	start_container
	local user
	for user in -1 4294967296 99999999999999999999 1x 000000000000000x 0000000000000001x:1 x:1 1:y 1: :1 ' 1' 1.5 0x10; do
		attempt moat exec --user "$user" "$ID" id
		[ "$status" -ne 0 ] || fail "accepted --user '$user': $output"
	done
}

@test "exec: --additional-gids" {
	start_container
	attempt moat exec -u 1000:1000 -g 2000 -g 3000 "$ID" id -G
	assert_status 0
	assert_eq "$output" "1000 2000 3000"
}

@test "exec: --cap adds a capability, unknown ones are refused" {
	start_container
	attempt moat exec --cap CAP_SYS_CHROOT "$ID" grep Cap /proc/self/status
	assert_status 0
	assert_match "$output" 'CapBnd:.0000000020040420'
	assert_match "$output" 'CapEff:.0000000020040420'
	in_exec 'grep CapBnd /proc/self/status'
	assert_match "$output" '0000000020000420'
	attempt moat exec --cap CAP_NO_SUCH "$ID" true
	[ "$status" -ne 0 ] || assert_has "$stderr" CAP_NO_SUCH
}

@test "exec: --no-new-privs" {
	config '.process.noNewPrivileges = false'
	start_container
	in_exec 'grep NoNewPrivs /proc/self/status'
	assert_match "$output" '0$'
	attempt moat exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status
	assert_match "$output" '1$'
}

@test "exec: takes rlimits, no_new_privs and umask of the container's process" {
	requires_moat "soft limits and umask of exec"
	config '.process.rlimits = [{type:"RLIMIT_NOFILE", soft:77, hard:88}]
		| .process.user.umask = 18 + 9'
	start_container
	in_exec 'ulimit -Sn; ulimit -Hn; umask; grep NoNewPrivs /proc/self/status'
	assert_eq "$output" $'77\n88\n0033\nNoNewPrivs:\t1'
}

@test "exec: --process takes all of the process object" {
	start_container
	jq '.process | .args = ["sh", "-c", "pwd; id -u; id -G; echo $X; grep CapEff /proc/self/status"]
		| .cwd = "/tmp" | .env = ["PATH=/bin", "X=y z"]
		| .user = {uid: 1000, gid: 1000, additionalGids: [2000]}
		| .capabilities = {}' "$BUNDLE/config.json" >"$T/process.json"
	attempt moat exec --process "$T/process.json" "$ID"
	assert_status 0
	assert_eq "$output" $'/tmp\n1000\n1000 2000\ny z\nCapEff:\t0000000000000000'
}

@test "exec: --process without capabilities has the container's" {
	start_container
	jq '.process | .args = ["grep", "Cap", "/proc/self/status"] | del(.capabilities)' \
		"$BUNDLE/config.json" >"$T/process.json"
	attempt moat exec --process "$T/process.json" "$ID"
	assert_status 0
	assert_match "$output" 'CapEff:.0000000020000420'
	assert_match "$output" 'CapBnd:.0000000020000420'
}

@test "exec: --process takes the umask and rlimits" {
	requires_moat "soft limits and umask of exec"
	start_container
	jq '.process | .args = ["sh", "-c", "umask; ulimit -Sn; ulimit -Hn"] | .user.umask = 63
		| .rlimits = [{type: "RLIMIT_NOFILE", soft: 55, hard: 66}]' \
		"$BUNDLE/config.json" >"$T/process.json"
	attempt moat exec --process "$T/process.json" "$ID"
	assert_status 0
	assert_eq "$output" $'0077\n55\n66'
}

@test "exec: --process with a broken file is an error" {
	start_container
	local text
	for text in '' '{' '{"cwd": "/"}' '{"cwd": "/", "args": []}' '{"cwd": "rel", "args": ["true"]}' \
		'{"cwd": "/", "args": "true"}'; do
		echo "$text" >"$T/process.json"
		attempt moat exec --process "$T/process.json" "$ID"
		[ "$status" -ne 0 ] || fail "accepted: $text"
		[ -n "$stderr" ]
	done
	attempt moat exec --process "$T/none.json" "$ID"
	[ "$status" -ne 0 ]
	assert_has "$stderr" none.json
}

@test "exec: --detach returns at once, --pid-file names the process" {
	start_container
	attempt moat exec --detach --pid-file "$T/pid" "$ID" sleep 500
	assert_status 0
	skip_in_vm "its processes are the guest's"
	assert_eq "$(tr '\0' ' ' <"/proc/$(<"$T/pid")/cmdline")" "sleep 500 "
	in_exec 'ps -o args | grep -c "^sleep 500"'
	assert_eq "$output" 1
}

@test "exec: --pid-file without --detach names the process too" {
	start_container
	attempt moat exec --pid-file "$T/pid" "$ID" true
	assert_status 0
	assert_match "$(<"$T/pid")" '^[0-9]+$'
}

@test "exec: --detach of what cannot run is an error" {
	start_container
	fails 255 'executable file not found in \$PATH' moat exec --detach "$ID" no-such-program
}

@test "exec: processes of exec die with the container" {
	start_container
	moat exec --detach "$ID" sleep 500 >/dev/null 2>&1
	moat delete -f "$ID"
	assert_nothing_left
}

@test "exec: --preserve-fds passes descriptors on, and only those" {
	start_container
	[ "$MOAT_MODE" != vm ] || fails 255 "descriptors can't be passed on into a VM" moat exec --preserve-fds 2 "$ID" true
	skip_in_vm "a descriptor of the host can't be handed to a guest"
	echo three >"$T/three"
	echo four >"$T/four"
	echo five >"$T/five"
	# shellcheck disable=SC2046
	attempt $(moat_command) exec --preserve-fds 2 "$ID" sh -c 'cat <&3; cat <&4; ls /proc/self/fd' \
		3<"$T/three" 4<"$T/four" 5<"$T/five"
	assert_status 0
	# ls has one more open, the directory itself.
	assert_eq "$output" $'three\nfour\n0\n1\n2\n3\n4\n5'
}

@test "exec: into a paused container is refused, unless --ignore-paused" {
	requires_controller freezer
	start_container
	moat pause "$ID"
	attempt moat exec "$ID" true
	assert_match "$status" '^(1|255)$'
	assert_has "$stderr" paused
	local pid dir before
	dir=$(cgroup_dir freezer)
	before=$(wc -l <"$dir/cgroup.procs")
	moat exec --ignore-paused "$ID" echo ran >"$T/ran" 2>&1 &
	pid=$!
	wait_for 5 holds_processes $((before + 1)) "$dir"
	moat resume "$ID"
	wait "$pid"
	assert_eq "$(<"$T/ran")" ran
}

holds_processes() { [ "$(wc -l <"$2/cgroup.procs")" -ge "$1" ]; }

@test "exec: --cgroup runs in a sub-cgroup, which must exist and lie below the container's" {
	requires_controller pids
	local dir
	if [ "$MOAT_MODE" = vm ]; then
		config '(.mounts[] | select(.type == "cgroup").options) -= ["ro"]'
		start_container
		in_exec 'mkdir /sys/fs/cgroup/sub'
	else
		start_container
		dir=$(cgroup_dir pids)
		mkdir "$dir/sub"
	fi
	if [ "$CGROUPS" = v1 ]; then
		attempt moat exec --cgroup pids:sub "$ID" sleep 0
	else
		attempt moat exec --cgroup sub "$ID" sleep 0
	fi
	assert_status 0
	moat exec --detach --pid-file "$T/pid" --cgroup pids:sub "$ID" sleep 300 >/dev/null 2>&1 || :
	[ "$CGROUPS" != v1 ] || assert_eq "$(<"$dir/sub/cgroup.procs")" "$(<"$T/pid")"
	moat delete -f "$ID"
	assert_nothing_left
}

@test "exec: --cgroup cannot leave the container's cgroup" {
	requires_moat "a check of --cgroup against .."
	requires_controller pids
	start_container
	local path
	for path in .. ../.. pids:.. pids:../.. sub/../.. pids:none none /../..; do
		attempt moat exec --cgroup "$path" "$ID" true
		[ "$status" -ne 0 ] || fail "accepted --cgroup $path"
	done
}

@test "exec: --cgroup with a controller that the container hasn't is an error" {
	requires_moat "a check of each --cgroup"
	start_container
	fails 255 'no v1 controller `bogus`' moat exec --cgroup bogus:foo "$ID" true
	fails 255 'no v1 controller `bogus`' moat exec --cgroup bogus:foo --cgroup / "$ID" true
	fails 255 'controller' moat exec --cgroup :foo "$ID" true
	requires_cgroup_v1
	fails 255 'no v1 controller `bogus`' moat exec --cgroup pids,bogus:/ "$ID" true
	fails 255 'no v1 controller ``' moat exec --cgroup pids,:/ "$ID" true
	attempt moat exec --cgroup pids,freezer:/ "$ID" true
	assert_status 0
}

@test "exec: many at once" {
	local pids
	start_container
	local i
	for i in {1..20}; do
		moat exec "$ID" sh -c "echo $i; exit $i" >"$T/out.$i" 2>&1 &
		pids[i]=$!
	done
	for i in {1..20}; do
		status=0
		wait "${pids[i]}" || status=$?
		assert_status "$i"
		assert_eq "$(<"$T/out.$i")" "$i"
	done
}

@test "exec: seccomp of the container holds for exec" {
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
		syscalls: [{names: ["getcwd"], action: "SCMP_ACT_ERRNO", errnoRet: 71}]}'
	start_container
	attempt moat exec "$ID" probe syscall 79
	assert_eq "$output" EPROTO
}

@test "exec: has a session keyring, the container's" {
	start_container
	in_exec 'probe keyring'
	assert_match "$output" ";_ses.$ID\$"
}

@test "exec: --process-label and --apparmor without such a security module are refused, or ignored with care" {
	[ ! -d /sys/kernel/security/apparmor ] || skip "host has AppArmor"
	start_container
	attempt moat exec --apparmor no-such-profile "$ID" true
	[ "$status" -ne 0 ]
	attempt moat exec --process-label no-such-label "$ID" true
	[ "$status" -ne 0 ]
}

@test "exec: oom_score_adj is the container's" {
	config '.process.oomScoreAdj = 321'
	start_container
	in_exec 'cat /proc/self/oom_score_adj'
	assert_eq "$output" 321
}

@test "exec: a foreground exec passes signals on" {
	start_container
	# shellcheck disable=SC2046
	spawn $(moat_command) exec "$ID" sh -c 'trap "exit 9" USR1; echo ready; while :; do sleep 0.05; done' \
		>"$T/out" 2>&1
	wait_for 5 grep -q ready "$T/out"
	kill -USR1 "$spawned"
	local status=0
	wait "$spawned" || status=$?
	assert_status 9
}

@test "exec: signals to a process that is paused come when it goes on" {
	requires_controller freezer
	local signals=(HUP USR1 USR2 ALRM TERM VTALRM PROF) signal
	start_container
	# shellcheck disable=SC2046,SC2016
	spawn $(moat_command) exec "$ID" sh -c 'for s; do trap "echo got $s" "$s"; done; echo ready; while :; do sleep 0.05; done' sh "${signals[@]}" \
		>"$T/out" 2>&1
	wait_for 5 grep -q ready "$T/out"
	moat pause "$ID"
	for signal in "${signals[@]}"; do
		kill -"$signal" "$spawned"
	done
	moat resume "$ID"
	for signal in "${signals[@]}"; do
		wait_for 5 grep -qx "got $signal" "$T/out"
	done
	kill -0 "$spawned"
}
