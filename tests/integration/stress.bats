# Many, one after another and at once: nothing wears out, nothing is left.

load lib

CYCLES=${MOAT_STRESS:-1000}
AT_ONCE=64
[ "$MOAT_MODE" = container ] || AT_ONCE=8

@test "stress: $CYCLES cycles of create, start and delete" {
	local i command
	set_args true
	command=$(moat_command)
	for ((i = 1; i <= CYCLES; i++)); do
		$command create -b "$BUNDLE" "$ID" >"$T/out" 2>&1 || fail "create $i: $(<"$T/out")"
		$command start "$ID" >"$T/out" 2>&1 || fail "start $i: $(<"$T/out")"
		$command delete -f "$ID" >"$T/out" 2>&1 || fail "delete $i: $(<"$T/out")"
	done 3>&- 4>&-
	assert_nothing_left
}

@test "stress: a tenth as many runs and execs" {
	local i command
	command=$(moat_command)
	start_container
	for ((i = 1; i <= CYCLES / 10; i++)); do
		$command exec "$ID" true >"$T/out" 2>&1 || fail "exec $i: $(<"$T/out")"
	done 3>&- 4>&-
	set_args true
	for ((i = 1; i <= CYCLES / 10; i++)); do
		$command run -b "$BUNDLE" "${ID}r" >"$T/out" 2>&1 || fail "run $i: $(<"$T/out")"
	done 3>&- 4>&-
	moat delete -f "$ID"
	assert_nothing_left
}

@test "stress: $AT_ONCE containers at once" {
	local i pids=() count=$AT_ONCE
	for ((i = 0; i < count; i++)); do
		moat run -d -b "$BUNDLE" "$ID-$i" >"$T/out.$i" 2>&1 &
		pids+=("$!")
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || fail "container $i: $(<"$T/out.$i")"
	done
	assert_eq "$(moat list -f json | jq 'map(select(.status == "running")) | length')" "$count"
	assert_eq "$(moat list -f json | jq 'map(.pid) | unique | length')" "$count"
	pids=()
	for ((i = 0; i < count; i++)); do
		moat exec "$ID-$i" true >"$T/out.$i" 2>&1 &
		pids+=("$!")
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || fail "exec $i: $(<"$T/out.$i")"
	done
	pids=()
	for ((i = 0; i < count; i++)); do
		moat delete -f "$ID-$i" >"$T/out.$i" 2>&1 &
		pids+=("$!")
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || fail "delete $i: $(<"$T/out.$i")"
	done
	assert_nothing_left
}

@test "stress: a guest that gets little of the processor has time to boot" {
	requires_vm "it boots nothing"
	requires_controller cpu
	config '.linux.resources.cpu = {quota: 2500, period: 100000}'
	create_container
	# One with a processor of its own may take a minute.
	moat state "$ID" | jq -e '."org.moat.startup".agent > 60000' || skip "this machine boots a guest within a minute all the same"
}

@test "stress: a container that forks as fast as it can is killed whole" {
	requires_controller pids
	config '.linux.resources.pids = {limit: 200}'
	set_args sh -c 'f() { f & f & }; echo ready; while :; do f; done 2>/tmp/errors'
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	moat delete -f "$ID"
	assert_nothing_left
}

@test "stress: the same without a pid namespace" {
	requires_controller pids freezer
	requires_moat "kill of what forks"
	config '.linux.resources.pids = {limit: 200} | .linux.namespaces |= map(select(.type != "pid"))'
	set_args sh -c 'f() { f & f & }; echo ready; while :; do f; done 2>/tmp/errors'
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	moat delete -f "$ID"
	assert_nothing_left
}
