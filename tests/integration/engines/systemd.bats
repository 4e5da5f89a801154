# Engines that have systemd make the cgroups of their containers: podman, containerd and docker. They
# run a directory, or an image of one layer: images as such are no matter here, and take their time.

load lib

# ---- the engines --------------------------------------------------------------------------------

engine_needs() {
	requires_moat "moat's own way with systemd"
	requires_systemd
}

engine_start() {
	# At the top: systemd nests slices by the dashes of their names.
	CGROUP=moatengine$$.slice
	# podman's, ctr's and docker's.
	STATE="/run/$RUNTIME $ENGINE/state/moat $ENGINE/dockerd.run/runtime-tested/moby"
	export ROOTFS=$ENGINE/rootfs
	make_rootfs "$ROOTFS"
	configure_podman
	export CONTAINERS_CONF=$ENGINE/containers.conf
	house_command podman --storage-driver vfs --root "$ENGINE/root" --runroot "$ENGINE/run" --tmpdir "$ENGINE/tmp" --runtime "$MOAT"

	start_containerd moat

	start_dockerd "$MOAT"
	tar -C "$ROOTFS" -c . | "$ENGINE/bin/docker" import - busybox
}

engine_stop() { end_daemons_and_group; }

engine_sweep() {
	podman rm --all --force --time 0
	docker rm --force "$ID"
	ctr task rm --force "$ID"
	ctr container rm "$ID"
}

# ---- words --------------------------------------------------------------------------------------

# assert_unit UNIT PROPERTY=VALUE...: what systemd says of a unit, in one call.
assert_unit() {
	local said line
	said=$(systemctl show "$1")
	for line in "${@:2}"; do
		grep -qxF -e "$line" <<<"$said" || fail "$1: $(grep "^${line%%=*}=" <<<"$said"), not $line" || return 1
	done
}

assert_no_unit() { wait_for 5 no_unit "$1" || fail "the unit is there: $1"; }
no_unit() { [ "$(systemctl show --value -p LoadState "$1")" = not-found ]; }

# ---- tests --------------------------------------------------------------------------------------

@test "systemd: podman's container is a scope with its limits; exec, update, kill, rm" {
	podman run --detach --name "$ID" --cgroup-parent "$CGROUP" --memory 64m --cpus 0.5 --pids-limit 33 \
		--cpu-shares 512 --rootfs "$ROOTFS" sleep 1000 >"$T/id"
	local unit
	unit=libpod-$(<"$T/id").scope
	assert_unit "$unit" ActiveState=active "Slice=$CGROUP" MemoryMax=67108864 CPUQuotaPerSecUSec=500ms TasksMax=33 CPUWeight=59
	attempt podman exec "$ID" sh -c 'echo $PPID; exit 5'
	assert_status 5
	podman update --memory 32m "$ID"
	assert_unit "$unit" MemoryMax=33554432
	podman kill "$ID"
	assert_eq "$(podman wait "$ID")" 137
	podman rm "$ID"
	assert_no_unit "$unit"
}

@test "systemd: podman run --rm gives the exit status, and leaves no unit" {
	attempt podman run --rm --name "$ID" --cgroup-parent "$CGROUP" --cgroupns host --rootfs "$ROOTFS" \
		sh -c 'cat /proc/self/cgroup; exit 6'
	assert_status 6
	assert_match "$output" ":/$CGROUP/libpod-[0-9a-f]*\.scope$"
	assert_no_unit "${output##*/}"
}

@test "systemd: containerd's container is a scope with its limits; exec, kill, rm" {
	ctr run --detach --runc-binary "$MOAT" --runc-root "$ENGINE/state" --runc-systemd-cgroup --cgroup "$CGROUP:ctr:$ID" \
		--memory-limit 67108864 --cpus 0.5 --rootfs "$ROOTFS" "$ID" sleep 1000 >"$T/out" 2>&1
	local unit=ctr-$ID.scope
	assert_unit "$unit" ActiveState=active "Slice=$CGROUP" MemoryMax=67108864 CPUQuotaPerSecUSec=500ms
	attempt ctr task exec --exec-id x "$ID" sh -c 'cat /proc/self/cgroup; exit 5'
	assert_status 5
	assert_has "$output" "/$unit"
	attempt ctr task metrics "$ID"
	assert_match "$output" 'memory.usage_limit +67108864'
	ctr task rm --force "$ID" || :
	ctr container rm "$ID"
	assert_no_unit "$unit"
}

@test "systemd: docker's container is a scope with its limits; exec, update, kill, rm" {
	docker run --detach --name "$ID" --network none $(apparmor_flags) --memory 64m --cpus 0.5 \
		--pids-limit 33 busybox sleep 1000 >"$T/id"
	local unit
	unit=docker-$(<"$T/id").scope
	assert_unit "$unit" ActiveState=active "Slice=$CGROUP" MemoryMax=67108864 CPUQuotaPerSecUSec=500ms TasksMax=33
	attempt docker exec "$ID" sh -c 'exit 5'
	assert_status 5
	docker update --memory 32m --memory-swap 32m "$ID"
	assert_unit "$unit" MemoryMax=33554432
	docker kill "$ID"
	assert_eq "$(docker wait "$ID")" 137
	docker rm "$ID"
	assert_no_unit "$unit"
}
