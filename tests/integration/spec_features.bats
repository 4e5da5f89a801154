# spec and features: what the runtime says of itself; version and help.

load lib

@test "options: a long one may have one dash, as in Go; an empty value is none" {
	requires_moat "runc's own parser"
	set_args true
	attempt moat run -bundle "$BUNDLE" -pid-file "$T/pid" "$ID"
	assert_status 0
	[ -s "$T/pid" ]
	attempt moat run -bundle="$BUNDLE" --pid-file "" --console-socket= "$ID"
	assert_status 0
	fails 1 "unknown option -nosuch" moat run -nosuch "$BUNDLE" "$ID"
}

@test "options: help of a verb, and errors in using one" {
	requires_moat "its own words"
	attempt moat help exec
	assert_status 0
	assert_has "$output" "Usage: moat exec [OPTIONS]"
	fails 1 "unknown verb .nonsense" moat help nonsense
	fails 1 "usage: moat exec" moat exec
	fails 1 "unknown option --nope" moat exec --nope "$ID" true
	fails 1 "write the output: no space left on device" full_list
}

full_list() { moat list >/dev/full; }

@test "spec: writes a config.json that runs" {
	rm "$BUNDLE/config.json"
	(cd "$BUNDLE" && moat spec)
	[ -f "$BUNDLE/config.json" ]
	config '.process.terminal = false | .process.args = ["echo", "from spec"]'
	in_container
	assert_eq "$output" "from spec"
}

@test "spec: --bundle says where" {
	rm "$BUNDLE/config.json"
	moat spec --bundle "$BUNDLE"
	jq -e '.ociVersion and .process.args == ["sh"] and .process.terminal == true and .root.path == "rootfs"
		and .root.readonly == true' "$BUNDLE/config.json"
}

@test "spec: has the defaults of runc" {
	moat spec -b "$T"
	jq -e '
		.process.cwd == "/" and .process.noNewPrivileges == true
		and (.process.capabilities.bounding | sort) == ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
		and (.linux.namespaces | map(.type) | contains(["pid", "network", "ipc", "uts", "mount"]))
		and (.mounts | map(.destination)) == ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]
		and (.linux.maskedPaths | index("/proc/kcore")) and (.linux.readonlyPaths | index("/proc/sys"))
		and .linux.resources.devices == [{allow: false, access: "rwm"}]' "$T/config.json"
}

@test "spec: does not overwrite a file" {
	local before
	before=$(<"$BUNDLE/config.json")
	fails 1 'exist' moat spec -b "$BUNDLE"
	assert_eq "$(<"$BUNDLE/config.json")" "$before"
}

@test "spec: --file names the file" {
	requires_moat "spec --file"
	moat spec --file "$T/other.json"
	jq -e .ociVersion "$T/other.json"
	moat spec -b "$T" -f third.json
	jq -e .ociVersion "$T/third.json"
}

@test "spec: a bundle that does not exist is an error" {
	fails 1 '' moat spec -b "$T/none"
}

@test "spec: --rootless has a user namespace with mappings and no privileged mounts" {
	moat spec --rootless -b "$T"
	jq -e '(.linux.namespaces | map(.type)) as $types | ($types | index("user")) and ($types | index("network") | not)
		and (.linux.uidMappings | length > 0) and (.linux.gidMappings | length > 0)
		and (.mounts | map(select(.destination == "/sys")) | .[0].type == "none")
		and (.linux.resources.devices | not)' "$T/config.json"
}

@test "spec: --rootless runs" {
	rm "$BUNDLE/config.json"
	moat spec --rootless -b "$BUNDLE"
	config '.process.terminal = false | .process.args = ["id", "-u"]'
	in_container
	assert_eq "$output" 0
}

@test "features: is JSON with versions, hooks, mount options and namespaces" {
	attempt moat features
	assert_status 0
	jq -e '.ociVersionMin and .ociVersionMax
		and (.hooks | sort) == ["createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer"]
		and (.mountOptions | contains(["bind", "rbind", "ro", "rro", "nosymfollow", "tmpcopyup", "private", "rslave"]))
		and (.linux.namespaces | contains(["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]))
		and (.linux.capabilities | index("CAP_SYS_ADMIN")) and .linux.cgroup.v1 and .linux.cgroup.v2
		and .linux.seccomp.enabled' <<<"$output"
}

@test "features: is as long as the contract" {
	requires_moat "features of runtime-spec 1.3"
	attempt moat features
	jq -e '(.ociVersionMax | test("^1\\.3")) and (.linux.namespaces | index("time"))
		and (.linux.cgroup | has("rdma") and has("systemd") and has("systemdUser"))
		and (.linux.seccomp.actions | index("SCMP_ACT_NOTIFY")) and (.linux.seccomp.operators | index("SCMP_CMP_MASKED_EQ"))
		and (.linux.seccomp.archs | index("SCMP_ARCH_X86_64"))
		and (.linux.seccomp.knownFlags | index("SECCOMP_FILTER_FLAG_LOG"))
		and (.linux.seccomp.supportedFlags | type == "array")
		and (.linux | has("apparmor") and has("selinux") and has("intelRdt"))
		and .linux.mountExtensions.idmap.enabled == true
		and (.mountOptions | contains(["iversion", "noiversion", "lazytime", "nolazytime", "silent", "loud",
			"symfollow", "rnosymfollow", "idmap", "ridmap", "copy-symlink", "src-nofollow"]))' <<<"$output"
}

@test "features: lists the annotations that change what moat does" {
	requires_moat "annotations of its own"
	attempt moat features
	jq -e '.potentiallyUnsafeConfigAnnotations | contains(["run.oci.handler", "org.moat.vm", "org.systemd.property."])' <<<"$output"
}

@test "features: tells the version and the configuration of the guest's kernel" {
	requires_moat "a kernel of its own"
	local config
	attempt moat features
	config=$(jq -r '.annotations["org.moat.vm.kernel.config"] // empty' <<<"$output")
	[ "$config" ] || skip "there is no guest kernel (make guest-kernel)"
	jq -e '.annotations["org.moat.vm.kernel"] | test("^[0-9]+\\.[0-9]+\\.[0-9]+")' <<<"$output"
	grep -q '^CONFIG_VIRTIO_FS=y' "$config"
}

@test "features: enabled is what is not refused as not supported" {
	requires_moat "truthful features"
	local features field filter refused
	features=$(moat features)
	while read -r field filter; do
		cp "$SUITE/default.json" "$BUNDLE/config.json"
		config "$filter"
		refused=false
		create_container || refused=true
		[ "$refused" = false ] || assert_match "$(<"$T/$ID.err")" "not (supported|enabled)"
		[ "$(jq ".linux.$field.enabled | not" <<<"$features")" = "$refused" ] || fail "$field is not what features says"
		moat delete -f "$ID"
	done <<-'END'
		intelRdt .linux.intelRdt = {closID: "x"}
		netDevices .linux.netDevices = {moat0: {name: "x"}}
		seccomp .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}
		mountExtensions.idmap .mounts += [{destination: "/m", type: "bind", source: "rootfs", options: ["bind"], uidMappings: [{containerID: 0, hostID: 1000, size: 1}], gidMappings: [{containerID: 0, hostID: 1000, size: 1}]}]
	END
}

@test "version: names the runtime and the spec" {
	attempt moat --version
	assert_status 0
	assert_match "$output" '^(moat|runc|crun) version [0-9]'
	assert_match "$output" 'spec: 1\.'
	attempt moat -v
	assert_match "$output" 'version'
}

@test "help: is on stdout, for the whole and each verb" {
	attempt moat --help
	assert_status 0
	local verb
	for verb in create start state kill delete run exec list ps pause resume update events spec features; do
		assert_has "$output" "$verb"
	done
	for verb in create start state kill delete run exec list ps pause resume update events spec; do
		attempt moat "$verb" --help
		assert_status 0
		assert_has "$output" "$verb"
	done
	attempt moat -h
	assert_status 0
}

@test "help: each verb lists its flags" {
	requires_moat "the flags of the contract"
	local line verb flags
	while IFS=: read -r verb flags; do
		attempt moat "$verb" --help
		for flag in $flags; do
			assert_has "$output" "--$flag"
		done
	done <<-'END'
		create: bundle config console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds no-subreaper
		run: bundle config console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds no-subreaper detach keep
		exec: console-socket pidfd-socket cwd env tty user additional-gids process detach pid-file process-label apparmor no-new-privs cap preserve-fds cgroup ignore-paused
		kill: all regex
		delete: force regex
		list: format quiet
		ps: format
		spec: bundle file rootless
		update: resources blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpu-idle cpuset-cpus cpuset-mems memory memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema
		events: interval stats
	END
}
