# process.terminal: the console socket of a detached container, and the caller's terminal.

load lib

# with_console FLAGS...: an engine's end of a console socket; its output in $T/tty, its input from the
# fifo $T/keys, which is open as fd 8.
with_console() {
	mkfifo "$T/keys"
	exec 8<>"$T/keys"
	spawn "$HELPERS/recvtty" "$T/console" "$@" <"$T/keys" >"$T/tty" 2>"$T/tty.err"
	wait_for 5 test -S "$T/console"
	config '.process.terminal = true'
}

shows() { grep -qE -e "$1" "$T/tty"; }
ended() { gone "$spawned"; }

@test "terminal: create hands it over by the console socket" {
	with_console
	set_args sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all three'
	create_container --console-socket "$T/console"
	moat start "$ID"
	wait_for 5 shows 'all three'
	shows '/dev/pts/0'
}

@test "terminal: what is typed reaches the program" {
	with_console
	set_args sh -c 'stty -echo; echo ready; read line; echo "<$line>"'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows ready
	echo "some words" >&8
	wait_for 5 shows '<some words>'
}

@test "terminal: Ctrl-C and end of file work as on any other" {
	with_console
	set_args sh -c 'trap "got=1" INT; echo ready; while [ -z "$got" ]; do sleep 0.02; done; echo int; cat; echo eof'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows ready
	printf '\003' >&8
	wait_for 5 shows 'int.?$'
	printf '\004' >&8
	wait_for 5 shows eof
}

@test "terminal: is the controlling one, in a session of its own" {
	with_console
	set_args sh -c 'echo "ids $(cut -d" " -f5,6,7 /proc/self/stat)"; (echo opened) >/dev/tty'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows opened
	# Group, session, and the number of pts/0.
	shows 'ids [0-9]+ 1 34816'
}

@test "terminal: ONLCR is off" {
	config '.process.terminal = true'
	set_args stty -a
	attempt moat_on_terminal run -b "$BUNDLE" "$ID"
	assert_has "$output" -onlcr
}

@test "terminal: ONLCR is off when the console socket hands it over" {
	requires_moat "ONLCR off without the engine's doing"
	# busybox's stty wants a size.
	with_console 24 80
	set_args sh -c 'until stty size; do sleep 0.02; done; stty -a; printf "a\nb\n"; echo done'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows done
	shows '-onlcr'
	refute grep -q $'a\r' "$T/tty"
}

@test "terminal: consoleSize" {
	with_console
	config '.process.consoleSize = {height: 33, width: 111}'
	set_args sh -c 'stty size; echo done'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows done
	shows '^33 111'
}

@test "terminal: the engine's resize reaches the program" {
	with_console 44 155
	set_args sh -c 'while [ "$(stty size)" != "44 155" ]; do sleep 0.02; done; echo resized'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows resized
}

@test "terminal: belongs to the user, with the group tty" {
	with_console
	config '.process.user = {uid: 1000, gid: 1000}'
	set_args sh -c 'stat -c %u:%g:%a $(tty); echo done'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows done
	shows '^1000:5:620|^1000:[0-9]+:6[0-9]0'
}

@test "terminal: /dev/console is the terminal" {
	with_console
	set_args sh -c 'echo through >/dev/console; stat -c %F /dev/console; echo done'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows done
	shows through
	shows 'character special'
}

@test "terminal: without one there is no /dev/console of the host" {
	in_container 'ls /dev/console 2>/dev/null || echo none'
	assert_eq "$output" none
}

@test "terminal: is the container's own devpts" {
	with_console
	set_args sh -c 'ls /dev/pts; echo done'
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 shows done
	refute shows '^1'
}

@test "terminal: hangs up when the container ends" {
	with_console
	set_args sleep 1000
	moat run -d --console-socket "$T/console" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	moat kill "$ID" KILL
	wait_for 5 ended
}

@test "terminal: exec with a console socket" {
	start_container
	mkfifo "$T/keys"
	exec 8<>"$T/keys"
	spawn "$HELPERS/recvtty" "$T/console" 24 80 <"$T/keys" >"$T/tty" 2>&1
	wait_for 5 test -S "$T/console"
	moat exec --tty --detach --console-socket "$T/console" "$ID" \
		sh -c 'tty; until stty size; do sleep 0.02; done; stty -a; echo done' >/dev/null 2>&1
	wait_for 5 shows done
	shows '/dev/pts/0'
	[ "$RUNTIME" != moat ] || shows '-onlcr'
}

@test "terminal: exec --process says terminal and consoleSize" {
	start_container
	mkfifo "$T/keys"
	exec 8<>"$T/keys"
	spawn "$HELPERS/recvtty" "$T/console" <"$T/keys" >"$T/tty" 2>&1
	wait_for 5 test -S "$T/console"
	jq '.process | .terminal = true | .consoleSize = {height: 21, width: 84} | .args = ["sh", "-c", "stty size; echo done"]' \
		"$BUNDLE/config.json" >"$T/process.json"
	moat exec --detach --process "$T/process.json" --console-socket "$T/console" "$ID" >/dev/null 2>&1
	wait_for 5 shows done
	shows '^21 84'
}

@test "terminal: a console socket without a terminal, or the other way round, is refused" {
	fails 1 'console|terminal|tty' create_container --console-socket "$T/none"
	config '.process.terminal = true'
	fails 1 'console|terminal|tty' create_container
	fails 1 'console|no-such|connect|no such file' create_container --console-socket "$T/no-such-socket"
	assert_nothing_left
}

@test "terminal: run in the foreground uses the caller's" {
	config '.process.terminal = true'
	set_args sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all three; exit 5'
	attempt moat_on_terminal run -b "$BUNDLE" "$ID"
	assert_status 5
	assert_eq "$output" $'/dev/pts/0\nall three'
}

@test "terminal: run in the foreground takes over the size of the caller's" {
	config '.process.terminal = true'
	set_args sh -c 'stty size'
	attempt moat_on_terminal run -b "$BUNDLE" "$ID"
	assert_eq "$output" "40 120"
}

@test "terminal: run in the foreground without a caller's relays all the same" {
	requires_moat "a terminal between pipes, which runc refuses"
	config '.process.terminal = true'
	set_args sh -c 'test -t 0 && echo "a terminal"; exit 7'
	attempt timeout -k 1 $((20 * PATIENCE)) $(moat_command) run -b "$BUNDLE" "$ID" </dev/null
	assert_status 7
	assert_has "$output" "a terminal"
	assert_nothing_left
}

@test "terminal: exec -t in the foreground" {
	start_container
	attempt moat_on_terminal exec -t "$ID" sh -c 'tty; exit 6'
	assert_status 6
	assert_match "$output" '^/dev/pts/[0-9]'
}

@test "terminal: much output arrives whole" {
	config '.process.terminal = true'
	set_args sh -c 'seq 20000'
	attempt moat_on_terminal run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$(md5sum <<<"$output")" "$(seq 20000 | md5sum)"
}

@test "terminal: a reader that is slow to take the last of it gets all" {
	with_console
	set_args sh -c 'seq 20000; touch /done'
	create_container --console-socket "$T/console"
	local reader=$spawned
	spawn "$HELPERS/holdup" "$reader" >"$T/holdup"
	wait_for 5 grep -q held "$T/holdup"
	moat start "$ID"
	# On a VM's way to its terminal there is room for all, and the program ends.
	[ "$MOAT_MODE" = container ] || wait_for 5 test -e "$BUNDLE/rootfs/done"
	kill "$spawned"
	wait_for 5 gone "$reader"
	wait_for 5 has_status stopped
	assert_eq "$(tr -d '\r' <"$T/tty" | md5sum)" "$(seq 20000 | md5sum)"
}

@test "terminal: --pidfd-socket of create and exec" {
	requires_moat "--pidfd-socket"
	spawn "$HELPERS/recvpidfd" "$T/pidfd" >"$T/pidfd.out"
	wait_for 5 test -S "$T/pidfd"
	create_container --pidfd-socket "$T/pidfd"
	wait_for 5 grep -qx "$(container_pid)" "$T/pidfd.out"
	moat start "$ID"

	spawn "$HELPERS/recvpidfd" "$T/pidfd2" >"$T/pidfd2.out"
	wait_for 5 test -S "$T/pidfd2"
	moat exec --detach --pid-file "$T/pid" --pidfd-socket "$T/pidfd2" "$ID" sleep 500 >/dev/null 2>&1
	wait_for 5 grep -qx "$(<"$T/pid")" "$T/pidfd2.out"

	moat kill "$ID" KILL
	wait_for 5 grep -q exited "$T/pidfd.out"
	wait_for 5 grep -q exited "$T/pidfd2.out"
}
