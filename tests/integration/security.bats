# What others paid for: the attacks of known CVEs against runtimes, each tried here.

load lib

ORIGINAL=$MOAT

# make_outside: $outside, a directory of the host that a container must not reach. What appears in it escaped.
make_outside() {
	outside=$T/outside
	mkdir "$outside"
	echo host-secret >"$outside/secret"
}

assert_outside_untouched() {
	assert_eq "$(ls -A "$outside")" secret "files outside of the container"
	assert_eq "$(<"$outside/secret")" host-secret "a file outside of the container"
	assert_eq "$(stat -c %F:%a "$outside/secret")" "regular file:644"
}

# without_dev: no mount on /dev, so that what the image has there counts.
without_dev() { config '.mounts |= map(select(.destination | startswith("/dev") | not))'; }

@test "security: the runtime's binary cannot be overwritten from inside (CVE-2019-5736)" {
	skip_in_vm "no process of the host is in sight"
	# A copy: a runtime that is open to it would not survive this test.
	local before MOAT=$T/runtime
	cp "$ORIGINAL" "$MOAT"
	before=$(md5sum <"$MOAT")
	config '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"])'
	set_args probe overwrite
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	local i
	for i in $(rounds 10); do
		moat exec "$ID" /proc/self/exe --version >/dev/null 2>&1 || :
		moat exec "$ID" true >/dev/null 2>&1 || :
	done
	# All that the attacker holds is free for it now: several of its rounds.
	refute wait_for 1 grep -q overwritten "$T/$ID.out"
	assert_eq "$(md5sum <"$MOAT")" "$before"
	moat delete -f "$ID"
}

@test "security: nor by a container whose pid namespace another one joins" {
	skip_in_vm "no process of the host is in sight"
	local before pid i MOAT=$T/runtime
	cp "$ORIGINAL" "$MOAT"
	before=$(md5sum <"$MOAT")
	config '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"])'
	set_args probe overwrite
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	pid=$(container_pid)
	config --arg pid "$pid" '.linux.namespaces |= map(if .type == "pid" then .path = "/proc/\($pid)/ns/pid" else . end)'
	set_args true
	for i in $(rounds 10); do
		moat run -b "$BUNDLE" "${ID}b" >/dev/null 2>&1 || :
	done
	ID=${ID}c create_container
	refute wait_for 1 grep -q overwritten "$T/$ID.out"
	assert_eq "$(md5sum <"$MOAT")" "$before"
}

# peek_at_execs OUTPUT: OUTPUT is that of `probe peek`, which sees the processes of moat exec.
peek_at_execs() {
	wait_for 5 grep -q ready "$1"
	local i
	for i in $(rounds 20); do
		# 9: a directory of the host that moat was started with.
		moat --log "$T/log" exec "$ID" true 9<"$outside"
	done
	assert_eq "$(sort -u "$1")" ready
}

@test "security: a tracer in the container finds nothing of the host in an exec: root, cwd, descriptors" {
	skip_in_vm "no process of the host is in sight"
	requires_moat "care with tracers"
	make_outside
	config '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"])'
	set_args probe peek "$outside/secret"
	start_container
	peek_at_execs "$T/$ID.out"
}

@test "security: nor does root without CAP_SYS_PTRACE" {
	skip_in_vm "no process of the host is in sight"
	make_outside
	config '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE"])'
	set_args probe peek "$outside/secret"
	start_container
	peek_at_execs "$T/$ID.out"
}

@test "security: nor does a tracer that exec has brought in" {
	skip_in_vm "no process of the host is in sight"
	requires_moat "care with tracers"
	make_outside
	start_container
	spawn moat exec --cap CAP_SYS_PTRACE "$ID" probe peek "$outside/secret" >"$T/peek.out"
	peek_at_execs "$T/peek.out"
}

@test "security: nor does one in another container that has joined the pid namespace" {
	skip_in_vm "no process of the host is in sight"
	requires_moat "care with tracers"
	make_outside
	start_container
	config --arg pid "$(container_pid)" '.linux.namespaces |= map(if .type == "pid" then .path = "/proc/\($pid)/ns/pid" else . end)
		| .process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"])'
	set_args probe peek "$outside/secret"
	ID=${ID}b start_container
	peek_at_execs "$T/${ID}b.out"
}

@test "security: a container that starts as /proc/self/exe is not the runtime's writer" {
	local before MOAT=$T/runtime
	cp "$ORIGINAL" "$MOAT"
	before=$(md5sum <"$MOAT")
	printf '#!/proc/self/exe\n' >"$BUNDLE/rootfs/bin/trick"
	chmod +x "$BUNDLE/rootfs/bin/trick"
	set_args trick
	attempt timeout -k 1 $((20 * PATIENCE)) $(moat_command) run -b "$BUNDLE" "$ID"
	assert_status 1
	set_args /proc/self/exe
	attempt timeout -k 1 $((20 * PATIENCE)) $(moat_command) run -b "$BUNDLE" "$ID"
	assert_status 1
	assert_eq "$(md5sum <"$MOAT")" "$before"
	moat delete -f "$ID"
}

@test "security: a startContainer hook that is /proc/self/exe does not execute the runtime" {
	requires_moat "hooks that no image of the runtime executes"
	skip_in_vm "it is the guest that executes such a hook"
	local before MOAT=$T/runtime
	cp "$ORIGINAL" "$MOAT"
	before=$(md5sum <"$MOAT")
	printf '#!/proc/self/exe --version\n' >"$BUNDLE/rootfs/bin/trick"
	chmod +x "$BUNDLE/rootfs/bin/trick"
	config '.hooks.startContainer = [{path: "/bin/trick"}]'
	create_container
	# The runtime would look for its dynamic loader, which could be the image's; what is found there instead ends at once.
	fails 1 'startContainer\[0\] /bin/trick: exit status 1' moat start "$ID"
	assert_eq "$(md5sum <"$MOAT")" "$before"
	moat delete -f "$ID"
}

@test "security: cwd cannot be a leaked descriptor of the runtime (CVE-2024-21626)" {
	make_outside
	local fd
	for fd in {3..16}; do
		config --arg cwd "/proc/self/fd/$fd" '.process.cwd = $cwd'
		run_container 'cat ../../../../../../../../../../etc/shadow; pwd -P; ls'
		[ "$status" -ne 0 ] || fail "cwd /proc/self/fd/$fd ran: $output"
	done
}

@test "security: exec cannot have a leaked descriptor for cwd (CVE-2024-21626)" {
	start_container
	local fd
	for fd in {3..16}; do
		attempt moat exec --cwd "/proc/self/fd/$fd" "$ID" sh -c 'pwd -P; ls /proc/self/cwd/'
		[ "$status" -ne 0 ] || fail "cwd /proc/self/fd/$fd ran: $output"
	done
}

@test "security: the caller's null device stays its owner's, whatever the container has in /dev" {
	requires_moat "care with devices"
	mknod "$T/null" c 1 3
	start_container
	in_exec 'rm /dev/null; mknod /dev/null p'
	attempt moat exec -u 1000 "$ID" true <"$T/null"
	assert_status 0
	assert_eq "$(stat -c %u "$T/null")" 0
}

@test "security: a program cannot be a leaked descriptor of the runtime" {
	local fd
	for fd in {3..12}; do
		set_args "/proc/self/fd/$fd/bin/sh" -c 'echo host'
		attempt moat run -b "$BUNDLE" "$ID"
		[ "$status" -ne 0 ] || fail "ran by descriptor $fd"
	done
}

@test "security: no descriptor of the runtime reaches a hook of the container or the program" {
	config '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "ls -l /proc/self/fd >/tmp/hook-fds"]}]'
	in_container 'ls -l /proc/self/fd'
	# The three streams, and the directory that ls reads.
	assert_eq "$(grep -c '^l' "$BUNDLE/rootfs/tmp/hook-fds")" 4
	refute_has "$output" "$T/root"
	refute_has "$output" cgroup
}

@test "security: dev/null of the image as a symlink is not what masks (CVE-2025-31133)" {
	requires_moat "a fix"
	make_outside
	without_dev
	echo inside >"$BUNDLE/rootfs/target"
	local target
	for target in /target ../target "$outside/secret" "../../../../../../../../../..$outside/secret"; do
		rm -rf "$BUNDLE/rootfs/dev/null"
		ln -s "$target" "$BUNDLE/rootfs/dev/null"
		run_container 'cat /proc/keys; echo end; (echo attack >/proc/keys) 2>/tmp/error; cat /target'
		# To refuse such an image is as good as to put it right.
		[ "$status" -ne 0 ] || assert_eq "$output" $'end\ninside'
		assert_outside_untouched
		assert_nothing_left
	done
}

@test "security: /dev/null that is swapped while the container is made (CVE-2025-31133)" {
	requires_moat "a fix"
	make_outside
	without_dev
	echo inside >"$BUNDLE/rootfs/target"
	mknod "$BUNDLE/rootfs/dev/null" c 1 3
	ln -s ../target "$BUNDLE/rootfs/dev/other"
	spawn "$HELPERS/exchange" "$BUNDLE/rootfs/dev/null" "$BUNDLE/rootfs/dev/other" 2>/dev/null
	local i
	for i in $(rounds 25); do
		# No redirection to /dev/null: the shell itself would open what is there.
		run_container 'cat /proc/keys; echo end'
		[ "$status" -ne 0 ] || assert_eq "$output" end
	done
	assert_eq "$(<"$BUNDLE/rootfs/target")" inside
}

@test "security: dev/console of the image as a symlink (CVE-2025-52565)" {
	make_outside
	without_dev
	echo inside >"$BUNDLE/rootfs/target"
	local target
	for target in /target "$outside/secret" "../../../../../../../../../..$outside/secret" /proc/sysrq-trigger; do
		rm -rf "$BUNDLE/rootfs/dev/console"
		ln -s "$target" "$BUNDLE/rootfs/dev/console"
		config '.process.terminal = true'
		set_args sh -c 'stat -c %F /target; stat -c %F /proc/sysrq-trigger'
		attempt moat_on_terminal run -b "$BUNDLE" "$ID"
		[ "$status" -ne 0 ] || assert_eq "$output" $'regular file\nregular file'
		assert_outside_untouched
		assert_nothing_left
	done
}

@test "security: sysctls are not written to a faked /proc (CVE-2025-52881)" {
	mkdir -p "$T/fake/sys/net/ipv4" "$T/fake/self/attr" "$T/fake/1/fd"
	: >"$T/fake/sys/net/ipv4/ip_forward"
	config --arg fake "$T/fake" '.linux.sysctl = {"net.ipv4.ip_forward": "1"}
		| .mounts |= map(if .destination == "/proc" then {destination: "/proc", source: $fake, type: "bind", options: ["bind"]} else . end)
		| del(.linux.maskedPaths, .linux.readonlyPaths)'
	attempt create_container
	[ "$status" -ne 0 ] || moat delete -f "$ID"
	assert_eq "$(<"$T/fake/sys/net/ipv4/ip_forward")" ""
}

@test "security: a mount over parts of /proc does not redirect the runtime's writes (CVE-2025-52881)" {
	mkdir -p "$T/fake"
	: >"$T/fake/ip_forward"
	config --arg fake "$T/fake" '.linux.sysctl = {"net.ipv4.ip_forward": "1"}
		| .mounts += [{destination: "/proc/sys/net/ipv4", source: $fake, type: "bind", options: ["bind"]}]'
	attempt create_container
	[ "$status" -ne 0 ] || moat delete -f "$ID"
	assert_eq "$(<"$T/fake/ip_forward")" ""
}

@test "security: /proc or /sys of the image as a symlink (CVE-2019-19921, CVE-2023-27561)" {
	make_outside
	local name target
	for name in proc sys; do
		for target in /tmp "$outside" "../../../../../../../../../..$outside" .; do
			rm -rf "${BUNDLE:?}/rootfs/$name"
			ln -s "$target" "$BUNDLE/rootfs/$name"
			run_container 'ls -l /proc/self/attr >/dev/null; echo ran'
			assert_outside_untouched
			assert_nothing_left
			[ "$status" -ne 0 ] || assert_eq "$(mountpoints_outside)" ""
			rm "$BUNDLE/rootfs/$name"
			mkdir "$BUNDLE/rootfs/$name"
		done
	done
}

# mountpoints_outside: mounts of this test's that the host sees.
mountpoints_outside() { grep -F "$T" /proc/self/mountinfo || :; }

@test "security: dev of the image as a symlink (CVE-2026-41579, CVE-2026-47766)" {
	requires_moat "a fix"
	make_outside
	local target
	config '.linux.devices = [{path: "/dev/escaped", type: "c", major: 1, minor: 3}]'
	for target in "$outside" "../../../../../../../../../..$outside" /proc/self/root/tmp /tmp; do
		rm -rf "$BUNDLE/rootfs/dev"
		ln -s "$target" "$BUNDLE/rootfs/dev"
		run_container 'ls -l /dev/null'
		assert_outside_untouched
		assert_nothing_left
	done
}

@test "security: dev of the image as a symlink, without a mount on it" {
	requires_moat "a fix"
	make_outside
	without_dev
	local target
	config '.linux.devices = [{path: "/dev/escaped", type: "c", major: 1, minor: 3}]'
	for target in "$outside" "../../../../../../../../../..$outside"; do
		rm -rf "$BUNDLE/rootfs/dev"
		ln -s "$target" "$BUNDLE/rootfs/dev"
		run_container 'true'
		assert_outside_untouched
		assert_nothing_left
	done
}

@test "security: mount points through symlinks stay inside" {
	make_outside
	ln -s "$outside" "$BUNDLE/rootfs/abs"
	ln -s "../../../../../../../../../..$outside" "$BUNDLE/rootfs/rel"
	ln -s /proc/self/root "$BUNDLE/rootfs/magic"
	config '.mounts += [
		{destination: "/abs/made", type: "tmpfs", source: "tmpfs"}, {destination: "/rel/made", type: "tmpfs", source: "tmpfs"},
		{destination: "/abs/file", source: "/etc/hostname", options: ["bind"]},
		{destination: "/a/../../../../../../../../../../dotdot", type: "tmpfs", source: "tmpfs"}]'
	run_container 'cut -d" " -f5 /proc/self/mountinfo'
	assert_outside_untouched
	[ "$status" -ne 0 ] || assert_has "$output" /dotdot
	[ ! -e /dotdot ]
}

@test "security: maskedPaths and readonlyPaths through symlinks stay inside" {
	make_outside
	ln -s "$outside" "$BUNDLE/rootfs/link"
	config '.linux.maskedPaths += ["/link/secret", "/link"] | .linux.readonlyPaths += ["/link"]'
	run_container 'true'
	assert_outside_untouched
	echo changed >"$outside/secret"
	assert_eq "$(<"$outside/secret")" changed
}

@test "security: device paths with .. or symlinks stay inside" {
	make_outside
	ln -s "$outside" "$BUNDLE/rootfs/link"
	local path
	for path in /link/dev /dev/../../../../../../../../../..$outside/dev "/dev/../link/dev"; do
		config --arg path "$path" '.linux.devices = [{path: $path, type: "c", major: 1, minor: 5}]'
		run_container 'true'
		assert_outside_untouched
	done
}

@test "security: a mount point that is swapped for a symlink while it is made (CVE-2021-30465)" {
	make_outside
	mkdir -p "$T/volume/sub"
	ln -s "$outside" "$T/volume/link"
	config --arg volume "$T/volume" '.mounts += [{destination: "/volume", source: $volume, options: ["rbind"]},
		{destination: "/volume/sub/deep/er", type: "tmpfs", source: "tmpfs", options: ["mode=777"]}]'
	spawn "$HELPERS/exchange" "$T/volume/sub" "$T/volume/link" 2>/dev/null
	local i
	for i in $(rounds 40); do
		run_container 'grep -c " /volume/sub" /proc/self/mountinfo; ls /volume/sub/deep'
		assert_outside_untouched
	done
	nothing_left
}

@test "security: a rootfs that is swapped for a symlink while the container is made" {
	mkdir "$T/other"
	cp -a "$BUNDLE/rootfs" "$T/other/"
	ln -s / "$BUNDLE/link"
	spawn "$HELPERS/exchange" "$BUNDLE/rootfs" "$BUNDLE/link" 2>/dev/null
	local i
	for i in $(rounds 15); do
		# Either root is that of the bundle at some time; the host's must not become the container's
		# unasked: its files would show.
		run_container 'ls /bin/probe'
		[ "$status" -ne 0 ] || assert_eq "$output" /bin/probe
	done
}

@test "security: nothing is written into the rootfs (CVE-2025-24965)" {
	make_outside
	local name
	for name in .krun_config.json .moat .moat.json .oci-config.json .dockerenv run/.containerenv; do
		ln -s "$outside/made" "$BUNDLE/rootfs/$name"
	done
	(cd "$BUNDLE/rootfs" && find . -printf '%p %i %C@ %l\n' | sort) >"$T/before"
	in_container true
	(cd "$BUNDLE/rootfs" && find . -printf '%p %i %C@ %l\n' | sort) >"$T/after"
	diff "$T/before" "$T/after"
	assert_outside_untouched
}

@test "security: etc/passwd of the image as a symlink, fifo, device or huge file" {
	make_outside
	echo 'root:x:0:0::/from-the-host:/bin/sh' >"$outside/passwd"
	rm "$BUNDLE/rootfs/etc/passwd"
	ln -s "$outside/passwd" "$BUNDLE/rootfs/etc/passwd"
	in_container 'echo "$HOME"'
	refute_has "$output" from-the-host
	requires_moat "care with what is no file"
	rm "$BUNDLE/rootfs/etc/passwd"
	mkfifo "$BUNDLE/rootfs/etc/passwd"
	run_container 'echo "$HOME"'
	[ "$status" -lt 100 ] || fail "hangs on a fifo"
	rm "$BUNDLE/rootfs/etc/passwd"
	ln -s /dev/zero "$BUNDLE/rootfs/etc/passwd"
	run_container 'echo "$HOME"'
	[ "$status" -lt 100 ] || fail "hangs on a device"
}

@test "security: the state is for its owner only" {
	start_container
	assert_eq "$(stat -c %a "$ROOT")" 700
	assert_eq "$(find "$ROOT" -mindepth 1 ! -type l -perm /022)" ""
}

@test "security: the container cannot signal, trace or see what is outside" {
	skip_in_vm "a guest has its own kernel"
	in_container 'ls -d /proc/[0-9]* | wc -l; kill -0 2>&1; true'
	[ "$(head -n 1 <<<"$output")" -lt 6 ]
}

@test "security: the environment of the runtime is not in sight of the container" {
	config '.process.capabilities |= map_values(. + ["CAP_SYS_PTRACE"])'
	set_args sh -c 'while :; do cat /proc/[0-9]*/environ 2>/dev/null; done | tr "\0" "\n" | grep --line-buffered HOST_SECRET'
	start_container
	local i
	for i in $(rounds 10); do
		HOST_SECRET=$i moat exec "$ID" true
	done
	[ ! -s "$T/$ID.out" ] || fail "seen: $(head "$T/$ID.out")"
}

@test "security: the root's parent is not in sight after pivot_root" {
	config '.process.capabilities |= map_values(. + ["CAP_SYS_CHROOT"])'
	in_container 'mkdir /tmp/x; cd /; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cd ..; done; ls bin/probe; ls -d proc/1/root/..; cat /proc/self/mountinfo | grep -c old || true'
	assert_has "$output" bin/probe
}

@test "security: supplementary groups of the runtime don't pass to hooks of the container or exec" {
	start_container
	# shellcheck disable=SC2046
	attempt setpriv --groups 7,8,9 $(moat_command) exec "$ID" grep Groups /proc/self/status
	assert_status 0
	assert_eq "$(tr -d '[:space:]' <<<"$output")" Groups:
}
