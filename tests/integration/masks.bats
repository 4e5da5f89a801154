# maskedPaths and readonlyPaths.

load lib

@test "masks: a file reads as empty and takes no writes" {
	echo secret >"$BUNDLE/rootfs/etc/secret"
	config '.linux.maskedPaths += ["/etc/secret"]'
	in_container 'wc -c </etc/secret; echo x >/etc/secret; wc -c </etc/secret; stat -c %t:%T /etc/secret'
	assert_eq "$output" $'0\n0\n1:3'
	assert_eq "$(<"$BUNDLE/rootfs/etc/secret")" secret
}

@test "masks: a directory is empty and read-only" {
	mkdir "$BUNDLE/rootfs/hidden"
	echo secret >"$BUNDLE/rootfs/hidden/file"
	config '.linux.maskedPaths += ["/hidden"]'
	in_container 'ls -A /hidden | wc -l; touch /hidden/x || echo refused'
	assert_eq "$output" $'0\nrefused'
}

@test "masks: what does not exist is passed over" {
	config '.linux.maskedPaths += ["/no/such/path"] | .linux.readonlyPaths += ["/none/either"]'
	in_container 'ls -d /no /none 2>/dev/null | wc -l'
	assert_eq "$output" 0
}

@test "masks: the default ones of proc and sys hold" {
	in_container 'for p in /proc/keys /proc/timer_list; do [ ! -e $p ] || cat $p; done
		for d in /proc/acpi /proc/scsi /sys/firmware; do [ ! -e $d ] || ls -A $d; done; echo end'
	assert_eq "$output" end
}

@test "masks: every kind of directory below a mount of the container" {
	config '.mounts += [{destination: "/m", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"]}] | .linux.maskedPaths += ["/m/dir", "/m/file"]'
	mkdir -p "$BUNDLE/rootfs/m/dir"
	echo x >"$BUNDLE/rootfs/m/dir/x"
	echo y >"$BUNDLE/rootfs/m/file"
	in_container 'ls /m/dir; cat /m/file; echo end'
	assert_eq "$output" end
}

@test "masks: a symlink is followed within the root only" {
	mkdir -p "$BUNDLE/rootfs/target"
	echo inside >"$BUNDLE/rootfs/target/file"
	ln -s /target "$BUNDLE/rootfs/link"
	config '.linux.maskedPaths += ["/link"]'
	run_container 'cat /target/file 2>/dev/null; echo end'
	# To refuse such a mask is safe too; to mask nothing and go on is not.
	[ "$status" -ne 0 ] || assert_eq "$output" end
}

@test "readonly paths: cannot be written, whatever their kind" {
	mkdir -p "$BUNDLE/rootfs/ro/sub"
	config '.linux.readonlyPaths += ["/ro", "/etc/group"]'
	in_container 'touch /ro/x 2>/dev/null || echo one; touch /ro/sub/x 2>/dev/null || echo two; (echo x >>/etc/group) 2>/dev/null || echo three; grep -c tty /etc/group'
	assert_eq "$output" $'one\ntwo\nthree\n1'
}

@test "readonly paths: the default ones of proc hold" {
	in_container 'for f in /proc/sys/kernel/hostname /proc/sysrq-trigger; do (echo x >$f) 2>/dev/null && echo "$f written"; done; echo end'
	assert_eq "$output" end
}

@test "readonly paths: keep the flags of the mount that they are on" {
	config '.linux.readonlyPaths += ["/sys/kernel"]'
	in_container 'awk "\$5 == \"/sys/kernel\" {print \$6}" /proc/self/mountinfo'
	assert_match "$output" '^ro,nosuid,nodev,noexec'
}

@test "masks: root with CAP_SYS_ADMIN could undo them, so the defaults give no such capability" {
	in_container 'umount /proc/sys && echo undone || echo held'
	assert_has "$output" held
}

@test "masks: relative paths are refused or below the root" {
	config '.linux.maskedPaths += ["etc/passwd"]'
	run_container 'wc -c </etc/passwd'
	[ "$status" -ne 0 ] || assert_match "$output" '^[0-9]+$'
}

@test "masks: hold for exec" {
	echo secret >"$BUNDLE/rootfs/etc/secret"
	config '.linux.maskedPaths += ["/etc/secret"]'
	start_container
	in_exec 'wc -c </etc/secret'
	assert_eq "$output" 0
}

@test "masks: a container with neither list runs" {
	config 'del(.linux.maskedPaths, .linux.readonlyPaths)'
	in_container 'ls /proc/sys >/dev/null && echo fine'
	assert_eq "$output" fine
}

@test "masks: many masks of directories and files cost no surprises" {
	local i
	for i in {1..100}; do
		mkdir -p "$BUNDLE/rootfs/many/d$i"
		echo x >"$BUNDLE/rootfs/many/f$i"
		echo x >"$BUNDLE/rootfs/many/d$i/x"
	done
	config '.linux.maskedPaths += [range(1; 101) | "/many/d\(.)", "/many/f\(.)"]'
	in_container 'cat /many/f* | wc -c; ls /many/d*/x 2>/dev/null | wc -l'
	assert_eq "$output" $'0\n0'
}
