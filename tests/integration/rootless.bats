# moat without the host's root: as an ordinary user, and as the root of a user namespace.

load lib

setup() {
	set_up
	requires_moat "a user namespace for whoever needs one"
	copy_moat
	chown_rootfs 1000:1000
	chown 1000:1000 "$BUNDLE" "$BUNDLE/config.json"
	mkdir "$ROOT"
	chown 1000:1000 "$ROOT"
	config 'del(.linux.resources)'
	AROUND=("${KVM[@]}")
}

# Whatever the tests run is run by an ordinary user, and by ${AROUND[@]} around that.
moat_command() {
	echo "${AROUND[@]}" setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all "${WITHIN[@]}" "$T/moat" --root "$ROOT"
	mode_flag
}

# with_ranges: the user has ids of its own beside the one, in the eyes of this test's processes.
with_ranges() {
	local file
	requires_path /usr/bin/newuidmap
	[ -u /usr/bin/newuidmap ] || getcap /usr/bin/newuidmap | grep -q cap_setuid || skip "host's newuidmap has no rights"
	[ -e /etc/subuid ] && [ -e /etc/subgid ] || skip "host has no /etc/subuid"
	cp "$TEMPLATE"/own/rootfs/etc/{passwd,group} "$T"
	printf '%s\n' 'other:400000:1000' 'user:500000:1000' '1000:700000:10' | tee "$T/subuid" >"$T/subgid"
	cat >"$T/with-ranges" <<-'EOF'
		#!/bin/sh
		for f in passwd group subuid subgid; do mount --bind "${0%/*}/$f" "/etc/$f"; done
		exec "$@"
	EOF
	chmod +x "$T/with-ranges"
	AROUND+=(unshare --mount --propagation private "$T/with-ranges")
}

# assert_maps MAP: how the host maps the container's ids, users as groups: in VM mode the VMM's, for a guest has all ids for itself.
assert_maps() {
	local pid
	pid=$(container_pid)
	assert_eq "$(tr -s ' ' <"/proc/$pid/uid_map")" "$1" uid_map
	assert_eq "$(tr -s ' ' <"/proc/$pid/gid_map")" "$1" gid_map
}

OWN_ID='[{containerID: 0, hostID: 1000, size: 1}]'

@test "rootless: a spec without a user namespace gets one, with the caller as its root" {
	start_container
	in_exec 'grep "^[UG]id" /proc/1/status; hostname'
	assert_eq "$output" $'Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nmoat-test'
	assert_maps ' 0 1000 1'
}

@test "rootless: exec, ps, state, kill and delete find such a container" {
	start_container
	in_exec 'id -u; readlink /proc/1/ns/user; readlink /proc/self/ns/user'
	assert_eq "$(sed -n 1p <<<"$output")" 0
	assert_eq "$(sed -n 2p <<<"$output")" "$(sed -n 3p <<<"$output")"
	assert_eq "$(container_status)" running
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
}

@test "rootless: a terminal, for whose group the caller has no id" {
	local group=0
	[ "$MOAT_MODE" = container ] || group=5 # the guest has one
	config '.process.terminal = true'
	set_args sh -c 'stat -c %u:%g "$(tty)"'
	attempt moat_on_terminal run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" "0:$group"
}

@test "rootless: a user that the caller has no id for is refused" {
	config '.process.user = {uid: 7, gid: 0}'
	fails 1 "process.user.uid: 7 is not in linux.uidMappings" create_container
}

@test "rootless: ranges of /etc/subuid follow the caller's id" {
	with_ranges
	config '.process.user = {uid: 7, gid: 8}'
	start_container
	in_exec 'grep "^[UG]id" /proc/1/status'
	assert_eq "$output" $'Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8'
	assert_maps $' 0 1000 1\n 1 500000 1000\n 1001 700000 10'
}

@test "rootless: mappings of the spec itself, of the own id" {
	config ".linux.uidMappings = $OWN_ID | .linux.gidMappings = $OWN_ID | .linux.namespaces += [{type: \"user\"}]
		| .mounts |= map(if .type == \"devpts\" then .options |= map(select(. != \"gid=5\")) else . end)"
	in_container 'id -u'
	assert_eq "$output" 0
}

@test "rootless: mappings of the spec itself, by newuidmap" {
	with_ranges
	config '.linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}, {containerID: 1, hostID: 500000, size: 1000}]
		| .linux.gidMappings = .linux.uidMappings | .linux.namespaces += [{type: "user"}] | .process.user = {uid: 7, gid: 8}'
	start_container
	in_exec 'grep "^[UG]id" /proc/1/status'
	assert_eq "$output" $'Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8'
	assert_maps $' 0 1000 1\n 1 500000 1000'
}

@test "rootless: what spec --rootless writes" {
	rm "$BUNDLE/config.json"
	moat spec --rootless -b "$BUNDLE"
	config '.process.terminal = false'
	run_container 'id -u; cat /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs | grep -x 1'
	assert_match "$output" $'^0\n1'
}

@test "rootless: the root of a user namespace is no other than its maker" {
	config '.mounts |= map(if .type == "devpts" then .options |= map(select(. != "gid=5")) else . end)'
	WITHIN=(unshare --user --map-root-user)
	in_container 'id -u'
	assert_eq "$output" 0
}

@test "rootless: a limit or a cgroup that the caller may not make is refused" {
	requires_controller pids
	config '.linux.resources.pids.limit = 100'
	fails 1 "cgroup.*permission denied" create_container
	config 'del(.linux.resources) | .linux.cgroupsPath = "/moat-rootless"'
	fails 1 "cgroup.*permission denied.*delegated" create_container
}

# delegate: a group that is the user's, and a process of this test's in a group of its own below it.
delegate() {
	requires_cgroup_v2
	requires_controller pids memory
	local own=/sys/fs/cgroup/$ID-delegated file
	echo +pids +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p "$own/caller"
	for file in . cgroup.procs cgroup.subtree_control cgroup.threads caller caller/cgroup.procs; do
		chown 1000:1000 "$own/$file"
	done
	cat >"$T/delegated" <<-EOF
		#!/bin/sh
		echo 0 >$own/caller/cgroup.procs && exec "\$@"
	EOF
	chmod +x "$T/delegated"
	AROUND+=("$T/delegated")
	DELEGATED=$own
}

@test "rootless: limits in a group that was delegated; exec, update, pause, kill and delete" {
	delegate
	config '.linux.resources = {pids: {limit: 100}, memory: {limit: 67108864}}'
	start_container
	local dir
	dir=$(cgroup_dir pids)
	assert_eq "$dir" "$DELEGATED/$ID"
	assert_limits 67108864 100
	in_exec 'echo in'
	moat update --pids-limit 50 "$ID"
	assert_limits 67108864 50
	moat pause "$ID"
	assert_eq "$(container_status)" paused
	moat resume "$ID"
	moat kill --all "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
	[ ! -e "$dir" ]
	rmdir "$DELEGATED/caller" "$DELEGATED"
}

@test "rootless: ranges of ids and a delegated group at once" {
	with_ranges
	delegate
	config '.linux.resources = {pids: {limit: 100}} | .process.user = {uid: 7, gid: 8}'
	in_container 'id -u; cat /sys/fs/cgroup/pids.max'
	assert_eq "$output" $'7\n100'
	rmdir "$DELEGATED/caller" "$DELEGATED"
}
