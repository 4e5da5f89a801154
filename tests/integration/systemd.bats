# The systemd driver: units, their properties, and what is left of them.

load lib

setup() {
	set_up
	requires_moat "moat's own way with systemd"
	requires_systemd
	UNIT=moat-$ID.scope
}

# Every call here but those that say otherwise.
moat_command() {
	echo "$MOAT --root $ROOT --systemd-cgroup"
	mode_flag
}

# bare_moat ARGUMENTS...: without a word of systemd: the record must tell.
bare_moat() { timeout --foreground -k 5 $((60 * PATIENCE)) "$MOAT" --root "$ROOT" $(mode_flag) "$@" 3>&- 4>&-; }

# show PROPERTY [UNIT]: one of systemd's own words on the unit.
show() { systemctl show --value -p "$1" "${2:-$UNIT}"; }

# assert_show PROPERTY=VALUE...: what systemd says of the unit, in one call.
assert_show() {
	local said line
	said=$(${USER_MANAGER:+user_}systemctl show "$UNIT")
	for line; do
		grep -qxF -e "$line" <<<"$said" || fail "$(grep "^${line%%=*}=" <<<"$said"), not $line" || return 1
	done
}

assert_no_unit() { wait_for 2 no_unit "${1:-$UNIT}" || fail "the unit is there: $(systemctl status --no-pager "${1:-$UNIT}")"; }
no_unit() { [ "$(show LoadState "$1")" = not-found ]; }

# v2_file FILE: of the container's cgroup on the host.
v2_file() { host_cgroup_file pids "$1"; }

# assert_limits_of_unit MEMORY PIDS: the container's, and the unit's, which are those of its cgroup.
assert_limits_of_unit() {
	assert_limits "$@"
	assert_show "MemoryMax=$(v2_file memory.max)" "TasksMax=$(v2_file pids.max)"
}

# processes: the container's on the host: its init, which in VM mode is the VMM, and has a file server.
processes() {
	local pid
	pid=$(container_pid)
	{
		echo "$pid"
		[ "$MOAT_MODE" = container ] || pgrep -P "$pid" -x moat-fs
	} | sort -n
}

@test "systemd: a container is a scope in system.slice" {
	start_container
	assert_show ActiveState=active Slice=system.slice "ControlGroup=/system.slice/$UNIT" Delegate=yes Transient=yes \
		"Description=moat container $ID" MemoryAccounting=yes CollectMode=inactive-or-failed DefaultDependencies=no
	assert_match "$(cgroup_dir pids)" "/system.slice/$UNIT\$"
}

@test "systemd: the container's processes alone are in the scope once it is created" {
	create_container
	assert_eq "$(v2_file cgroup.procs | sort -n)" "$(processes)"
	moat start "$ID"
	assert_eq "$(v2_file cgroup.procs | sort -n)" "$(processes)"
	# The pids of a guest are its own.
	[ "$MOAT_MODE" = vm ] || assert_eq "$(moat ps -f json "$ID" | jq -c .)" "[$(container_pid)]"
}

@test "systemd: slice:prefix:name" {
	config --arg path "$ID-a.slice:pre:$ID" '.linux.cgroupsPath = $path'
	start_container
	UNIT=pre-$ID.scope
	assert_show "Slice=$ID-a.slice" "ControlGroup=/$ID.slice/$ID-a.slice/$UNIT"
	assert_match "$(cgroup_dir pids)" "/$ID.slice/$ID-a.slice/$UNIT\$"
	moat delete -f "$ID"
	assert_no_unit
	systemctl stop "$ID.slice"
}

@test "systemd: no prefix, no slice, the root slice" {
	config --arg path "-.slice::$ID" '.linux.cgroupsPath = $path'
	start_container
	assert_eq "$(show ControlGroup "$ID.scope")" "/$ID.scope"
	moat delete -f "$ID"
	config --arg path "::$ID" '.linux.cgroupsPath = $path'
	start_container
	assert_eq "$(show ControlGroup "$ID.scope")" "/system.slice/$ID.scope"
}

@test "systemd: a slice as the container's unit" {
	config --arg path "::$ID-x.slice" '.linux.cgroupsPath = $path | .linux.resources.pids = {limit: 30}'
	start_container
	UNIT=$ID-x.slice
	assert_eq "$(cgroup_value pids.limit)" 30
	assert_show "ControlGroup=/$ID.slice/$ID-x.slice" "TasksMax=$(v2_file pids.max)"
	assert_match "$(cgroup_dir pids)" "/$ID.slice/$ID-x.slice\$"
	moat delete -f "$ID"
	assert_show ActiveState=inactive
	systemctl stop "$ID.slice"
}

@test "systemd: a cgroupsPath of another kind is refused" {
	config '.linux.cgroupsPath = "/a/b"'
	fails 1 'linux.cgroupsPath: .*slice:prefix:name' moat run -b "$BUNDLE" "$ID"
	config '.linux.cgroupsPath = "a.slice:../b:c"'
	fails 1 'linux.cgroupsPath' moat run -b "$BUNDLE" "$ID"
	config '.linux.cgroupsPath = "a/b.slice:b:c"'
	fails 1 'linux.cgroupsPath' moat run -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "systemd: limits are properties, and in force" {
	requires_cgroup_v2
	config '.linux.resources = {memory: {limit: 67108864, swap: 134217728, reservation: 33554432},
		cpu: {shares: 512, quota: 25500, period: 100000, cpus: "0", mems: "0"}, pids: {limit: 50},
		blockIO: {weight: 100}, unified: {"memory.high": "50331648"}}'
	start_container
	assert_limits_of_unit 67108864 50
	assert_show MemoryLow=33554432 MemorySwapMax=67108864 CPUWeight=59 CPUQuotaPerSecUSec=260ms AllowedCPUs=0 AllowedMemoryNodes=0 \
		IOWeight=910
	# In VM mode the guest's alone.
	assert_eq "$(cgroup_file memory memory.high)" 50331648
	assert_show "MemoryHigh=$(v2_file memory.high | sed s/max/infinity/)"
	assert_eq "$(v2_file memory.low)/$(v2_file memory.swap.max)" 33554432/67108864
	assert_eq "$(v2_file cpu.max)" "25500 100000"
	assert_eq "$(v2_file cpu.weight)/$(v2_file cpuset.cpus)" 59/0
	assert_eq "$(v2_file io.weight)" "default 910"
}

@test "systemd: cpu.idle is a weight of its own" {
	requires_cgroup_v2
	[ "$(systemctl --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')" -ge 252 ] || skip "systemd is older than 252"
	config '.linux.resources = {cpu: {idle: 1}}'
	start_container
	assert_eq "$(show CPUWeight)" idle
	systemctl daemon-reload
	assert_eq "$(v2_file cpu.idle)" 1
}

@test "systemd: limits outlive a daemon-reload" {
	requires_cgroup_v2
	config '.linux.resources = {memory: {limit: 67108864}, cpu: {quota: 20000, period: 100000}, pids: {limit: 50},
		devices: [{allow: false, access: "rwm"}]}'
	start_container
	systemctl daemon-reload
	assert_limits_of_unit 67108864 50
	assert_eq "$(v2_file cpu.max)" "20000 100000"
	in_exec 'echo x >/dev/null && head -c 4 /dev/zero | wc -c'
	assert_has "$output" 4
}

@test "systemd: device rules are told where they can be" {
	config '.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "b", major: 7, minor: 1, access: "r"},
		{allow: true, type: "c", major: 4, access: "rw"}]'
	start_container
	assert_show DevicePolicy=strict "DeviceAllow=/dev/block/7:1 r" "DeviceAllow=char-4 rw" "DeviceAllow=/dev/char/1:3 rwm"
	moat delete -f "$ID"
	config '.linux.resources.devices = [{allow: true, access: "rwm"}]'
	start_container
	assert_show DevicePolicy=auto
	assert_eq "$(show DeviceAllow)" ""
}

@test "systemd: annotations set properties" {
	config '.annotations = {"org.systemd.property.Description": "'"'a name'"'", "org.systemd.property.TimeoutStopSec": "uint64 77",
		"org.systemd.property.CollectMode": "\"inactive\"", "org.systemd.property.Documentation": "['"'man:a(1)', 'man:b(1)'"']",
		"org.systemd.property.SendSIGHUP": "true", "org.systemd.property.TasksMax": "uint64 33"}'
	start_container
	assert_show "Description=a name" "TimeoutStopUSec=1min 17s" CollectMode=inactive SendSIGHUP=yes TasksMax=33
	assert_has "$(show Documentation)" "man:b(1)"
}

@test "systemd: a bad annotation is named, and so is one that systemd doesn't take" {
	config '.annotations = {"org.systemd.property.TasksMax": "many"}'
	fails 1 'org.systemd.property.TasksMax' moat run -b "$BUNDLE" "$ID"
	config '.annotations = {"org.systemd.property.Tasks-Max": "1"}'
	fails 1 'org.systemd.property.Tasks-Max' moat run -b "$BUNDLE" "$ID"
	config '.annotations = {"org.systemd.property.NoSuchThing": "true"}'
	fails 1 'NoSuchThing' moat run -b "$BUNDLE" "$ID"
	assert_nothing_left
	assert_no_unit
}

@test "systemd: update changes properties and files" {
	requires_cgroup_v2
	config '.linux.resources = {memory: {limit: 67108864}, cpu: {quota: 20000, period: 50000, shares: 512}, pids: {limit: 50}}'
	start_container
	bare_moat update --memory 41943040 --memory-reservation 20971520 --cpu-quota 33333 --cpu-share 1024 --pids-limit 20 \
		--cpuset-cpus 0 "$ID"
	assert_limits_of_unit 41943040 20
	assert_show MemoryLow=20971520 AllowedCPUs=0 CPUWeight=100 CPUQuotaPerSecUSec=670ms
	assert_eq "$(v2_file memory.low)" 20971520
	# In VM mode the guest's. The memory of a VM is told to systemd last, which then writes its own quota to the unit's cpu.max.
	assert_eq "$(cgroup_file cpu cpu.max)/$(cgroup_file cpu cpu.weight)" "33333 50000/100"
	systemctl daemon-reload
	assert_limits_of_unit 41943040 20
}

@test "systemd: an update that fails half-way changes neither properties nor files" {
	requires_cgroup_v2
	config '.linux.resources = {memory: {limit: 67108864}, cpu: {quota: 25500, period: 100000}, pids: {limit: 50}}'
	start_container
	echo '{"memory": {"limit": 50331648}, "cpu": {"quota": 50000}, "pids": {"limit": 20}, "unified": {"memory.high": "nonsense"}}' >"$T/limits"
	fails 1 'memory.high' moat update -r "$T/limits" "$ID"
	assert_limits_of_unit 67108864 50
	assert_show CPUQuotaPerSecUSec=260ms
	assert_eq "$(v2_file cpu.max)" "25500 100000"
}

@test "systemd: update of the devices" {
	config '.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "b", major: 7, minor: 1, access: "r"}]'
	start_container
	echo '{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 7, "minor": 2, "access": "r"}]}' |
		moat update -r - "$ID"
	assert_has "$(show DeviceAllow)" "/dev/block/7:2 r"
	refute_has "$(show DeviceAllow)" "/dev/block/7:1 r"
}

@test "systemd: delete removes the unit, of the living and of the dead" {
	start_container
	moat delete -f "$ID"
	assert_no_unit
	create_container
	moat delete "$ID"
	assert_no_unit
	set_args true
	start_container
	wait_for 5 has_status stopped
	moat delete "$ID"
	assert_no_unit
}

@test "systemd: run removes the unit, and the name is free again at once" {
	set_args true
	for _ in 1 2 3; do
		attempt moat run -b "$BUNDLE" "$ID"
		assert_status 0
		assert_eq "$(show LoadState)" not-found
	done
}

@test "systemd: an orphan in the container goes with the unit" {
	set_args sh -c 'setsid sleep 1000 & exec sleep 1000'
	start_container
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
	assert_no_unit
}

@test "systemd: the verbs go by the record, not by the command line" {
	start_container
	attempt bare_moat exec "$ID" cat /proc/self/cgroup
	assert_status 0
	bare_moat pause "$ID"
	assert_eq "$(v2_file cgroup.freeze)" 1
	assert_eq "$(bare_moat state "$ID" | jq -r .status)" paused
	bare_moat resume "$ID"
	bare_moat events --stats "$ID" | jq -e .data.pids
	bare_moat kill "$ID" KILL
	wait_for 5 has_status stopped
	bare_moat delete "$ID"
	assert_no_unit
	# And a container of the other driver isn't systemd's.
	bare_moat run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1
	attempt moat update --pids-limit 20 "$ID"
	assert_status 0
	moat delete -f "$ID"
}

@test "systemd: exec is in the scope" {
	start_container
	spawn moat exec "$ID" sleep 1000 >/dev/null 2>&1
	wait_for 5 two_processes
	# A VM is in it as a whole.
	[ "$MOAT_MODE" = vm ] || assert_match "$(show TasksCurrent)" '^2$'
}
two_processes() {
	case $MOAT_MODE in
		vm) [ "$(moat ps -f json "$ID" | jq length)" -eq 2 ] ;;
		*) [ "$(v2_file cgroup.procs | wc -l)" -eq 2 ] ;;
	esac
}

@test "systemd: a unit that is there already is left alone" {
	spawn systemd-run --quiet --scope --unit="$UNIT" sleep 1000 >/dev/null 2>&1
	wait_for 5 is_active
	fails 1 "$UNIT" moat run -b "$BUNDLE" "$ID"
	assert_eq "$(show ActiveState)" active
	systemctl stop "$UNIT"
	set_args true
	attempt moat run -b "$BUNDLE" "$ID"
	assert_status 0
}
is_active() { [ "$(show ActiveState)" = active ]; }

@test "systemd: a unit that has failed makes room" {
	attempt systemd-run --quiet --scope --unit="$UNIT" -p RuntimeMaxSec=1 sleep 20
	wait_for 5 is_failed
	set_args true
	attempt moat run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_no_unit
}
is_failed() { [ "$(show ActiveState)" = failed ]; }

# Those around the unit's start; faults.bats has them all.
steps='cgroup sources spawn join namespaces settle publish'

@test "systemd: a step of create that fails leaves no unit" {
	requires_test_hooks
	local step
	for step in $steps; do
		MOAT_FAIL_STEP=$step attempt moat create -b "$BUNDLE" "$ID"
		assert_status 1
		assert_no_unit
		assert_nothing_left
	done
}

@test "systemd: kill -9 of moat at a step, then delete -f, leaves no unit" {
	requires_test_hooks
	local step
	for step in $steps; do
		MOAT_KILL_STEP=$step attempt moat create -b "$BUNDLE" "$ID"
		bare_moat delete -f "$ID"
		assert_no_unit
		assert_nothing_left
	done
}

@test "systemd: kill -9 of moat at any time, then delete -f, leaves no unit" {
	local i pid
	for i in $(rounds 10); do
		# shellcheck disable=SC2046
		$(moat_command) run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1 3>&- 4>&- &
		pid=$!
		sleep "0.$((i % 10))"
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
		moat delete -f "$ID"
		assert_no_unit
		assert_nothing_left
	done
}

@test "systemd: a limit that can't be had leaves no unit" {
	requires_cgroup_v2
	config '.linux.resources = {unified: {"memory.max": "nonsense"}}'
	fails 1 'memory.max' moat run -b "$BUNDLE" "$ID"
	assert_no_unit
	assert_nothing_left
}

# without_socket COMMAND...: in a mount namespace where systemd's own socket can't be had.
without_socket() {
	unshare --mount --propagation private sh -c 'mount --bind /dev/null /run/systemd/private && exec "$@"' sh "$@"
}

@test "systemd: without the manager's socket it is the bus" {
	set_args true
	attempt without_socket timeout $((60 * PATIENCE)) $(moat_command) run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_no_unit
}

@test "systemd: without any way to systemd the error says so" {
	export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$T/no-bus
	fails 1 'start the unit .*systemd.*--cgroup-manager cgroupfs' without_socket timeout $((60 * PATIENCE)) $(moat_command) run -b "$BUNDLE" "$ID"
	assert_nothing_left
	unset DBUS_SYSTEM_BUS_ADDRESS
	# What can't be stopped now can be stopped later.
	start_container
	export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$T/no-bus
	fails 1 'stop the unit .*systemd' without_socket timeout $((60 * PATIENCE)) $(moat_command) delete -f "$ID"
	unset DBUS_SYSTEM_BUS_ADDRESS
	moat delete -f "$ID"
	assert_no_unit
}

# ---- the user's manager ----

# as_user COMMAND...: as nobody, who has a manager while the test runs; where the directory that the
# manager's start mounts is in view.
as_user() {
	nsenter --target 1 --mount "${KVM[@]}" setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all env -i PATH="$PATH" XDG_RUNTIME_DIR=/run/user/65534 "$@"
}
user_systemctl() { as_user systemctl --user "$@"; }

start_user_manager() {
	requires_cgroup_v2
	systemctl start user@65534.service || skip "host gives nobody no systemd"
	copy_moat
	USER_MANAGER=1
	ROOT=$T/user-root
	moat() { as_user timeout $((60 * PATIENCE)) "$T/moat" --root "$ROOT" $(mode_flag) "$@" 3>&- 4>&-; }
	chown_rootfs 65534:65534
	chown 65534:65534 "$BUNDLE" "$BUNDLE/config.json"
	mkdir "$ROOT"
	chown 65534:65534 "$ROOT"
	config '.linux.uidMappings = [{containerID: 0, hostID: 65534, size: 1}] | .linux.gidMappings = .linux.uidMappings
		| .linux.namespaces |= map(select(.type != "network"))
		| .linux.namespaces += if any(.linux.namespaces[]; .type == "user") then [] else [{type: "user"}] end
		| .linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}}
		| .mounts |= map(select(.type != "sysfs" and .type != "cgroup") | if .type == "devpts" then .options |= map(select(. != "gid=5")) else . end)'
	chmod 644 "$BUNDLE/config.json"
}

@test "systemd: an ordinary user's container is a scope of the user's manager" {
	start_user_manager
	set_args sleep 1000
	attempt moat --systemd-cgroup run -d -b "$BUNDLE" "$ID"
	assert_status 0
	is_of_mode "$ID"
	local dir
	dir=$(cgroup_dir memory)
	assert_match "$dir" "/user@65534.service/user.slice/$UNIT\$"
	assert_limits_of_unit 67108864 50
	attempt moat exec "$ID" true
	assert_status 0
	moat update --pids-limit 20 "$ID"
	assert_limits_of_unit 67108864 20
	moat pause "$ID"
	moat resume "$ID"
	moat delete -f "$ID"
	[ ! -e "$dir" ]
	assert_eq "$(user_systemctl show --value -p LoadState "$UNIT")" not-found
	systemctl stop user@65534.service
}

@test "systemd: an ordinary user without a manager gets a clear error" {
	start_user_manager
	systemctl stop user@65534.service
	fails 1 "the user's systemd" moat --systemd-cgroup run -b "$BUNDLE" "$ID"
}
