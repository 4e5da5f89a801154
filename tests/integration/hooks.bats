# hooks: six kinds, in their order and namespaces, with the state on stdin.

load lib

# hook KIND SCRIPT [JSON]: a hook that runs a shell script with the host's shell; JSON has more
# fields. startContainer hooks run the container's shell.
hook() {
	config --arg kind "$1" --arg script "$2" --argjson more "${3:-null}" \
		'.hooks[$kind] += [{path: "/bin/sh", args: ["sh", "-c", $script]} + ($more // {})]'
}

all_kinds="prestart createRuntime createContainer startContainer poststart poststop"

@test "hooks: all six run, once, in the order of the spec" {
	local kind
	: >"$T/log"
	mkdir "$T/shared"
	config --arg dir "$T/shared" '.mounts += [{destination: "/shared", source: $dir, options: ["bind"]}]'
	for kind in $all_kinds; do
		case $kind in
			startContainer) hook $kind "echo $kind >>/shared/log" ;;
			*) hook $kind "echo $kind >>$T/shared/log" ;;
		esac
	done
	in_container 'echo program >>/shared/log'
	# poststart and the program run at the same time.
	assert_eq "$(grep -v -e program -e poststart "$T/shared/log" | tr '\n' ' ')" \
		"prestart createRuntime createContainer startContainer poststop "
	assert_eq "$(sort "$T/shared/log" | tr '\n' ' ')" \
		"createContainer createRuntime poststart poststop prestart program startContainer "
}

@test "hooks: create runs the first three, start the next two, delete the last" {
	local kind
	mkdir "$T/shared"
	config --arg dir "$T/shared" '.mounts += [{destination: "/shared", source: $dir, options: ["bind"]}]'
	for kind in $all_kinds; do
		case $kind in
			startContainer) hook $kind "echo $kind >>/shared/log" ;;
			*) hook $kind "echo $kind >>$T/shared/log" ;;
		esac
	done
	create_container
	# runc runs poststart too early.
	[ "$RUNTIME" != moat ] || refute grep -q poststart "$T/shared/log"
	assert_eq "$(grep -v poststart "$T/shared/log" | tr '\n' ' ')" "prestart createRuntime createContainer "
	moat start "$ID"
	wait_for 5 grep -q startContainer "$T/shared/log"
	wait_for 5 grep -q poststart "$T/shared/log"
	refute grep -q poststop "$T/shared/log"
	moat delete -f "$ID"
	wait_for 5 grep -q poststop "$T/shared/log"
}

@test "hooks: of one kind run in the order of the list" {
	local i
	for i in 1 2 3 4 5; do
		hook createRuntime "echo $i >>$T/log"
	done
	create_container
	assert_eq "$(tr '\n' ' ' <"$T/log")" "1 2 3 4 5 "
}

@test "hooks: get the state on stdin" {
	local kind
	config '.annotations = {"org.example": "note"}'
	for kind in prestart createRuntime createContainer poststart poststop; do
		hook $kind "cat >$T/$kind.json"
	done
	start_container
	local pid seen
	pid=$(container_pid)
	moat delete -f "$ID"
	for kind in prestart createRuntime createContainer poststart; do
		# In the container's namespaces it is the pid that the container sees.
		[ $kind != createContainer ] && seen=$pid || seen=1
		jq -e --arg id "$ID" --arg bundle "$(realpath "$BUNDLE")" --argjson pid "$seen" '
			(.ociVersion | test("^1")) and .id == $id and .bundle == $bundle and .pid == $pid
			and .annotations["org.example"] == "note"' "$T/$kind.json" >/dev/null || fail "$kind: $(<"$T/$kind.json")"
	done
	assert_match "$(jq -r .status "$T/prestart.json")" '^creat(ing|ed)$'
	assert_match "$(jq -r .status "$T/createRuntime.json")" '^creat(ing|ed)$'
	assert_match "$(jq -r .status "$T/createContainer.json")" '^creat(ing|ed)$'
	[ "$RUNTIME" != moat ] || assert_eq "$(jq -r .status "$T/poststart.json")" running
	assert_eq "$(jq -r .status "$T/poststop.json")" stopped
	jq -e --arg id "$ID" '.id == $id and (.pid == 0 or (has("pid") | not))' "$T/poststop.json"
}

@test "hooks: have the status that the spec says" {
	requires_moat "status creating"
	local kind
	for kind in prestart createRuntime createContainer; do
		hook $kind "cat >$T/$kind.json"
	done
	create_container
	for kind in prestart createRuntime createContainer; do
		assert_eq "$(jq -r .status "$T/$kind.json")" creating
	done
}

@test "hooks: startContainer has the status created, in the container" {
	hook startContainer 'cat >/tmp/state.json'
	set_args true
	in_container
	jq -e --arg id "$ID" '.id == $id and .status == "created"' "$BUNDLE/rootfs/tmp/state.json"
}

@test "hooks: run in their namespaces" {
	local kind
	for kind in prestart createRuntime createContainer poststart poststop; do
		hook $kind "readlink /proc/self/ns/mnt /proc/self/ns/net >$T/$kind"
	done
	# In these the host's files are in sight: it is before pivot_root.
	hook createContainer "pwd >$T/cwd"
	hook startContainer 'readlink /proc/self/ns/mnt >/tmp/startContainer'
	start_container
	skip_in_vm "the host sees the VMM"
	local own container
	own=$(readlink /proc/self/ns/mnt)
	container=$(readlink "/proc/$(container_pid)/ns/mnt")
	moat delete -f "$ID"
	for kind in prestart createRuntime poststart poststop; do
		assert_eq "$(head -n 1 "$T/$kind")" "$own" $kind
	done
	assert_eq "$(head -n 1 "$T/createContainer")" "$container" createContainer
	assert_eq "$(<"$BUNDLE/rootfs/tmp/startContainer")" "$container" startContainer
	assert_eq "$(tail -n 1 "$T/createRuntime")" "$(readlink /proc/self/ns/net)"
}

@test "hooks: createContainer sees the container's mounts below its rootfs, before pivot_root" {
	# Of the host's: in a VM a tmpfs is the guest's.
	config --arg source "$BUNDLE" '.mounts += [{destination: "/marked", source: $source, options: ["bind"]}]'
	hook createContainer "cat /proc/self/mountinfo >$T/mounts"
	create_container
	grep -qF "$(realpath "$BUNDLE/rootfs")/marked " "$T/mounts"
}

@test "hooks: createRuntime can prepare the network namespace" {
	hook createRuntime 'in_it="nsenter -t $(sed "s/.*\"pid\": *\([0-9]*\).*/\1/") -n ip link"
		$in_it add dummy-hook type dummy || $in_it add dummy-hook type veth; $in_it set dummy-hook up'
	in_container 'ls /sys/class/net'
	case $MOAT_MODE in
		container) assert_has "$output" dummy-hook ;;
		vm) assert_has "$stderr" "the guest doesn't get dummy-hook" ;;
	esac
}

@test "hooks: without env the host's have the caller's" {
	config --arg out "$T/out" '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "echo $PATH >\($out)"]}]'
	set_args true
	in_container
	assert_eq "$(<"$T/out")" "$PATH"
}

@test "hooks: args and env are exactly those given" {
	config --arg out "$T/out" '.hooks.createRuntime = [{path: "/bin/sh", args: ["arg zero", "-c", "echo \"$0|$1|$2\" >\($out); env >>\($out)", "name", "one 1", "two"],
		env: ["ONLY=this", "AND=that one"]}]'
	LEAKED=1 create_container
	assert_eq "$(head -n 1 "$T/out")" "name|one 1|two"
	assert_has "$(<"$T/out")" ONLY=this
	assert_has "$(<"$T/out")" "AND=that one"
	refute_has "$(<"$T/out")" LEAKED
}

@test "hooks: without args the path is the only one" {
	printf '#!/bin/sh\necho $# >%s/out\n' "$T" >"$T/hook"
	chmod +x "$T/hook"
	config --arg path "$T/hook" '.hooks.createRuntime = [{path: $path}]'
	create_container
	assert_eq "$(<"$T/out")" 0
}

@test "hooks: one that fails before start fails create, with its words, and nothing is left" {
	local kind
	for kind in prestart createRuntime createContainer; do
		cp "$SUITE/default.json" "$BUNDLE/config.json"
		hook $kind 'echo what went wrong >&2; exit 3'
		hook poststop "echo $kind >>$T/poststop"
		fails 1 'hook' create_container
		[ "$RUNTIME" != moat ] || assert_match "$stderr" "$kind.*what went wrong|what went wrong"
		assert_nothing_left
	done
}

@test "hooks: poststop runs after a create that failed, too" {
	hook poststop "echo ran >>$T/poststop"
	hook createRuntime 'exit 3'
	fails 1 'createRuntime' create_container
	assert_eq "$(<"$T/poststop")" ran
	config 'del(.hooks.createRuntime)'
	set_args /no/such/program
	fails 1 '/no/such/program' create_container
	assert_eq "$(<"$T/poststop")" $'ran\nran'
	assert_nothing_left
}

@test "hooks: a start that failed leaves a container that has ended" {
	requires_moat "start that waits for startContainer hooks"
	strace -o /dev/null true 2>/dev/null || skip "host has no strace that works"
	hook startContainer 'exit 3'
	create_container
	# The init's end takes a while, so that it isn't luck if that is over.
	spawn strace -qq -o /dev/null -e inject=exit_group:delay_enter=300000 -p "$(container_pid)"
	wait_for 5 grep -qs 'TracerPid:.[1-9]' "/proc/$(container_pid)/status"
	fails 1 'startContainer' moat start "$ID"
	moat delete "$ID"
}

@test "hooks: a startContainer hook that fails fails start, and the program does not run" {
	hook startContainer 'exit 3'
	set_args sh -c 'echo ran >/tmp/ran'
	create_container
	attempt moat start "$ID"
	# runc does not wait for it.
	[ "$RUNTIME" != moat ] || assert_status 1
	wait_for 5 has_status stopped
	[ ! -e "$BUNDLE/rootfs/tmp/ran" ]
}

@test "hooks: a poststop hook that fails does not stop delete" {
	hook poststop 'exit 3'
	hook poststop "echo second >$T/second"
	set_args true
	start_container
	wait_for 5 has_status stopped
	moat delete "$ID"
	assert_nothing_left
	requires_moat "poststop hooks after one that fails"
	assert_eq "$(<"$T/second")" second
}

@test "hooks: a poststart hook that fails" {
	hook poststart 'exit 3'
	attempt moat run -d -b "$BUNDLE" "$ID"
	# The spec wants a warning and life to go on; runc fails and kills the container.
	if [ "$status" -eq 0 ]; then
		assert_eq "$(container_status)" running
	else
		assert_match "$stderr" 'hook'
	fi
}

@test "hooks: a timeout ends a hook that takes longer" {
	hook createRuntime 'exec sleep 60' '{"timeout": 1}'
	local start=$SECONDS
	fails 1 'timeout|timed out|took longer|deadline|hook' create_container
	[ $((SECONDS - start)) -lt 10 ]
	assert_nothing_left
}

@test "hooks: a timeout holds though a child of the hook lives on with its streams" {
	requires_moat "timeouts that do not wait for streams"
	hook createRuntime "sleep 20 & echo \$! >$T/child; wait" '{"timeout": 1}'
	local start=$SECONDS
	fails 1 'hook' create_container
	[ $((SECONDS - start)) -lt 10 ]
	kill "$(<"$T/child")" 2>/dev/null || :
}

@test "hooks: one that ends in time is not touched by its timeout" {
	hook createRuntime "echo in time >$T/out" '{"timeout": 10}'
	create_container
	assert_eq "$(<"$T/out")" "in time"
}

@test "hooks: a path that is relative, missing or no program is an error that names it" {
	config '.hooks.createRuntime = [{path: "bin/true"}]'
	attempt create_container
	[ "$status" -ne 0 ] || [ "$RUNTIME" != moat ]
	[ "$status" -ne 0 ] || moat delete -f "$ID"
	config '.hooks.createRuntime = [{path: "/no/such/hook"}]'
	fails 1 '/no/such/hook' create_container
	config '.hooks.createRuntime = [{path: "/etc/passwd"}]'
	fails 1 '/etc/passwd' create_container
	assert_nothing_left
}

@test "hooks: a timeout that is not above zero is refused" {
	requires_moat "strict timeouts"
	local timeout
	for timeout in 0 -1 '"1"' 1.5; do
		cp "$SUITE/default.json" "$BUNDLE/config.json"
		hook createRuntime true "{\"timeout\": $timeout}"
		fails 1 'hooks.createRuntime\[0\].timeout' create_container
	done
	assert_nothing_left
}

@test "hooks: have none of the runtime's descriptors" {
	hook createRuntime "ls -l /proc/self/fd >$T/fds"
	create_container
	# 0, 1, 2 and the directory that ls reads.
	assert_eq "$(grep -c -- '->' "$T/fds")" 4
}

@test "hooks: one that does not read its stdin is fine, however long the state" {
	config '.annotations = ([range(2000) | {key: "k\(.)", value: ("v" * 100)}] | from_entries)'
	hook createRuntime 'exec <&-; exit 0'
	hook createRuntime "wc -c >$T/size"
	create_container
	[ "$(<"$T/size")" -gt 200000 ]
}

@test "hooks: poststop runs after run in the foreground too" {
	hook poststop "echo ran >$T/out"
	in_container true
	assert_eq "$(<"$T/out")" ran
}
