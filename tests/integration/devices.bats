# devices: the default ones, those of linux.devices, and which may be opened.

load lib

@test "devices: the default ones are there, and work" {
	in_container 'for d in null zero full random urandom tty; do stat -c "%n %F %a %t:%T %u:%g" /dev/$d; done
		echo x >/dev/null && head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x >/dev/full || echo full'
	assert_has "$output" '/dev/null character special file 666 1:3 0:0'
	assert_has "$output" '/dev/zero character special file 666 1:5 0:0'
	assert_has "$output" '/dev/full character special file 666 1:7 0:0'
	assert_has "$output" '/dev/random character special file 666 1:8 0:0'
	assert_has "$output" '/dev/urandom character special file 666 1:9 0:0'
	assert_has "$output" '/dev/tty character special file 666 5:0 0:'
	assert_match "$output" $'\n3\n4\nfull$'
}

@test "devices: the symlinks of the spec are there" {
	in_container 'for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done; echo piped | cat /dev/stdin'
	assert_has "$output" 'fd /proc/self/fd'
	assert_has "$output" 'stdin /proc/self/fd/0'
	assert_has "$output" 'stdout /proc/self/fd/1'
	assert_has "$output" 'stderr /proc/self/fd/2'
	assert_has "$output" 'ptmx pts/ptmx'
	assert_has "$output" piped
}

@test "devices: nothing else of the host is in /dev" {
	in_container 'ls /dev'
	assert_eq "$(sort <<<"$output" | grep -vx core | tr '\n' ' ')" \
		"fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
}

@test "devices: character, block and fifo, with mode and owner" {
	config '.linux.devices = [
		{path: "/dev/mychar", type: "c", major: 10, minor: 229, fileMode: 416, uid: 5, gid: 6},
		{path: "/dev/myun", type: "u", major: 1, minor: 3},
		{path: "/dev/myblock", type: "b", major: 7, minor: 0, fileMode: 384},
		{path: "/dev/myfifo", type: "p", fileMode: 420},
		{path: "/dev/deep/er/dev", type: "c", major: 1, minor: 5, fileMode: 438}]'
	in_container 'stat -c "%n %F %a %t:%T %u:%g" /dev/my* /dev/deep/er/dev'
	assert_has "$output" '/dev/mychar character special file 640 a:e5 5:6'
	assert_match "$output" '/dev/myun character special file [0-7]+ 1:3'
	assert_has "$output" '/dev/myblock block special file 600 7:0 0:0'
	assert_has "$output" '/dev/myfifo fifo 644'
	assert_has "$output" '/dev/deep/er/dev character special file 666 1:5'
}

@test "devices: the umask does not touch their modes" {
	config '.linux.devices = [{path: "/dev/my", type: "c", major: 1, minor: 3, fileMode: 438}]'
	umask 077
	in_container 'stat -c %a /dev/my /dev/null'
	umask 022
	assert_eq "$output" $'666\n666'
}

@test "devices: one of the defaults may be listed too" {
	config '.linux.devices = [{path: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0}]
		| .linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 3, access: "rwm"}]'
	in_container 'echo x >/dev/null; stat -c %t:%T /dev/null'
	assert_eq "$output" 1:3
}

@test "devices: outside of /dev" {
	config '.linux.devices = [{path: "/tmp/zero", type: "c", major: 1, minor: 5, fileMode: 438}]
		| .linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 5, access: "rwm"}]'
	in_container 'head -c 2 /tmp/zero | wc -c'
	assert_eq "$output" 2
}

@test "devices: an unknown type, or numbers missing, is refused" {
	requires_moat "strict devices"
	local device
	for device in '{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}' '{"type": "c", "major": 1, "minor": 1}' \
		'{"path": "/dev/x", "major": 1, "minor": 1}'; do
		config --argjson device "$device" '.linux.devices = [$device]'
		fails 1 '' create_container
		[ -n "$stderr" ] || fail "no message for $device"
	done
	assert_nothing_left
}

# With all that /dev/kmsg asks for, so that what stops an access is the cgroup.
allow_mknod() {
	requires_controller devices
	config '.process.capabilities |= map_values(. + ["CAP_MKNOD", "CAP_SYSLOG"])'
}

@test "device rules: without one for it a device cannot be opened" {
	allow_mknod
	in_container 'mknod /tmp/kmsg c 1 11 && echo made; head -c 1 /tmp/kmsg 2>&1; mknod /tmp/loop b 7 0; head -c 1 /tmp/loop 2>&1; true'
	assert_has "$output" 'Operation not permitted'
	assert_eq "$(grep -c 'Operation not permitted' <<<"$output")" 2
}

@test "device rules: the defaults are always allowed, and mknod of anything" {
	allow_mknod
	in_container 'head -c 1 /dev/zero | wc -c; echo x >/dev/null; mknod /tmp/any c 200 200 && echo made'
	assert_eq "$output" $'1\nmade'
}

@test "device rules: read is allowed, write is not" {
	allow_mknod
	requires_path /dev/kmsg
	config '.linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 11, access: "r"}]'
	in_container 'mknod /tmp/kmsg c 1 11; exec 5</tmp/kmsg && echo read; (exec 6>/tmp/kmsg) 2>&1 || echo no write'
	assert_has "$output" read
	assert_has "$output" 'no write'
}

@test "device rules: wildcards for minor, and for all" {
	allow_mknod
	config '.linux.resources.devices += [{allow: true, type: "c", major: 1, access: "rw"}]'
	in_container 'mknod /tmp/kmsg c 1 11 2>/dev/null; (exec 5>/tmp/kmsg) && echo open'
	assert_eq "$output" open
	rm "$BUNDLE/rootfs/tmp/kmsg"
	config '.linux.resources.devices = [{allow: true, access: "rwm"}]'
	in_container 'mknod /tmp/kmsg c 1 11; (exec 5>/tmp/kmsg) && echo open'
	assert_eq "$output" open
}

@test "device rules: a later rule takes back an earlier one" {
	allow_mknod
	config '.linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 11, access: "rwm"},
		{allow: false, type: "c", major: 1, minor: 11, access: "w"}]'
	in_container 'mknod /tmp/kmsg c 1 11; (exec 5</tmp/kmsg) && echo read; (exec 6>/tmp/kmsg) 2>/dev/null || echo no write'
	assert_eq "$output" $'read\nno write'
}

@test "device rules: hold for exec" {
	allow_mknod
	start_container
	attempt moat exec "$ID" sh -c 'mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg'
	assert_has "$stderr" 'Operation not permitted'
}

@test "device rules: update changes what may be opened from then on, by exec too" {
	requires_moat "device rules in update"
	allow_mknod
	config '.linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 11, access: "r"}]'
	start_container
	in_exec 'mknod /tmp/kmsg c 1 11; (exec 5</tmp/kmsg) && echo read; (exec 5>/tmp/kmsg) 2>/dev/null || echo no write'
	assert_eq "$output" $'read\nno write'
	echo '{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"}]}' |
		moat update -r - "$ID"
	in_exec '(exec 5</tmp/kmsg) 2>/dev/null || echo no read; (exec 5>/tmp/kmsg) && echo write; head -c 1 /dev/zero | wc -c'
	assert_eq "$output" $'no read\nwrite\n1'
}

@test "device rules: bad access letters and types are refused" {
	requires_moat "strict device rules"
	config '.linux.resources.devices = [{allow: true, type: "c", access: "rx"}]'
	fails 1 'linux.resources.devices\[0\].access' create_container
	config '.linux.resources.devices = [{allow: true, type: "q"}]'
	fails 1 'linux.resources.devices\[0\].type' create_container
	assert_nothing_left
}
