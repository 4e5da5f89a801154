# kill: signals by name and number, to the first process or to all.

load lib

# start_reporter: a container whose first process writes the name of each signal to its stdout.
start_reporter() {
	set_args sh -c 'for s in TERM HUP USR1 USR2 WINCH; do trap "echo $s" $s; done
		echo ready; while :; do sleep 0.02; done'
	start_container
	wait_for 5 reported ready
}

reported() { grep -qx "$1" "$T/$ID.out"; }

@test "kill: TERM is the default" {
	start_reporter
	moat kill "$ID"
	wait_for 5 reported TERM
	assert_eq "$(container_status)" running
}

@test "kill: names with and without SIG, and numbers" {
	start_reporter
	local signal
	for signal in HUP:HUP SIGUSR1:USR1 12:USR2 28:WINCH; do
		moat kill "$ID" "${signal%:*}"
		wait_for 5 reported "${signal#*:}"
	done
}

@test "kill: names in lower case" {
	start_reporter
	moat kill "$ID" hup
	wait_for 5 reported HUP
	moat kill "$ID" sigusr1
	wait_for 5 reported USR1
}

@test "kill: real-time signals by number" {
	set_args sh -c 'trap "echo got" 40; echo ready; while :; do sleep 0.02; done'
	start_container
	wait_for 5 reported ready
	moat kill "$ID" 40
	wait_for 5 reported got
}

@test "kill: real-time signals by name" {
	requires_moat "RTMIN+n"
	set_args sh -c 'trap "echo got" 36; echo ready; while :; do sleep 0.02; done'
	start_container
	wait_for 5 reported ready
	moat kill "$ID" RTMIN+2
	wait_for 5 reported got
}

@test "kill: unknown signals are refused" {
	start_container
	local signal
	for signal in NOPE 65 -1 SIG 9x 99999999999999999999; do
		attempt moat kill "$ID" "$signal"
		[ "$status" -ne 0 ] || fail "accepted: $signal"
		[ -n "$stderr" ] || fail "no message for: $signal"
	done
	assert_eq "$(container_status)" running
}

@test "kill: signal 0 asks whether the process is there" {
	requires_moat "signal 0"
	start_container
	moat kill "$ID" 0
	assert_eq "$(container_status)" running
}

@test "kill: of an unknown container is an error" {
	fails 1 'does not exist' moat kill "${ID}no" KILL
}

@test "kill: of a stopped container is an error in the words that engines know" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	fails 1 'container not running' moat kill "$ID" KILL
}

@test "kill: --all of a stopped container is no error" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	moat kill --all "$ID" KILL
}

@test "kill: a created container can be killed" {
	create_container
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
}

@test "kill: TERM ends a container that waits to be started" {
	create_container
	moat kill "$ID"
	wait_for 5 has_status stopped
	fails 1 "" moat start "$ID"
}

@test "kill: KILL ends the first process and all others with it" {
	set_args sh -c 'sleep 500 & sleep 500 & wait'
	start_container
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	[ -z "$(grep -lsF -e "$ID" /proc/[0-9]*/cgroup | xargs -r grep -v deleted)" ]
	moat delete "$ID"
}

@test "kill: --all reaches every process" {
	set_args sh -c 'trap "echo first" USR1
		sh -c "trap \"echo second\" USR1; echo ready; while :; do sleep 0.02; done" &
		while :; do sleep 0.02; done'
	start_container
	wait_for 5 reported ready
	moat kill --all "$ID" USR1
	wait_for 5 reported first
	wait_for 5 reported second
}

@test "kill: without --all reaches the first process only" {
	set_args sh -c 'trap "echo first" USR1
		sh -c "trap \"echo second\" USR1 USR2; echo ready; while :; do sleep 0.02; done" &
		while :; do sleep 0.02; done'
	start_container
	wait_for 5 reported ready
	moat kill "$ID" USR1
	wait_for 5 reported first
	refute reported second
}

@test "kill: -a KILL ends a container that shares the host's pid namespace" {
	config '.linux.namespaces |= map(select(.type != "pid"))'
	set_args sh -c 'sleep 500 & sleep 500 & echo ready; wait'
	start_container
	wait_for 5 reported ready
	moat kill -a "$ID" KILL
	wait_for 5 has_status stopped
	wait_for 5 no_processes
}

@test "kill: KILL of a container without a pid namespace leaves no process behind after delete" {
	config '.linux.namespaces |= map(select(.type != "pid"))'
	set_args sh -c 'sleep 500 & sleep 500 & echo ready; wait'
	start_container
	wait_for 5 reported ready
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	moat delete --force "$ID"
	assert_nothing_left
}

@test "kill: --all KILL of a paused container ends it" {
	requires_controller freezer
	start_container
	moat pause "$ID"
	moat kill --all "$ID" KILL
	moat resume "$ID" 2>/dev/null || :
	wait_for 5 has_status stopped
}

@test "kill: KILL of a paused container ends it, no resume needed" {
	requires_controller freezer
	start_container
	moat pause "$ID"
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
}

@test "kill: --regex signals the containers whose ids match" {
	requires_moat "kill --regex"
	ID="${ID}a1" start_container
	ID="${ID}a2" start_container
	ID="${ID}b1" start_container
	moat kill --regex "^${ID}a[0-9]\$" KILL
	wait_for 5 has_status stopped "${ID}a1"
	wait_for 5 has_status stopped "${ID}a2"
	assert_eq "$(container_status "${ID}b1")" running
	fails 1 '' moat kill --regex '[' KILL
}

@test "kill: a process that took the pid of an ended container is left alone" {
	requires_moat "the start time in its state"
	set_args true
	start_container
	wait_for 5 has_status stopped
	local pid state
	spawn sleep 300 >/dev/null
	# The kernel gives a pid anew only after all others: forge the record instead.
	state=$(find "$ROOT" -name state.json)
	[ -f "$state" ]
	sed -E -i "s/(\"pid\": ?)[0-9]+/\1$spawned/" "$state"
	grep -q "$spawned" "$state"
	assert_eq "$(container_status)" stopped
	attempt moat kill "$ID" KILL
	assert_status 1
	moat delete -f "$ID"
	kill -0 "$spawned"
}
