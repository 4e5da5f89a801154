# Global flags for the log: --log, --log-format, --log-level, --debug; and errors on stderr.

load lib

@test "log: errors go to stderr as text" {
	attempt moat state "${ID}no"
	assert_status 1
	assert_eq "$output" ""
	assert_has "$stderr" 'does not exist'
}

@test "log: --log-format json gives level, msg and time" {
	attempt moat --log-format json state "${ID}no"
	jq -e '.level == "error" and (.msg | test("does not exist")) and (.time | test("^20..-..-..T..:..:.."))' \
		<<<"$(tail -n 1 <<<"$stderr")"
}

@test "log: --log takes a file, and the error is still told on stderr" {
	attempt moat --log "$T/log" --log-format json state "${ID}no"
	assert_status 1
	jq -e '.level == "error" and (.msg | test("does not exist"))' <<<"$(tail -n 1 "$T/log")"
	assert_has "$stderr" 'does not exist'
}

@test "log: a file is appended to" {
	echo '{"level":"info","msg":"first","time":"x"}' >"$T/log"
	attempt moat --log "$T/log" --log-format json state "${ID}no"
	assert_match "$(head -n 1 "$T/log")" first
	[ "$(wc -l <"$T/log")" -ge 2 ]
}

@test "log: errors of the container's set-up are in the log whole, its last line the one to show" {
	set_args no-such-program
	moat --log "$T/log" --log-format json run -b "$BUNDLE" "$ID" >/dev/null 2>&1 || :
	jq -r .msg <<<"$(tail -n 1 "$T/log")" | grep 'executable file not found in \$PATH'
}

@test "log: text with quotes, newlines and bytes that are not UTF-8 is still JSON" {
	local arg=$'a"b\\c\nd\xff\x01e'
	config --arg path "/no/$arg" '.process.cwd = "/" | .root.path = $path'
	moat --log "$T/log" --log-format json run -b "$BUNDLE" "$ID" >/dev/null 2>&1 || :
	moat --log "$T/log" --log-format json state "${ID}$arg" >/dev/null 2>&1 || :
	[ -s "$T/log" ]
	jq -s -e 'length >= 2 and all(.[]; .level and .msg and .time)' "$T/log"
}

@test "log: is not open in the container" {
	set_args sh -c 'ls -l /proc/self/fd /proc/1/fd'
	attempt moat --log "$T/log" --debug run -b "$BUNDLE" "$ID"
	assert_status 0
	refute_has "$output" "$T/log"
}

@test "log: --debug says more, a success without it says nothing" {
	set_args true
	attempt moat --log "$T/quiet" run -b "$BUNDLE" "$ID"
	[ ! -s "$T/quiet" ] || fail "$(cat "$T/quiet")"
	attempt moat --debug --log "$T/debug" run -b "$BUNDLE" "$ID"
	assert_match "$(<"$T/debug")" 'debug'
}

@test "log: an unknown format, or a file that cannot be opened, is an error" {
	attempt moat --log-format xml state "$ID"
	[ "$status" -ne 0 ]
	assert_has "$stderr" 'format'
	attempt moat --log "$T/none/log" list
	[ "$status" -ne 0 ]
	assert_match "$stderr" 'none/log|no such file'
}

@test "log: file:PATH is the same as PATH" {
	requires_moat "--log file:"
	attempt moat --log "file:$T/log" --log-format json state "${ID}no"
	jq -e '.level == "error"' <<<"$(tail -n 1 "$T/log")"
}

@test "log: --log-level bounds what is written" {
	requires_moat "--log-level"
	set_args true
	attempt moat --log-level debug --log "$T/debug" run -b "$BUNDLE" "$ID"
	assert_status 0
	[ -s "$T/debug" ]
	attempt moat --log-level error --log "$T/error" run -b "$BUNDLE" "$ID"
	[ ! -s "$T/error" ]
	attempt moat --log-level nonsense list
	[ "$status" -ne 0 ]
	assert_has "$stderr" nonsense
}

@test "log: syslog: and journald: are no reason to fail; a warning says that nobody listens" {
	requires_moat "--log syslog: and journald:"
	local kind socket
	for kind in syslog:/dev/log journald:/run/systemd/journal/socket; do
		socket=${kind#*:}
		attempt moat --log "${kind%%:*}:$ID" list
		assert_status 0
		[ -S "$socket" ] || assert_has "$stderr" "$socket"
	done
}

@test "log: an unknown global flag is an error" {
	attempt moat --frobnicate list
	[ "$status" -ne 0 ]
	assert_has "$stderr$output" frobnicate
}

@test "log: --rootless takes true, false and auto" {
	local value
	set_args true
	for value in true false auto; do
		attempt moat --rootless "$value" run -b "$BUNDLE" "$ID"
		assert_status 0
	done
	attempt moat --rootless maybe run -b "$BUNDLE" "$ID"
	[ "$status" -ne 0 ]
}

@test "log: --cgroup-manager" {
	requires_moat "--cgroup-manager"
	set_args true
	attempt moat --cgroup-manager cgroupfs run -b "$BUNDLE" "$ID"
	assert_status 0
	config '.process.args = ["sleep", "100"] | del(.linux.resources)'
	moat --cgroup-manager disabled run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1
	assert_eq "$(find /sys/fs/cgroup -name "*$ID*")" ""
	moat delete -f "$ID"
	attempt moat --cgroup-manager nonsense run -b "$BUNDLE" "$ID"
	[ "$status" -ne 0 ]
	assert_has "$stderr" nonsense
}

@test "log: --systemd-cgroup without systemd is a clear error" {
	[ ! -d /run/systemd/system ] || skip "host runs systemd"
	attempt moat --systemd-cgroup run -b "$BUNDLE" "$ID"
	assert_status 1
	assert_has "${stderr,,}" systemd
	assert_nothing_left
}
