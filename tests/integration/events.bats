# events: statistics and out-of-memory notices, as lines of JSON.

load lib

@test "events: --stats prints one line with what the shim reads" {
	start_container
	attempt moat events --stats "$ID"
	assert_status 0
	assert_eq "$(wc -l <<<"$output")" 1
	jq -e --arg id "$ID" '.type == "stats" and .id == $id and (.data.cpu.usage | has("total"))
		and (.data | has("memory") and has("pids"))' <<<"$output"
}

@test "events: memory figures and limits are true" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864}'
	set_args sh -c 'head -c 9000000 /dev/zero >/dev/shm/x; echo ready; sleep 1000'
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	attempt moat events --stats "$ID"
	jq -e '.data.memory.usage | .limit == 67108864 and .usage > 9000000 and .usage < 67108864' <<<"$output"
	jq -e '.data.memory.raw | length > 10' <<<"$output"
}

@test "events: pids figures are true" {
	requires_controller pids
	config '.linux.resources.pids = {limit: 25}'
	set_args sh -c 'sleep 500 & sleep 500 & echo ready; wait'
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	attempt moat events --stats "$ID"
	jq -e '.data.pids.current == 3 and .data.pids.limit == 25' <<<"$output"
}

@test "events: cpu time grows when the container works" {
	requires_controller cpuacct
	set_args sh -c 'while :; do :; done'
	start_container
	local first
	first=$(cpu_total)
	wait_for 5 cpu_passes "$((first + 20000000))"
}

cpu_total() { moat events --stats "$ID" | jq .data.cpu.usage.total; }
cpu_passes() { [ "$(cpu_total)" -gt "$1" ]; }

@test "events: has throttling, block io and hugetlb members" {
	start_container
	attempt moat events --stats "$ID"
	jq -e '.data | (.cpu | has("throttling")) and has("blkio") and has("hugetlb")' <<<"$output"
}

@test "events: without --stats prints a line each interval until the container ends" {
	start_container
	moat events --interval 100ms "$ID" >"$T/events" 2>&1 &
	local pid=$!
	wait_for 10 has_lines 3
	moat delete -f "$ID"
	wait_for 10 gone "$pid"
	[ "$(jq -s 'map(select(.type == "stats")) | length' "$T/events")" -ge 3 ]
}

has_lines() { [ "$(wc -l <"$T/events")" -ge "$1" ]; }

@test "events: tells of an out-of-memory kill" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 16777216, swap: 16777216}'
	set_args sh -c 'while [ ! -e /tmp/go ]; do sleep 0.02; done; probe touch 60000000; sleep 1000'
	start_container
	# shellcheck disable=SC2046 # the words of the command
	spawn $(moat_command) events --interval 1h "$ID" >"$T/events" 2>&1
	# The notice comes only to those who listen when the kill happens.
	wait_for 5 listens "$spawned"
	moat exec "$ID" touch /tmp/go
	wait_for 10 grep -q '"type":"oom"' "$T/events"
	moat delete -f "$ID"
	wait_for 5 gone "$spawned"
}

@test "events: tells of an out-of-memory kill of the init, though it hears late" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 16777216, swap: 16777216}'
	set_args sh -c 'while [ ! -e /tmp/go ]; do sleep 0.02; done; exec probe touch 60000000'
	start_container
	# shellcheck disable=SC2046 # the words of the command
	spawn $(moat_command) events --interval 1h "$ID" >"$T/events" 2>&1
	wait_for 5 listens "$spawned"
	kill -STOP "$spawned"
	moat exec "$ID" touch /tmp/go
	wait_for 10 has_status stopped
	kill -CONT "$spawned"
	wait_for 5 gone "$spawned"
	grep -q '"type":"oom"' "$T/events"
}

# listens PID: `moat events` is past its set-up: it has the event source open and sleeps.
listens() { ls -l "/proc/$1/fd" 2>/dev/null | grep -qE 'eventfd|inotify|memory\.events'; }

@test "events: of a stopped or unknown container is an error" {
	fails 1 'does not exist' moat events --stats "${ID}no"
	set_args true
	start_container
	wait_for 5 has_status stopped
	fails 1 'not running|stopped' moat events --stats "$ID"
}

@test "events: a bad interval is an error" {
	start_container
	local interval
	for interval in 0 0s -1s x 5 . .s 5parsecs '1m 30s' 1m30 1.2.3s 1e3s 0x10s 9999h; do
		attempt moat events --interval "$interval" "$ID"
		[ "$status" -ne 0 ] || fail "accepted: '$interval'"
	done
}

@test "events: an interval is a duration as Go writes it" {
	start_container
	local interval
	for interval in 500ms 1.5s 1m30s 1h2m3.5s .5s 5.s 100us 100µs 1000ns; do
		attempt moat events --stats --interval "$interval" "$ID"
		[ "$status" -eq 0 ] || fail "refused: '$interval'"
	done
	spawn moat events --interval 0.05s50ms "$ID" >"$T/events" 2>&1
	wait_for 5 grep -q stats "$T/events"
}
