# delete: from every state, forced or not, one or many, and after anything.

load lib

@test "delete: a stopped container" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	moat delete "$ID"
	assert_nothing_left
}

@test "delete: a running container only with --force" {
	start_container
	fails 1 'not stopped|running' moat delete "$ID"
	assert_eq "$(container_status)" running
	moat delete --force "$ID"
	assert_nothing_left
}

@test "delete: a created container" {
	create_container
	moat delete "$ID"
	assert_nothing_left
}

@test "delete: -f of a paused container" {
	requires_controller freezer
	start_container
	moat pause "$ID"
	moat delete -f "$ID"
	assert_nothing_left
}

@test "delete: an unknown container is an error, and none with --force" {
	fails 1 'does not exist' moat delete "${ID}no"
	moat delete --force "${ID}no"
}

@test "delete: twice" {
	start_container
	moat delete -f "$ID"
	moat delete -f "$ID"
	fails 1 'does not exist' moat delete "$ID"
}

@test "delete: -f at once by many, all succeed and all is gone" {
	requires_moat "idempotent delete"
	start_container
	local i pids=()
	for i in 1 2 3 4 5; do
		moat delete -f "$ID" >"$T/delete.$i" 2>&1 &
		pids+=("$!")
	done
	for i in "${pids[@]}"; do
		wait "$i" || fail "$(cat "$T"/delete.*)"
	done
	assert_nothing_left
}

@test "delete: several ids" {
	requires_moat "delete of several ids"
	ID="${ID}a" start_container
	ID="${ID}b" start_container
	moat delete -f "${ID}a" "${ID}b"
	assert_nothing_left
}

@test "delete: of several ids one that fails does not keep the others" {
	requires_moat "delete of several ids"
	set_args true
	ID="${ID}a" start_container
	ID="${ID}b" start_container
	wait_for 5 has_status stopped "${ID}a"
	wait_for 5 has_status stopped "${ID}b"
	fails 1 "${ID}no" moat delete "${ID}a" "${ID}no" "${ID}b"
	assert_nothing_left
}

@test "delete: --regex" {
	requires_moat "delete --regex"
	ID="${ID}a1" start_container
	ID="${ID}a2" start_container
	ID="${ID}b1" start_container
	moat delete -f --regex "${ID}a.*"
	assert_eq "$(moat list -q)" "${ID}b1"
}

@test "delete: removes sub-cgroups that the container made" {
	requires_controller pids
	start_container
	local dir
	dir=$(cgroup_dir pids)
	mkdir -p "$dir/a/b/c" "$dir/d"
	moat delete -f "$ID"
	assert_nothing_left
}

@test "delete: removes the cgroup though a process outside of the pid namespace is in it" {
	requires_moat "delete -f that ends all that is in the cgroup"
	requires_controller pids
	start_container
	spawn sleep 400 >/dev/null
	echo "$spawned" >"$(cgroup_dir pids)/cgroup.procs"
	moat delete -f "$ID"
	refute kill -0 "$spawned"
	assert_nothing_left
}

@test "delete: leaves the bundle and its root file system" {
	start_container
	moat delete -f "$ID"
	[ -f "$BUNDLE/config.json" ]
	[ -x "$BUNDLE/rootfs/bin/busybox" ]
}

@test "delete: needs neither bundle nor rootfs" {
	start_container
	mv "$BUNDLE" "$T/moved"
	moat delete -f "$ID"
	assert_nothing_left
}

@test "delete: -f cleans up state that is broken or half made" {
	requires_moat "clean-up of broken state"
	local kind
	for kind in truncated garbage empty missing; do
		start_container
		local state
		state=$(find "$ROOT" -name state.json)
		case $kind in
			truncated) truncate -s 20 "$state" ;;
			garbage) echo garbage >"$state" ;;
			empty) : >"$state" ;;
			missing) rm "$state" ;;
		esac
		local pid
		pid=$(our_processes)
		attempt moat delete -f "$ID"
		assert_status 0
		[ -z "$(find "$ROOT" -name "*$ID*")" ] || fail "$kind: state is still there"
		# What broken state does not name may live on, but not hold up a new container.
		sweep
	done
}

@test "delete: in the middle of a create waits or fails, and leaves no half" {
	requires_moat "a lock of the container"
	local i
	for i in {1..10}; do
		moat create -b "$BUNDLE" "$ID" >"$T/create" 2>&1 &
		local creator=$!
		attempt moat delete -f "$ID"
		assert_status 0
		wait "$creator" || :
		moat delete -f "$ID"
		assert_nothing_left
	done
}
