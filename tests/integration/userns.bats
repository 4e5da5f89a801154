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
	in_exec 'id -u; id -g; cat /proc/1/uid_map'
	assert_match "$output" '^0'$'\n''0'$'\n'' +0 +100000 +65536$'
	skip_in_vm "the host sees the VMM"
	assert_eq "$(stat -c %u:%g "/proc/$(container_pid)")" 100000:200000
}

@test "userns: several ranges" {
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

@test "userns: an ordinary user can run a container" {
	requires_moat "rootless runs without sub-ids"
	# The tree of the build may be closed to others.
	cp "$MOAT" "$T/moat"
	chown_rootfs 1000:1000
	chown 1000:1000 "$BUNDLE" "$BUNDLE/config.json"
	config '.linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}] | .linux.gidMappings = [{containerID: 0, hostID: 1000, size: 1}]
		| .linux.namespaces |= map(select(.type != "network" and .type != "cgroup")) | del(.linux.resources)'
	set_args sh -c 'id -u'
	mkdir "$T/user-root"
	chown 1000:1000 "$T/user-root"
	chmod 644 "$BUNDLE/config.json"
	attempt setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --no-new-privs "$T/moat" --root "$T/user-root" run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" 0
}

@test "userns: an ordinary user can run what spec --rootless writes" {
	skip_in_vm "a guest has cgroups of its own"
	local user="setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all $T/moat --root $T/user-root"
	cp "$MOAT" "$T/moat"
	chown_rootfs 1000:1000
	rm "$BUNDLE/config.json"
	mkdir "$T/user-root"
	chown 1000:1000 "$T/user-root" "$BUNDLE"
	$user spec --rootless -b "$BUNDLE"
	config '.process.terminal = false'
	set_args sh -c 'id -u; cat /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs | grep -x 1'
	chmod 644 "$BUNDLE/config.json"
	attempt $user run -b "$BUNDLE" "$ID"
	assert_match "$output" $'^0\n1'
}

@test "userns: an ordinary user with ranges in /etc/subuid gets them by newuidmap" {
	requires_moat "newuidmap without a start from a user namespace"
	requires_path /usr/bin/newuidmap
	[ -u /usr/bin/newuidmap ] || getcap /usr/bin/newuidmap | grep -q cap_setuid || skip "host's newuidmap has no rights"
	cp "$MOAT" "$T/moat"
	chown_rootfs 1000:1000
	chown 1000:1000 "$BUNDLE" "$BUNDLE/config.json"
	config '.linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}, {containerID: 1, hostID: 500000, size: 1000}]
		| .linux.gidMappings = .linux.uidMappings | .process.user = {uid: 7, gid: 8}
		| .linux.namespaces |= map(select(.type != "network" and .type != "cgroup")) | del(.linux.resources)'
	set_args sh -c 'id -u; id -g; tr -s " " </proc/self/uid_map'
	chmod 644 "$BUNDLE/config.json"
	mkdir "$T/user-root"
	chown 1000:1000 "$T/user-root"
	# A host with such a user, for this test's processes only.
	cp "$TEMPLATE/etc/passwd" "$TEMPLATE/etc/group" "$T"
	echo 'user:500000:1000' | tee "$T/subuid" >"$T/subgid"
	[ -e /etc/subuid ] && [ -e /etc/subgid ] || skip "host has no /etc/subuid"
	attempt unshare --mount --propagation private sh -c '
		for f in passwd group subuid subgid; do mount --bind "$1/$f" "/etc/$f"; done; shift
		exec setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all "$@"' sh "$T" \
		"$T/moat" --root "$T/user-root" run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" $'7\n8\n 0 1000 1\n 1 500000 1000'
}
