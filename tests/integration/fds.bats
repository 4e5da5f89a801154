# Descriptors: what the program gets, and what it must not.

load lib

# with_fds COMMAND...: run it with 3 and 4 open on two files, and 9 as one that nobody asked for.
with_fds() { "$@" 3<"$T/three" 4<"$T/four" 9<"$T/nine"; }

make_files() {
	echo three >"$T/three"
	echo four >"$T/four"
	echo nine >"$T/nine"
}

# moat with the descriptors that it is given.
# shellcheck disable=SC2046
moat_with_fds() { timeout --foreground -k 5 $((60 * PATIENCE)) $(moat_command) "$@"; }

# refuses_fds COMMAND...: what a VM's does, before anything is made.
refuses_fds() {
	fails 1 "descriptors can't be passed on into a VM" "$@"
	assert_nothing_left
}

@test "fds: the program has 0, 1 and 2 only" {
	make_files
	set_args ls /proc/self/fd
	attempt with_fds moat_with_fds run -b "$BUNDLE" "$ID"
	assert_status 0
	# And the directory that ls reads.
	assert_eq "$output" $'0\n1\n2\n3'
}

@test "fds: a detached container and its first process neither" {
	make_files
	skip_in_vm "the host sees the VMM"
	with_fds moat_with_fds run -d -b "$BUNDLE" "$ID" >"$T/out" 2>&1
	assert_eq "$(ls "/proc/$(container_pid)/fd" | tr '\n' ' ')" "0 1 2 "
}

@test "fds: --preserve-fds passes so many after stderr, and no more" {
	make_files
	[ "$MOAT_MODE" != vm ] || refuses_fds with_fds moat_with_fds run --preserve-fds 2 -b "$BUNDLE" "$ID"
	skip_in_vm "a descriptor of the host can't be handed to a guest"
	set_args sh -c 'cat <&3; cat <&4; ls /proc/self/fd'
	attempt with_fds moat_with_fds run --preserve-fds 2 -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" $'three\nfour\n0\n1\n2\n3\n4\n5'
	set_args sh -c 'cat <&3; ls /proc/self/fd'
	attempt with_fds moat_with_fds run --preserve-fds 1 -b "$BUNDLE" "$ID"
	assert_eq "$output" $'three\n0\n1\n2\n3\n4'
}

@test "fds: --preserve-fds holds from create to start" {
	make_files
	[ "$MOAT_MODE" != vm ] || refuses_fds with_fds moat_with_fds create --preserve-fds 2 -b "$BUNDLE" "$ID"
	skip_in_vm "a descriptor of the host can't be handed to a guest"
	set_args sh -c 'cat <&3; cat <&4'
	with_fds moat_with_fds create --preserve-fds 2 -b "$BUNDLE" "$ID" >"$T/out" 2>&1
	moat start "$ID"
	wait_for 5 has_status stopped
	assert_eq "$(<"$T/out")" $'three\nfour'
}

@test "fds: --preserve-fds of more than are open is an error" {
	make_files
	attempt with_fds moat_with_fds create --preserve-fds 60 -b "$BUNDLE" "$ID"
	assert_status 1
	assert_nothing_left
}

@test "fds: --preserve-fds doesn't take a descriptor of moat's own for the caller's" {
	requires_moat "a log that --preserve-fds doesn't pass on"
	set_args ls /proc/self/fd
	# The log would be number 3.
	# shellcheck disable=SC2046
	attempt timeout -k 5 $((60 * PATIENCE)) $(moat_command) --log "$T/log" run --preserve-fds 1 -b "$BUNDLE" "$ID" 3>&- 4>&-
	assert_status 1
	assert_has "$(<"$T/log")" "descriptor 3 is not open"
	assert_nothing_left
}

@test "fds: --preserve-fds that is no count is an error" {
	local count
	for count in x 1.5 99999999999 -1; do
		[ "$count$RUNTIME" != -1runc ] || continue
		attempt moat create --preserve-fds "$count" -b "$BUNDLE" "$ID"
		[ "$status" -ne 0 ] || fail "accepted: $count"
	done
	assert_nothing_left
}

@test "fds: LISTEN_FDS passes sockets as systemd does" {
	make_files
	[ "$MOAT_MODE" != vm ] || LISTEN_FDS=1 refuses_fds with_fds env_listen run -b "$BUNDLE" "$ID"
	skip_in_vm "a descriptor of the host can't be handed to a guest"
	set_args sh -c 'echo $LISTEN_FDS; echo ${LISTEN_PID-unset}; cat <&3; ls /proc/self/fd'
	LISTEN_FDS=1 attempt with_fds env_listen run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$(sed -n '1p;3p' <<<"$output")" $'1\nthree'
	# The pid that the program finds must be its own.
	assert_match "$(sed -n 2p <<<"$output")" '^1$'
	assert_eq "$(tail -n +4 <<<"$output")" $'0\n1\n2\n3\n4'
}

# env_listen ARGUMENTS...: the runtime with its own pid in LISTEN_PID, as systemd has it.
# shellcheck disable=SC2046
env_listen() { sh -c 'LISTEN_PID=$$ exec "$@"' sh $(moat_command) "$@"; }

@test "fds: LISTEN_FDS and --preserve-fds together" {
	skip_in_vm "a descriptor of the host can't be handed to a guest"
	make_files
	set_args sh -c 'echo $LISTEN_FDS; cat <&3; cat <&4'
	LISTEN_FDS=1 attempt with_fds env_listen run --preserve-fds 1 -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" $'1\nthree\nfour'
	LISTEN_FDS=1 fails 1 'preserve-fds.*not open' with_fds env_listen run --preserve-fds 2147483647 -b "$BUNDLE" "${ID}b"
}

@test "fds: the caller's stdin, stdout and stderr may be closed" {
	requires_moat "closed streams"
	set_args sh -c 'echo ran >/tmp/ran'
	# shellcheck disable=SC2046
	$(moat_command) run -b "$BUNDLE" "$ID" <&- >&- 2>&- 3>&- 4>&-
	assert_eq "$(<"$BUNDLE/rootfs/tmp/ran")" ran
}

# refuses_notify_socket VERB: what a VM's does, before anything is made.
refuses_notify_socket() {
	NOTIFY_SOCKET=$T/notify fails 1 "NOTIFY_SOCKET can't be passed on into a VM" moat "$1" -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "fds: NOTIFY_SOCKET reaches the program, and its messages the manager" {
	[ "$MOAT_MODE" != vm ] || refuses_notify_socket run
	skip_in_vm "the service manager is the host's"
	spawn "$HELPERS/notifyd" "$T/notify" >"$T/notify.out"
	wait_for 5 test -S "$T/notify"
	set_args sh -c 'probe notify READY=1; sleep 1000'
	# shellcheck disable=SC2046
	NOTIFY_SOCKET=$T/notify $(moat_command) run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1 3>&- 4>&- &
	wait_for 5 grep -q READY=1 "$T/notify.out"
	wait_for 5 grep -q MAINPID= "$T/notify.out"
	assert_has "$(<"$T/notify.out")" "MAINPID=$(container_pid)"
}

@test "fds: NOTIFY_SOCKET for create waits for start" {
	[ "$MOAT_MODE" != vm ] || refuses_notify_socket create
	skip_in_vm "the service manager is the host's"
	requires_moat "start that passes readiness on"
	spawn "$HELPERS/notifyd" "$T/notify" >"$T/notify.out"
	wait_for 5 test -S "$T/notify"
	set_args sh -c 'probe notify READY=1; sleep 1000'
	NOTIFY_SOCKET=$T/notify create_container
	NOTIFY_SOCKET=$T/notify moat start "$ID"
	wait_for 5 grep -q READY=1 "$T/notify.out"
}

@test "fds: NOTIFY_SOCKET for run in the foreground: what is never ready gets signals all the same" {
	skip_in_vm "the service manager is the host's"
	requires_moat "a foreground that doesn't wait for readiness"
	spawn "$HELPERS/notifyd" "$T/notify" >"$T/notify.out"
	wait_for 5 test -S "$T/notify"
	set_args sh -c 'trap "exit 7" TERM; echo up; while :; do sleep 0.1; done'
	# shellcheck disable=SC2046
	NOTIFY_SOCKET=$T/notify spawn $(moat_command) run -b "$BUNDLE" "$ID" >"$T/$ID.out" 2>"$T/$ID.err"
	wait_for 5 grep -q up "$T/$ID.out"
	kill -TERM "$spawned"
	status=0
	wait "$spawned" || status=$?
	assert_status 7
	refute grep -q READY "$T/notify.out"
}

@test "fds: NOTIFY_SOCKET for run in the foreground: what is ready is told to the manager" {
	skip_in_vm "the service manager is the host's"
	requires_moat "a foreground that doesn't wait for readiness"
	spawn "$HELPERS/notifyd" "$T/notify" >"$T/notify.out"
	wait_for 5 test -S "$T/notify"
	set_args sh -c 'probe notify STATUS=soon; probe notify READY=1; sleep 1000'
	# shellcheck disable=SC2046
	NOTIFY_SOCKET=$T/notify spawn $(moat_command) run -b "$BUNDLE" "$ID" >"$T/$ID.out" 2>"$T/$ID.err"
	wait_for 5 grep -q READY=1 "$T/notify.out"
	assert_eq "$(<"$T/notify.out")" "MAINPID=$(container_pid)"$'\nREADY=1'
	moat delete --force "$ID"
	wait "$spawned" || :
}

@test "fds: NOTIFY_SOCKET: what the container would leave beside its socket doesn't stand in the way of delete" {
	set_args sh -c 'mkdir -p /run/notify/a/b; touch /run/notify/c; :'
	NOTIFY_SOCKET=$T/notify attempt moat run -b "$BUNDLE" "$ID"
	moat delete --force "$ID"
	assert_nothing_left
}

@test "fds: without NOTIFY_SOCKET the container has none" {
	in_container 'env; ls /run'
	refute_has "$output" NOTIFY
}

@test "fds: none of the runtime leaks into the processes of exec" {
	make_files
	start_container
	attempt with_fds moat_with_fds exec "$ID" ls /proc/self/fd
	assert_status 0
	assert_eq "$output" $'0\n1\n2\n3'
}

@test "fds: nothing of the runtime stays open on the host after create" {
	create_container
	skip_in_vm "the VMM is a process of the host"
	# Only the container's own process may know of it.
	assert_eq "$(our_processes)" "$(container_pid)"
}
