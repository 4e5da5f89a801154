# create, start, state, kill and delete: the states of the spec, and what is allowed in each.

load lib

@test "lifecycle: created, running, stopped, gone" {
	create_container
	assert_eq "$(container_status)" created
	moat start "$ID"
	assert_eq "$(container_status)" running
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
	fails 1 'does not exist' moat state "$ID"
}

@test "lifecycle: nothing of the process runs before start" {
	set_args sh -c 'echo started'
	create_container
	assert_eq "$(<"$T/$ID.out")" ""
	moat start "$ID"
	wait_for 5 has_status stopped
	assert_eq "$(<"$T/$ID.out")" started
}

@test "lifecycle: the config is that of create, whatever is written to the bundle before start" {
	set_args echo before
	create_container
	set_args echo after
	moat start "$ID"
	wait_for 5 has_status stopped
	assert_eq "$(<"$T/$ID.out")" before
}

@test "lifecycle: a container that has ended cannot be started again" {
	set_args true
	create_container
	moat start "$ID"
	wait_for 5 has_status stopped
	fails 1 'stopped' moat start "$ID"
}

@test "lifecycle: a running container cannot be started again" {
	start_container
	fails 1 'running|already' moat start "$ID"
	assert_eq "$(container_status)" running
}

@test "lifecycle: start of an unknown container fails" {
	fails 1 'does not exist' moat start "${ID}nope"
}

@test "lifecycle: an id in use is refused, and its container is left alone" {
	start_container
	pid=$(container_pid)
	fails 1 'exist|in use' moat create -b "$BUNDLE" "$ID"
	assert_eq "$(container_pid)" "$pid"
	assert_eq "$(container_status)" running
}

@test "lifecycle: an id can be used again after delete" {
	for _ in 1 2; do
		set_args true
		create_container
		moat start "$ID"
		wait_for 5 has_status stopped
		moat delete "$ID"
	done
}

@test "lifecycle: ids may have letters, digits and _ + - ." {
	ID="${ID}_A+b-c.0" start_container
	moat delete -f "${ID}_A+b-c.0"
}

@test "lifecycle: ids that are empty, reach elsewhere or have other characters are refused" {
	local bad
	for bad in '' . .. ../"$ID" "$ID/x" /"$ID" "$ID x" "$ID:x" "$ID\$" "$ID"$'\n' "$ID~"; do
		fails 1 '' moat create -b "$BUNDLE" "$bad"
		[ -n "$stderr" ] || fail "no message for '$bad'"
		nothing_left || fail "'$bad' left: $(leftovers)"
	done
}

@test "lifecycle: an id as long as a file name may be is fine, a longer one is an error" {
	requires_moat "a check of an id's length"
	local name
	printf -v name '%s%0*d' "$ID" $((256 - ${#ID})) 0
	fails 1 'id|long' moat create -b "$BUNDLE" "$name"
	assert_nothing_left
}

@test "lifecycle: a root that is made by the runtime is closed to others" {
	create_container
	assert_eq "$(stat -c %a "$ROOT")" 700
}

@test "lifecycle: create writes the pid file, which names the process that state names" {
	create_container --pid-file "$T/pid"
	assert_eq "$(<"$T/pid")" "$(container_pid)"
	[ -d "/proc/$(<"$T/pid")" ]
}

@test "lifecycle: a pid file that cannot be written is an error and leaves nothing" {
	fails 1 'pid|no such file' create_container --pid-file "$T/none/pid"
	assert_nothing_left
}

@test "lifecycle: create without a bundle argument uses the current directory" {
	cd "$BUNDLE"
	moat create "$ID" >/dev/null 2>&1
	assert_eq "$(moat state "$ID" | jq -r .bundle)" "$(realpath "$BUNDLE")"
}

@test "lifecycle: a relative bundle becomes absolute in the state" {
	cd "$T"
	moat create --bundle bundle "$ID" >/dev/null 2>&1
	assert_eq "$(moat state "$ID" | jq -r .bundle)" "$(realpath "$BUNDLE")"
}

@test "lifecycle: --config names another file than config.json" {
	requires_moat "--config"
	mv "$BUNDLE/config.json" "$T/other.json"
	create_container --config "$T/other.json"
	assert_eq "$(container_status)" created
}

@test "lifecycle: a bundle, config or rootfs that is missing is an error that names it" {
	fails 1 'none' moat create -b "$T/none" "$ID"
	config '.root.path = "no-such-root"'
	fails 1 'no-such-root' create_container
	rm "$BUNDLE/config.json"
	fails 1 'config.json' create_container
	assert_nothing_left
}

@test "lifecycle: an absolute root path is used as it is" {
	mv "$BUNDLE/rootfs" "$T/elsewhere"
	config --arg path "$T/elsewhere" '.root.path = $path'
	in_container 'echo works'
	assert_eq "$output" works
}

@test "lifecycle: a rootfs that is a file is an error" {
	: >"$T/file"
	config --arg path "$T/file" '.root.path = $path'
	fails 1 '[Nn]ot a directory' create_container
	assert_nothing_left
}

@test "lifecycle: create fails when a program is not in PATH, in the words that engines know" {
	config '.process.args = ["no-such-program"]'
	# runc finds out at create, crun and the spec allow start as well.
	attempt create_container
	[ "$status" -ne 0 ] || attempt moat start "$ID"
	assert_status 1
	assert_has "$output$stderr$(<"$T/$ID.err")" 'executable file not found in $PATH'
}

@test "lifecycle: a file that is not executable is refused in the words that engines know" {
	printf 'x' >"$BUNDLE/rootfs/bin/plain"
	config '.process.args = ["/bin/plain"]'
	run_container
	assert_status 1
	assert_has "${stderr,,}" 'permission denied'
}

@test "lifecycle: the container outlives its creator, and its exit is seen without a parent" {
	set_args sh -c 'exit 3'
	create_container
	moat start "$ID"
	wait_for 5 has_status stopped
	moat delete "$ID"
}

@test "lifecycle: an unknown verb, an unknown flag and missing or excess arguments are errors" {
	local words
	for words in "frobnicate" "create --frobnicate $ID" "start" "start a b" "state" "kill" "delete" \
		"exec $ID" "ps" "update" "events" "pause" "resume" "create" "run" "create a b"; do
		# shellcheck disable=SC2086 # the words are arguments
		attempt moat $words
		[ "$status" -ne 0 ] || fail "accepted: $words"
		[ -n "$output$stderr" ] || fail "no message for: $words"
	done
	assert_nothing_left
}

@test "lifecycle: --root keeps containers apart" {
	start_container
	local other
	other=$("$MOAT" --root "$T/other" list -q)
	assert_eq "$other" ""
	fails 1 'does not exist' "$MOAT" --root "$T/other" state "$ID"
}

@test "lifecycle: flags may be written --name=value, -n value and before or after each other" {
	moat create --bundle="$BUNDLE" --pid-file="$T/pid" "$ID" >/dev/null 2>&1
	[ -s "$T/pid" ]
}

@test "lifecycle: a container with a megabyte of annotations can be managed" {
	local big
	big=$(head -c 60000 /dev/zero | tr '\0' '"')
	config --arg big "$big" '.annotations = ([range(20) | {key: "a\(.)", value: $big}] | from_entries)'
	start_container
	assert_eq "$(moat state "$ID" | jq '.annotations.a19 | length')" 60000
	in_exec true
}
