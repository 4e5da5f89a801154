# run: create and start in one, in the foreground or detached; streams and exit codes.

load lib

@test "run: gives the program's exit status" {
	local code
	for code in 0 1 7 126 127 255; do
		run_container "exit $code"
		assert_status "$code"
	done
}

@test "run: gives 128+n when a signal killed the program" {
	set_args sleep 1000
	moat run -b "$BUNDLE" "$ID" >/dev/null 2>&1 &
	local pid=$! status=0
	wait_for 5 has_status running
	moat kill "$ID" KILL
	wait "$pid" || status=$?
	assert_status 137
}

@test "run: gives the program the time of the host" {
	local before
	before=$(date +%s)
	in_container 'date +%s'
	[ "$output" -ge "$before" ] && [ "$output" -le "$(date +%s)" ]
}

@test "run: deletes the container when it has ended" {
	in_container 'true'
	assert_nothing_left
}

@test "run: --keep leaves the stopped container" {
	requires_moat "run --keep that says stopped"
	set_args sh -c 'exit 4'
	attempt moat run --keep -b "$BUNDLE" "$ID"
	assert_status 4
	assert_eq "$(container_status)" stopped
	moat delete "$ID"
}

@test "run: stdin, stdout and stderr are three streams, and all bytes pass" {
	set_args sh -c 'tee /dev/stderr'
	head -c 300000 /dev/urandom >"$T/in"
	moat run -b "$BUNDLE" "$ID" <"$T/in" >"$T/out" 2>"$T/err"
	cmp "$T/in" "$T/out"
	cmp "$T/in" "$T/err"
}

@test "run: the program sees the end of stdin" {
	set_args cat
	attempt moat run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" ""
}

@test "run: signals to a foreground run reach the program" {
	set_args sh -c 'trap "echo got; exit 9" USR1; echo ready; while :; do sleep 0.05; done'
	# shellcheck disable=SC2046 # the words of the command
	spawn $(moat_command) run -b "$BUNDLE" "$ID" >"$T/out" 2>&1
	wait_for 5 grep -q ready "$T/out"
	kill -USR1 "$spawned"
	local status=0
	wait "$spawned" || status=$?
	assert_status 9
	assert_has "$(<"$T/out")" got
}

@test "run: --detach returns at once and leaves the container running" {
	start_container
	assert_eq "$(container_status)" running
}

@test "run: --detach writes the pid file" {
	start_container --pid-file "$T/pid"
	assert_eq "$(<"$T/pid")" "$(container_pid)"
}

@test "run: in the foreground writes the pid file too" {
	set_args sleep 1000
	# shellcheck disable=SC2046
	spawn $(moat_command) run --pid-file "$T/pid" -b "$BUNDLE" "$ID" >/dev/null 2>&1
	wait_for 5 test -s "$T/pid"
	wait_for 5 has_status running
	assert_eq "$(<"$T/pid")" "$(container_pid)"
	moat kill "$ID" KILL
	wait "$spawned" || :
}

@test "run: a detached container's exit leaves it stopped until delete" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	moat delete "$ID"
}

@test "run: orphans of the container don't outlive it, with and without a subreaper" {
	local flag
	for flag in "" --no-subreaper; do
		set_args sh -c '(sleep 1000 &) ; echo done'
		# shellcheck disable=SC2086
		attempt moat run $flag -b "$BUNDLE" "$ID"
		assert_status 0
		assert_eq "$output" done
		assert_nothing_left
	done
}

@test "run: a failure before the program runs is 1, with nothing left" {
	config '.process.cwd = "/no/../../such\u0000"'
	fails 1 '' moat run -b "$BUNDLE" "$ID"
	config '.process.cwd = "/"'
	set_args no-such-program
	fails 1 'executable file not found in \$PATH' moat run -b "$BUNDLE" "$ID"
	[ "$RUNTIME" != moat ] || assert_has "$stderr" '"settle: exec: \"no-such-program\": '
	assert_nothing_left
	fails 1 'executable file not found in \$PATH' moat run -d -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "run: a script without an interpreter is an error, one with an interpreter runs" {
	printf '#!/no/such/interpreter\n' >"$BUNDLE/rootfs/bin/bad"
	printf '#!/bin/sh\necho script\n' >"$BUNDLE/rootfs/bin/good"
	chmod +x "$BUNDLE"/rootfs/bin/{bad,good}
	set_args bad
	fails 1 'no such file' moat run -b "$BUNDLE" "$ID"
	set_args good
	in_container
	assert_eq "$output" script
}

@test "run: the program is looked up in PATH of process.env, not in the caller's" {
	printf '#!/bin/sh\necho special\n' >"$BUNDLE/rootfs/usr/local/bin/only-here"
	chmod +x "$BUNDLE/rootfs/usr/local/bin/only-here"
	set_args only-here
	in_container
	assert_eq "$output" special
	config '.process.env = ["PATH=/bin"]'
	fails 1 'executable file not found in \$PATH' moat run -b "$BUNDLE" "$ID"
}

@test "run: a relative program path is taken from cwd" {
	printf '#!/bin/sh\necho in $PWD\n' >"$BUNDLE/rootfs/tmp/prog"
	chmod +x "$BUNDLE/rootfs/tmp/prog"
	config '.process.cwd = "/tmp"'
	set_args ./prog
	in_container
	assert_eq "$output" "in /tmp"
}

@test "run: a root file system without anything but the program is enough" {
	rm -rf "$BUNDLE/rootfs"
	mkdir -p "$BUNDLE/rootfs"
	cp /bin/busybox "$BUNDLE/rootfs/true"
	config '.process.args = ["/true"]'
	attempt moat run -b "$BUNDLE" "$ID"
	assert_status 0
}

@test "run: --no-pivot works and confines as well" {
	set_args sh -c 'ls -d /bin /proc/self && ! ls /root/.bashrc && ls /.. | grep -x bin'
	attempt moat run --no-pivot -b "$BUNDLE" "$ID"
	assert_status 0
	assert_has "$output" /proc/self
}

@test "run: --no-pivot keeps the container's own /proc and /sys, whatever its root is called" {
	local path
	cp -al "$BUNDLE/rootfs" "$BUNDLE/a b"
	mv "$BUNDLE/rootfs" "$BUNDLE/real"
	ln -s real "$BUNDLE/rootfs"
	for path in rootfs ../bundle/real 'a b'; do
		config --arg path "$path" '.root.path = $path'
		set_args sh -c 'ls -d /proc/self /sys/class && cut -d" " -f5 /proc/self/mountinfo'
		attempt moat run --no-pivot -b "$BUNDLE" "$ID"
		assert_status 0
		assert_match "$output" $'\n/proc\n.*\n/sys\n'
	done
}

@test "run: a container in the foreground can be paused, resumed and deleted meanwhile" {
	set_args sleep 1000
	# shellcheck disable=SC2046
	spawn $(moat_command) run -b "$BUNDLE" "$ID" >"$T/$ID.out" 2>"$T/$ID.err"
	wait_for 5 has_status running
	moat pause "$ID"
	moat resume "$ID"
	moat delete --force "$ID"
	status=0
	wait "$spawned" || status=$?
	assert_status 137
	assert_nothing_left
	assert_eq "$(<"$T/$ID.err")" ""
}

@test "run: two runs of one id at once: one wins" {
	local pids=() codes=() i code
	set_args sleep 1000
	for i in 1 2 3 4; do
		moat run -d -b "$BUNDLE" "$ID" >"$T/out.$i" 2>&1 &
		pids+=("$!")
	done
	for i in "${pids[@]}"; do
		code=0
		wait "$i" || code=$?
		codes+=("$code")
	done
	assert_eq "$(printf '%s\n' "${codes[@]}" | sort | tr '\n' ' ')" "0 1 1 1 "
	assert_eq "$(container_status)" running
}
