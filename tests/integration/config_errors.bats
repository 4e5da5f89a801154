# config.json that is not valid: an error that names the JSON path, and nothing changed on the host.

load lib

# rejects PATH FILTER: a config changed by the filter is refused, with the path in the message.
rejects() {
	cp "$SUITE/default.json" "$BUNDLE/config.json"
	config "$2"
	attempt create_container
	stderr=$output
	if [ "$status" -ne 1 ]; then
		moat delete -f "$ID"
		fail "status $status for $2"
	elif [ -z "$stderr" ]; then
		fail "no message for $2"
	elif [[ $RUNTIME = moat && $stderr != *"$1"* ]]; then
		fail "no '$1' in: $stderr"
	else
		nothing_left || fail "left by $2: $(leftovers)"
	fi
}

# rejects_each ROWS: a path and a filter a line.
rejects_each() {
	local path filter bad=
	while IFS=$'\t ' read -r path filter; do
		[ "$path" ] || continue
		rejects "$path" "$filter" || bad+="$path with $filter: $stderr"$'\n'
	done
	[ -z "$bad" ] || fail "$bad"
}

# accepts FILTER: it makes no difference to the container.
accepts() {
	cp "$SUITE/default.json" "$BUNDLE/config.json"
	config "$1"
	run_container 'echo fine'
	[ "$output" = fine ] || fail "refused $1: $stderr"
}

@test "config: what is not JSON is refused" {
	local text
	for text in '' ' ' '{' '}' '[' '[]' '"text"' '1' '{"ociVersion": "1.0.0"' '{"ociVersion": "1.0.0",}' \
		'{ociVersion: 1}' "{'ociVersion': '1.0.0'}" '{"ociVersion": "1.0.0"} trailing' $'{"ociVersion": "1.0\x01"}'; do
		printf %s "$text" >"$BUNDLE/config.json"
		attempt create_container
		[ "$status" -eq 1 ] || fail "status $status for: $text"
		[ -n "$output$(<"$T/$ID.err")" ] || fail "no message for: $text"
		nothing_left || fail "left by $text: $(leftovers)"
	done
}

@test "config: a directory, a fifo or a huge file for config.json does not hang" {
	requires_moat "checks of the file"
	rm "$BUNDLE/config.json"
	mkdir "$BUNDLE/config.json"
	fails 1 'config.json' create_container
	rmdir "$BUNDLE/config.json"
	head -c 60000000 /dev/zero | tr '\0' ' ' >"$BUNDLE/config.json"
	fails 1 'config.json' create_container
	assert_nothing_left
}

@test "config: JSON that is nested without end does not crash" {
	requires_moat "a bound on depth"
	{
		printf '{"ociVersion": "1.0.0", "x": '
		head -c 200000 /dev/zero | tr '\0' '['
	} >"$BUNDLE/config.json"
	fails 1 '' create_container
	[ -n "$stderr" ]
	assert_nothing_left
}

@test "config: required fields" {
	rejects_each <<-'END'
		process.cwd del(.process.cwd)
		process.args del(.process.args)
		process.args .process.args = []
		root del(.root)
	END
}

@test "config: required fields within others" {
	requires_moat "all required fields"
	rejects_each <<-'END'
		ociVersion del(.ociVersion)
		root.path del(.root.path)
		mounts[1].destination del(.mounts[1].destination)
		linux.namespaces[0].type del(.linux.namespaces[0].type)
		process.rlimits[0].type del(.process.rlimits[0].type)
		hooks.prestart[0].path .hooks.prestart = [{args: ["x"]}]
		linux.seccomp.defaultAction .linux.seccomp = {}
		linux.seccomp.syscalls[0].names .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{action: "SCMP_ACT_ALLOW"}]}
		linux.seccomp.syscalls[0].action .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["read"]}]}
		linux.devices[0].path .linux.devices = [{type: "c", major: 1, minor: 3}]
		linux.devices[0].type .linux.devices = [{path: "/dev/x", major: 1, minor: 3}]
		linux.resources.hugepageLimits[0].limit .linux.resources.hugepageLimits = [{pageSize: "2MB"}]
		linux.uidMappings[0].size .linux.uidMappings = [{containerID: 0, hostID: 1}]
	END
}

@test "config: versions of the spec" {
	accepts '.ociVersion = "1.0.0"'
	accepts '.ociVersion = "1.0.2-dev"'
	rejects ociVersion '.ociVersion = 1'
	requires_moat "a check of the version"
	accepts '.ociVersion = "1.3.0"'
	rejects ociVersion '.ociVersion = "2.0.0"'
	rejects ociVersion '.ociVersion = "nonsense"'
	rejects ociVersion '.ociVersion = ""'
}

@test "config: wrong types at the top" {
	rejects_each <<-'END'
		process .process = "x"
		process .process = []
		root .root = []
		hostname .hostname = 5
		mounts .mounts = {}
		hooks .hooks = []
		linux .linux = []
		annotations .annotations = []
		annotations .annotations = {"a": 5}
	END
}

@test "config: wrong types in process" {
	rejects_each <<-'END'
		process.terminal .process.terminal = "yes"
		process.terminal .process.terminal = 1
		process.args .process.args = "true"
		process.args[1] .process.args = ["true", 5]
		process.args[0] .process.args = [null]
		process.env .process.env = {"PATH": "/bin"}
		process.env[0] .process.env = [5]
		process.cwd .process.cwd = 5
		process.user .process.user = "root"
		process.user.uid .process.user.uid = "0"
		process.user.uid .process.user.uid = -1
		process.user.uid .process.user.uid = 4294967296
		process.user.uid .process.user.uid = 1.5
		process.user.umask .process.user.umask = 99999
		process.user.gid .process.user.gid = true
		process.user.additionalGids .process.user.additionalGids = 5
		process.user.additionalGids[0] .process.user.additionalGids = ["5"]
		process.user.additionalGids[1] .process.user.additionalGids = [5, -5]
		process.rlimits .process.rlimits = {}
		process.rlimits[0] .process.rlimits = ["RLIMIT_CORE"]
		process.rlimits[0].soft .process.rlimits[0].soft = "1024"
		process.rlimits[0].hard .process.rlimits[0].hard = -1
		process.noNewPrivileges .process.noNewPrivileges = "true"
		process.oomScoreAdj .process.oomScoreAdj = "5"
		process.oomScoreAdj .process.oomScoreAdj = 2.5
		process.consoleSize .process.consoleSize = [24, 80]
		process.consoleSize.height .process.consoleSize = {height: -1, width: 80}
		process.capabilities.bounding .process.capabilities.bounding = "CAP_KILL"
		process.apparmorProfile .process.apparmorProfile = 5
		process.selinuxLabel .process.selinuxLabel = []
	END
}

@test "config: wrong types in mounts, hooks and devices" {
	rejects_each <<-'END'
		mounts[0] .mounts[0] = "proc"
		mounts[0].destination .mounts[0].destination = 5
		mounts[0].type .mounts[0].type = []
		mounts[1].options .mounts[1].options = "ro"
		mounts[1].options[0] .mounts[1].options = [5]
		hooks.prestart .hooks.prestart = {}
		hooks.poststop[0] .hooks.poststop = ["/bin/true"]
		hooks.createRuntime[0].timeout .hooks.createRuntime = [{path: "/bin/true", timeout: "5"}]
		hooks.createRuntime[0].args .hooks.createRuntime = [{path: "/bin/true", args: "x"}]
		linux.devices .linux.devices = {}
		linux.devices[0].major .linux.devices = [{path: "/dev/x", type: "c", major: "1", minor: 3}]
		linux.devices[0].fileMode .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3, fileMode: "0666"}]
		linux.devices[0].fileMode .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3, fileMode: 99999}]
		linux.devices[0].uid .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3, uid: -1}]
	END
}

@test "config: wrong types in linux" {
	rejects_each <<-'END'
		linux.namespaces .linux.namespaces = {}
		linux.namespaces[0] .linux.namespaces = ["pid"]
		linux.namespaces[0].type .linux.namespaces = [{type: 5}]
		linux.uidMappings .linux.uidMappings = {}
		linux.uidMappings[0].hostID .linux.uidMappings = [{containerID: 0, hostID: "1", size: 1}]
		linux.uidMappings[0].size .linux.uidMappings = [{containerID: 0, hostID: 1, size: -1}]
		linux.sysctl .linux.sysctl = []
		linux.sysctl .linux.sysctl = {"net.ipv4.ip_forward": 1}
		linux.cgroupsPath .linux.cgroupsPath = 5
		linux.maskedPaths .linux.maskedPaths = "/proc/kcore"
		linux.readonlyPaths[0] .linux.readonlyPaths = [5]
		linux.mountLabel .linux.mountLabel = {}
		linux.rootfsPropagation .linux.rootfsPropagation = true
		linux.seccomp .linux.seccomp = []
		linux.seccomp.syscalls .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: {}}
		linux.seccomp.syscalls[0].errnoRet .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: "1"}]}
		linux.seccomp.syscalls[0].args[0].index .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["read"], action: "SCMP_ACT_ERRNO", args: [{index: -1, value: 1, op: "SCMP_CMP_EQ"}]}]}
		linux.intelRdt .linux.intelRdt = "x"
	END
}

@test "config: wrong types and ranges in linux.resources" {
	rejects_each <<-'END'
		linux.resources .linux.resources = []
		linux.resources.devices .linux.resources.devices = {}
		linux.resources.devices[0].allow .linux.resources.devices = [{allow: "no"}]
		linux.resources.memory .linux.resources.memory = 5
		linux.resources.memory.limit .linux.resources.memory = {limit: "64M"}
		linux.resources.memory.limit .linux.resources.memory = {limit: 1e30}
		linux.resources.memory.limit .linux.resources.memory = {limit: 1.5}
		linux.resources.memory.swappiness .linux.resources.memory = {swappiness: -1}
		linux.resources.memory.disableOOMKiller .linux.resources.memory = {disableOOMKiller: 1}
		linux.resources.cpu.shares .linux.resources.cpu = {shares: -5}
		linux.resources.cpu.period .linux.resources.cpu = {period: "100000"}
		linux.resources.cpu.cpus .linux.resources.cpu = {cpus: 0}
		linux.resources.pids.limit .linux.resources.pids = {limit: "5"}
		linux.resources.blockIO.weight .linux.resources.blockIO = {weight: 70000}
		linux.resources.blockIO.weight .linux.resources.blockIO = {weight: "100"}
		linux.resources.blockIO.throttleReadBpsDevice[0].rate .linux.resources.blockIO = {throttleReadBpsDevice: [{major: 8, minor: 0, rate: -1}]}
		linux.resources.hugepageLimits .linux.resources.hugepageLimits = {}
		linux.resources.network.classID .linux.resources.network = {classID: "1"}
		linux.resources.rdma .linux.resources.rdma = []
		linux.resources.unified .linux.resources.unified = {"memory.high": 5}
	END
}

@test "config: enumerations" {
	rejects_each <<-'END'
		linux.namespaces[0].type .linux.namespaces = [{type: "PID"}]
		linux.rootfsPropagation .linux.rootfsPropagation = "Shared"
		linux.seccomp.defaultAction .linux.seccomp = {defaultAction: "scmp_act_allow"}
		linux.devices[0].type .linux.devices = [{path: "/dev/x", type: "C", major: 1, minor: 3}]
	END
}

@test "config: strings with NUL, and keys that stand twice" {
	requires_moat "refusing NUL and duplicate keys"
	rejects process.args '.process.args = ["tr\u0000ue"]'
	rejects process.cwd '.process.cwd = "/\u0000"'
	rejects mounts[0].destination '.mounts[0].destination = "/a\u0000b"'
	jq -c . "$SUITE/default.json" | sed 's/^{/{"hostname":"one","hostname":"two",/' >"$BUNDLE/config.json"
	fails 1 'hostname' create_container
	assert_nothing_left
}

@test "config: rules across fields" {
	requires_moat "the rules across fields"
	rejects_each <<-'END'
		process.cwd .process.cwd = "relative"
		process.consoleSize.width .process.consoleSize = {height: 5}
		linux.namespaces .linux.namespaces += [{type: "pid"}]
		linux.uidMappings .linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}]
		linux.timeOffsets .linux.timeOffsets = {monotonic: {secs: 1}}
		hostname .linux.namespaces |= map(select(.type != "uts"))
		linux.namespaces[0].path .linux.namespaces[0].path = "relative/path"
		hooks.prestart[0].path .hooks.prestart = [{path: "relative"}]
		domainname (.linux.namespaces |= map(select(.type != "uts"))) | del(.hostname) | .domainname = "x"
	END
}

@test "config: unknown fields are ignored, at every level" {
	accepts '.unknown = 1 | .process.unknown = {"a": []} | .process.user.unknown = null | .root.unknown = "x"
		| .mounts[0].unknown = 5 | .linux.unknown = [] | .linux.resources.unknown = {} | .linux.resources.devices[0].unknown = 1
		| .linux.namespaces[0].unknown = 1 | .windows = {"layerFolders": []} | .solaris = {} | .zos = {} | .freebsd = {}'
}

@test "config: null where the spec has an object or list counts as absent" {
	accepts '.hooks = null | .annotations = null | .linux.resources = null | .linux.seccomp = null
		| .linux.devices = null | .linux.sysctl = null | .process.rlimits = null | .process.oomScoreAdj = null | .linux.maskedPaths = null'
}

@test "config: empty objects and lists are fine" {
	accepts '.hooks = {} | .annotations = {} | .linux.resources = {} | .linux.devices = [] | .linux.sysctl = {}
		| .process.rlimits = [] | .linux.maskedPaths = [] | .linux.uidMappings = [] | .hooks.prestart = []'
}

@test "config: the largest numbers of each kind pass" {
	accepts '.process.oomScoreAdj = 1000 | .annotations = {"big": "99999999999999999999"}'
	requires_controller memory
	accepts '.linux.resources.memory = {limit: 9223372036854771712}'
	# jq itself rounds what does not fit in 53 bits.
	sed 's/"soft": 1024, "hard": 1024/"soft": 1024, "hard": 1024, "x": 18446744073709551615/' "$SUITE/default.json" >"$BUNDLE/config.json"
	sed -i 's/"resources": {/"resources": {"memory": {"limit": 9223372036854775807},/' "$BUNDLE/config.json"
	start_container
}

@test "config: escapes and all of Unicode in strings" {
	# shellcheck disable=SC2016
	sed 's/"TERM=xterm"/"TERM=xterm", "U=\\u00e9\\ud83d\\ude00\\t\\"\\\\\\\/"/' "$SUITE/default.json" >"$BUNDLE/config.json"
	in_container 'printf %s "$U"'
	assert_eq "$output" $'é😀\t"\\/'
}

@test "config: an annotation with an empty name is refused" {
	requires_moat "a check of annotations"
	rejects annotations '.annotations = {"": "x"}'
}

@test "config: wrong types in vm" {
	requires_moat "the vm object"
	cp "$SUITE/default.json" "$BUNDLE/config.json"
	rejects vm.kernel.path '.vm = {kernel: {path: 5}}'
}

@test "config: without process create works, start does not" {
	requires_moat "a spec without process"
	config 'del(.process)'
	attempt create_container
	if [ "$status" -eq 0 ]; then
		fails 1 'process' moat start "$ID"
	else
		assert_has "$output$(<"$T/$ID.err")" process
		assert_nothing_left
	fi
}
