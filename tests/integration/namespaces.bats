# namespaces: each kind, new or by path; hostname, domainname, loopback.

load lib

# own_ns TYPE: the namespace of this test.
own_ns() { readlink "/proc/self/ns/$1"; }

@test "namespaces: each listed one is new" {
	skip_in_vm "a guest has its own kernel"
	in_container 'for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done'
	local ns
	for ns in cgroup ipc mnt net pid uts; do
		refute_has "$output" "$(own_ns "$ns")"
		assert_match "$output" "$ns:\[[0-9]+\]"
	done
}

@test "namespaces: one that is not listed is the caller's" {
	skip_in_vm "a guest has its own kernel"
	config '.linux.namespaces |= map(select(.type == "mount" or .type == "pid")) | del(.hostname)
		| .mounts |= map(select(.type != "sysfs" and .type != "mqueue"))'
	in_container 'for n in cgroup ipc net uts; do readlink /proc/self/ns/$n; done'
	assert_eq "$output" "$(own_ns cgroup)"$'\n'"$(own_ns ipc)"$'\n'"$(own_ns net)"$'\n'"$(own_ns uts)"
}

@test "namespaces: the host's pid namespace" {
	skip_in_vm "a guest has its own kernel"
	config '.linux.namespaces |= map(select(.type != "pid"))'
	in_container 'readlink /proc/self/ns/pid'
	assert_eq "$output" "$(own_ns pid)"
}

@test "namespaces: the first process of a pid namespace is pid 1" {
	in_container 'echo $$'
	assert_eq "$output" 1
}

# holder TYPE FLAG: a process in a new namespace, in $spawned.
holder() {
	spawn unshare "$1" --fork --kill-child sleep 500 >/dev/null 2>&1
	# The child is the one that is in a new pid namespace, and like unshare in the others.
	wait_for 5 pgrep -P "$spawned" -x sleep >/dev/null
	held=$(pgrep -P "$spawned" -x sleep)
}

@test "namespaces: network, ipc, uts and cgroup by path are joined" {
	skip_in_vm "a guest has its own kernel"
	local pair type name
	holder -niuC
	config --arg pid "$held" 'del(.hostname) | .linux.namespaces |= map(
		if .type == "network" then .path = "/proc/\($pid)/ns/net"
		elif .type == "ipc" or .type == "uts" or .type == "cgroup" then .path = "/proc/\($pid)/ns/\(.type)" else . end)'
	in_container 'for n in net ipc uts cgroup; do readlink /proc/self/ns/$n; done'
	for name in net ipc uts cgroup; do
		assert_has "$output" "$(readlink "/proc/$held/ns/$name")"
	done
}

@test "namespaces: pid by path is joined" {
	skip_in_vm "a guest has its own kernel"
	holder -p
	config --arg pid "$held" '.linux.namespaces |= map(if .type == "pid" then .path = "/proc/\($pid)/ns/pid" else . end)'
	in_container 'readlink /proc/self/ns/pid; [ $$ != 1 ]'
	assert_eq "$output" "$(readlink "/proc/$held/ns/pid")"
}

@test "namespaces: two containers share what the second joins" {
	skip_in_vm "a guest has its own kernel"
	start_container
	local pid first
	pid=$(container_pid)
	first=$(readlink "/proc/$pid/ns/net")
	config --arg pid "$pid" '.linux.namespaces |= map(if .type == "network" then .path = "/proc/\($pid)/ns/net" else . end)'
	set_args readlink /proc/self/ns/net
	attempt moat run -b "$BUNDLE" "${ID}b"
	assert_eq "$output" "$first"
	assert_eq "$(container_status)" running
}

@test "namespaces: a network namespace by name outlives the container" {
	skip_in_vm "needs the guest's network"
	mkdir "$T/ns"
	: >"$T/ns/net"
	unshare -n sh -c "ip link set lo up; mount --bind /proc/\$\$/ns/net '$T/ns/net'"
	snapshot_host
	config --arg path "$T/ns/net" '.linux.namespaces |= map(if .type == "network" then .path = $path else . end)'
	in_container 'ip -o link'
	assert_match "$output" 'lo: <LOOPBACK,UP'
	assert_nothing_left
	grep -q "$T/ns/net" /proc/self/mountinfo
	umount "$T/ns/net"
	snapshot_host
}

@test "namespaces: a path that is missing, or a namespace of another kind, is an error that names it" {
	config '.linux.namespaces |= map(if .type == "network" then .path = "/proc/self/ns/no-such" else . end)'
	fails 1 'no-such' create_container
	config '.linux.namespaces |= map(if .type == "network" then .path = "/proc/self/ns/ipc" else . end)'
	fails 1 'ns/ipc|net|setns|namespace' create_container
	: >"$T/plain"
	config --arg path "$T/plain" '.linux.namespaces |= map(if .type == "network" then .path = $path else . end)'
	fails 1 '' create_container
	assert_nothing_left
}

@test "namespaces: one kind twice, or an unknown kind, is an error" {
	config '.linux.namespaces += [{type: "uts"}]'
	fails 1 'uts|namespace|dup' create_container
	config '.linux.namespaces |= (.[:-1] + [{type: "unknown"}])'
	fails 1 'unknown|namespace' create_container
	assert_nothing_left
}

@test "namespaces: hostname" {
	config '.hostname = "lighthouse"'
	in_container 'hostname; cat /proc/sys/kernel/hostname'
	assert_eq "$output" $'lighthouse\nlighthouse'
	[ "$(hostname)" != lighthouse ]
}

@test "namespaces: hostname without a uts namespace is refused" {
	config '.linux.namespaces |= map(select(.type != "uts"))'
	fails 1 'hostname|uts|UTS' create_container
	[ "$(hostname)" != moat-test ]
	assert_nothing_left
}

@test "namespaces: domainname" {
	requires_moat "domainname"
	config '.domainname = "example.org"'
	in_container 'cat /proc/sys/kernel/domainname'
	assert_eq "$output" example.org
	refute_has "$(</proc/sys/kernel/domainname)" example.org
}

@test "namespaces: the loopback of a new network namespace is up" {
	in_container 'ip -o link; ip -o addr; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo pong || echo no'
	assert_match "$output" 'lo: <LOOPBACK,UP'
	assert_has "$output" 127.0.0.1/8
}

@test "namespaces: the cgroup namespace is rooted at the container's cgroup" {
	in_container 'cat /proc/self/cgroup'
	refute_has "$output" "$ID"
	assert_match "$output" ':/($|'$'\n'')'
	config '.linux.namespaces |= map(select(.type != "cgroup"))'
	in_container 'cat /proc/self/cgroup; ls -d /sys/fs/cgroup'
	assert_has "$output" /sys/fs/cgroup
	skip_in_vm "a guest's container is always given one"
	assert_has "$output" "$ID"
}

@test "namespaces: an ipc namespace of its own" {
	skip_in_vm "a guest has its own kernel"
	in_container 'cat /proc/sys/kernel/shmmni; ls /dev/mqueue | wc -l'
	in_container 'echo 77 >/tmp/x; readlink /proc/self/ns/ipc'
	[ "$output" != "$(own_ns ipc)" ]
}

@test "namespaces: time, with offsets" {
	requires_moat "the time namespace"
	config '.linux.namespaces += [{type: "time"}]
		| .linux.timeOffsets = {monotonic: {secs: 86400, nanosecs: 500}, boottime: {secs: 1000000}}'
	in_container 'readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets'
	[ "$(sed -n 1p <<<"$output")" != "$(own_ns time)" ]
	[ "$(sed -n 2p <<<"$output")" -ge 1000000 ]
	assert_match "$output" 'monotonic +86400 +500'
	assert_match "$output" 'boottime +1000000 +0'
}

@test "namespaces: time is that of the container for exec" {
	requires_moat "the time namespace"
	config '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 2000000}}'
	start_container
	in_exec 'cut -d. -f1 /proc/uptime'
	[ "$output" -ge 2000000 ]
}

@test "namespaces: timeOffsets without a time namespace are refused" {
	requires_moat "the time namespace"
	config '.linux.timeOffsets = {boottime: {secs: 5}}'
	fails 1 'timeOffsets' create_container
	assert_nothing_left
}

@test "namespaces: without a mount namespace no mount may be asked for" {
	requires_moat "a check for the mount namespace"
	config '.linux.namespaces |= map(select(.type != "mount"))'
	fails 1 'mount' create_container
	assert_nothing_left
}
