# The user namespace: mappings, ownership, joins, and what root in it may not do.

load lib

setup() {
	set_up
	# A root file system that belongs to the mapped root.
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	chown_rootfs 100000:200000
	config '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
		| .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 65536}]'
}

@test "userns: the process is root inside and the mapped user outside" {
	set_args sleep 1000
	start_container
	in_exec 'id -u; id -g'
	assert_eq "$output" $'0\n0'
	skip_in_vm "it is the VMM that the host maps"
	in_exec 'cat /proc/1/uid_map'
	assert_match "$output" '^ +0 +100000 +65536$'
	assert_eq "$(stat -c %u:%g "/proc/$(container_pid)")" 100000:200000
}

@test "userns: several ranges" {
	skip_in_vm "it is the VMM that the host maps"
	config '.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1000}, {containerID: 1000, hostID: 300000, size: 10}]'
	in_container 'cat /proc/self/uid_map | tr -s " "'
	assert_eq "$output" $' 0 100000 1000\n 1000 300000 10'
}

@test "userns: another user, with groups" {
	config '.process.user = {uid: 1000, gid: 1000, additionalGids: [2000]}'
	in_container 'id -u; id -G'
	assert_eq "$output" $'1000\n1000 2000'
}

@test "userns: a user that is not mapped is an error" {
	config '.process.user.uid = 70000'
	fails 1 '' create_container
	[ -n "$stderr" ]
	assert_nothing_left
}

@test "userns: files made inside belong to the mapped user" {
	in_container 'touch /made; mkdir /dir'
	assert_eq "$(stat -c %u:%g "$BUNDLE/rootfs/made" "$BUNDLE/rootfs/dir" | sort -u)" 100000:200000
}

@test "userns: mount points that the runtime makes belong to the mapped root" {
	config '.mounts += [{destination: "/new/mount/point", type: "tmpfs", source: "tmpfs"}]'
	in_container 'stat -c %u:%g /new /new/mount'
	assert_eq "$output" $'0:0\n0:0'
}

@test "userns: all mounts, devices and masks are there" {
	in_container 'ls -l /dev/null | cut -c1-10; echo x >/dev/null; head -c 1 /dev/zero | wc -c
		cat /proc/keys; ls /dev/pts/ptmx /dev/mqueue /sys/class; echo 1 >/proc/sys/kernel/randomize_va_space || echo refused'
	assert_has "$output" crw-rw-rw-
	assert_has "$output" refused
}

@test "userns: root inside has no rights over what is not mapped" {
	: >"$BUNDLE/rootfs/hosts-file"
	chmod 600 "$BUNDLE/rootfs/hosts-file"
	run_container 'cat /hosts-file'
	[ "$status" -ne 0 ]
	assert_has "$stderr" 'Permission denied'
}

@test "userns: exec joins it" {
	start_container
	in_exec 'id -u; readlink /proc/self/ns/user'
	[ "$(sed -n 2p <<<"$output")" = "$(moat exec "$ID" readlink /proc/1/ns/user)" ]
	assert_match "$output" '^0'
	attempt moat exec -u 1000:1000 "$ID" id -u
	assert_eq "$output" 1000
}

@test "userns: by path is joined, with the namespaces that it owns" {
	requires_moat "a user namespace by path without mappings"
	skip_in_vm "a guest has its own kernel"
	start_container
	local pid
	pid=$(container_pid)
	config --arg pid "$pid" 'del(.linux.uidMappings, .linux.gidMappings)
		| .linux.namespaces |= map(if .type == "user" then .path = "/proc/\($pid)/ns/user"
			elif .type == "network" then .path = "/proc/\($pid)/ns/net" else . end)'
	set_args sh -c 'id -u; readlink /proc/self/ns/user; readlink /proc/self/ns/net; cat /proc/self/uid_map'
	ID=${ID}b
	in_container
	assert_has "$output" "$(readlink "/proc/$pid/ns/user")"
	assert_has "$output" "$(readlink "/proc/$pid/ns/net")"
	assert_match "$output" '0 +100000 +65536'
}

@test "userns: mappings without a user namespace are refused" {
	requires_moat "a check of mappings against namespaces"
	config '.linux.namespaces |= map(select(.type != "user"))'
	fails 1 'uidMappings|[Mm]apping|user namespace' create_container
	assert_nothing_left
}

@test "userns: a new one without mappings is refused" {
	config 'del(.linux.uidMappings, .linux.gidMappings)'
	fails 1 '[Mm]apping' create_container
	assert_nothing_left
}

@test "userns: ranges that overlap are refused" {
	config '.linux.uidMappings += [{containerID: 5, hostID: 400000, size: 10}]'
	fails 1 '' create_container
	[ -n "$stderr" ]
	assert_nothing_left
}

@test "userns: a terminal belongs to the mapped user" {
	config '.process.terminal = true'
	set_args sh -c 'stat -c %u $(tty); tty'
	attempt moat_on_terminal run -b "$BUNDLE" "$ID"
	assert_match "$output" '^0'
}

@test "userns: sysctls of namespaces that it owns are set" {
	config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.shmmni": "999"}'
	in_container 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni'
	assert_eq "$output" $'1\n999'
}

@test "userns: setgroups works with privileges" {
	in_container 'cat /proc/self/setgroups'
	assert_eq "$output" allow
}

@test "userns: mounts of the container cannot be undone inside of it" {
	config '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"]) | .process.noNewPrivileges = false'
	in_container 'umount /proc/keys || echo kept; umount /sys || echo kept; mount -o remount,rw /sys/fs/cgroup 2>/dev/null; true'
	assert_has "$output" kept
}
