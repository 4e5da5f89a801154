# update: limits of a running container, by flags and by JSON.

load lib

@test "update: memory flags" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864, swap: 134217728, reservation: 33554432}'
	start_container
	moat update --memory 50331648 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 50331648
	# What is left as it was is v1's sum of both, and v2's swap alone.
	case $CGROUPS in
		v1) assert_eq "$(cgroup_value memory.swap)" 134217728 ;;
		v2) assert_eq "$(cgroup_file memory memory.swap.max)" 67108864 ;;
	esac
	moat update --memory-reservation 25165824 "$ID"
	assert_eq "$(cgroup_value memory.reservation)" 25165824
	assert_eq "$(cgroup_value memory.limit)" 50331648
	moat update --memory-swap 100663296 "$ID"
	assert_eq "$(cgroup_value memory.swap)" 100663296
}

@test "update: memory and swap together, up and down past each other" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 33554432, swap: 33554432}'
	# A VM can't grow.
	[ "$MOAT_MODE" = container ] || config '.linux.resources.memory = {limit: 67108864, swap: 67108864}'
	start_container
	moat update --memory 67108864 --memory-swap 67108864 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 67108864
	assert_eq "$(cgroup_value memory.swap)" 67108864
	moat update --memory 33554432 --memory-swap 50331648 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 33554432
	assert_eq "$(cgroup_value memory.swap)" 50331648
	moat update --memory 67108864 --memory-swap -1 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 67108864
	is_unlimited memory.swap
}

# is_unlimited KEY: v1 says it with a huge number.
is_unlimited() {
	local value
	value=$(cgroup_value "$1")
	[ "$value" = -1 ] || [ "$value" -gt $((1 << 60)) ] || fail "$1 is $value"
}

@test "update: --memory -1 removes the limit" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864}'
	start_container
	moat update --memory -1 "$ID"
	is_unlimited memory.limit
}

@test "update: sizes may have a unit" {
	requires_controller memory
	start_container
	moat update --memory 64M --memory-swap 1G "$ID"
	assert_eq "$(cgroup_value memory.limit)" 67108864
	assert_eq "$(cgroup_value memory.swap)" 1073741824
	moat update --memory 2048k "$ID"
	assert_eq "$(cgroup_value memory.limit)" 2097152
}

@test "update: cpu quota and period" {
	requires_controller cpu
	config '.linux.resources.cpu = {quota: 50000, period: 100000}'
	start_container
	moat update --cpu-quota 30000 "$ID"
	assert_eq "$(cgroup_value cpu.quota)/$(cgroup_value cpu.period)" 30000/100000
	moat update --cpu-period 50000 "$ID"
	assert_eq "$(cgroup_value cpu.quota)/$(cgroup_value cpu.period)" 30000/50000
	moat update --cpu-period 200000 --cpu-quota 100000 "$ID"
	assert_eq "$(cgroup_value cpu.quota)/$(cgroup_value cpu.period)" 100000/200000
	moat update --cpu-quota -1 "$ID"
	assert_eq "$(cgroup_value cpu.quota)" -1
}

@test "update: cpu shares" {
	requires_controller cpu
	start_container
	moat update --cpu-share 512 "$ID"
	assert_shares 512
	moat update --cpu-share 2048 "$ID"
	assert_shares 2048
}

@test "update: cpu burst and idle" {
	requires_moat "--cpu-burst and --cpu-idle"
	requires_controller cpu
	config '.linux.resources.cpu = {quota: 50000, period: 100000}'
	start_container
	requires_path "$(cgroup_dir cpu)/cpu.idle" cpu.idle
	moat update --cpu-burst 20000 "$ID"
	assert_eq "$(cgroup_value cpu.burst)" 20000
	moat update --cpu-idle 1 "$ID"
	assert_eq "$(cgroup_value cpu.idle)" 1
	moat update --cpu-idle 0 "$ID"
	assert_eq "$(cgroup_value cpu.idle)" 0
}

@test "update: cpuset" {
	requires_controller cpuset
	[ "$(nproc)" -gt 1 ] || skip "host has one CPU"
	start_container
	moat update --cpuset-cpus 1 "$ID"
	assert_eq "$(cgroup_value cpu.cpus)" 1
	moat update --cpuset-cpus 0-1 --cpuset-mems 0 "$ID"
	assert_eq "$(cgroup_value cpu.cpus)" 0-1
	assert_eq "$(cgroup_value cpu.mems)" 0
}

@test "update: real-time flags need cgroup v1 with real-time groups" {
	requires_cgroup_v1
	requires_controller cpu
	start_container
	requires_path "$(cgroup_dir cpu)/cpu.rt_period_us" "real-time group scheduling"
	moat update --cpu-rt-period 900000 "$ID"
	assert_eq "$(cgroup_file cpu cpu.rt_period_us)" 900000
	# A group may have run time only if its parent has.
	attempt moat update --cpu-rt-runtime 1000 "$ID"
	[ "$status" -ne 0 ] || assert_eq "$(cgroup_file cpu cpu.rt_runtime_us)" 1000
}

@test "update: pids limit, and back to none" {
	requires_controller pids
	config '.linux.resources.pids = {limit: 20}'
	start_container
	moat update --pids-limit 10 "$ID"
	assert_eq "$(cgroup_value pids.limit)" 10
	moat update --pids-limit -1 "$ID"
	assert_eq "$(cgroup_value pids.limit)" -1
}

@test "update: blkio weight" {
	requires_controller blkio
	start_container
	[ -n "$(weight_file)" ] || skip "host's block io controller has no weights"
	moat update --blkio-weight 300 "$ID"
	assert_weight 300
}

@test "update: JSON from a file and from stdin" {
	requires_controller memory pids
	start_container
	echo '{"memory": {"limit": 67108864, "reservation": 33554432}, "pids": {"limit": 30},
		"cpu": {"quota": 40000, "period": 80000}}' >"$T/resources.json"
	moat update --resources "$T/resources.json" "$ID"
	assert_eq "$(cgroup_value memory.limit)" 67108864
	assert_eq "$(cgroup_value memory.reservation)" 33554432
	assert_eq "$(cgroup_value pids.limit)" 30
	assert_eq "$(cgroup_value cpu.quota)/$(cgroup_value cpu.period)" 40000/80000
	echo '{"memory": {"limit": 33554432}}' | moat update -r - "$ID"
	assert_eq "$(cgroup_value memory.limit)" 33554432
	assert_eq "$(cgroup_value pids.limit)" 30
}

@test "update: JSON that is broken or of wrong type changes nothing" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864}'
	start_container
	local text
	for text in '' '{' '[]' '{"memory": {"limit": "1"}}' '{"memory": {"limit": 33554432}, "pids": {"limit": true}}'; do
		attempt moat update -r - "$ID" <<<"$text"
		assert_status 1
		[ -n "$stderr" ] || fail "no message for $text"
		assert_eq "$(cgroup_value memory.limit)" 67108864
	done
	fails 1 'none' moat update -r "$T/none" "$ID"
}

@test "update: flags out of range or not numbers are refused and change nothing" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864}'
	start_container
	local flag
	for flag in "--memory many" "--memory 12Q" "--cpu-quota x" "--cpu-quota -7" "--pids-limit 1.5" "--cpu-share -5" \
		"--cpuset-cpus nonsense" "--blkio-weight 99999999" "--cpu-period 18446744073709551616"; do
		# shellcheck disable=SC2086
		attempt moat update $flag "$ID"
		[ "$status" -ne 0 ] || fail "accepted: $flag"
	done
	assert_eq "$(cgroup_value memory.limit)" 67108864
}

@test "update: what the kernel refuses is an error, and the container goes on" {
	requires_controller cpuset
	start_container
	attempt moat update --cpuset-cpus 9999 "$ID"
	assert_status 1
	assert_has "$stderr" cpuset.cpus
	assert_eq "$(container_status)" running
}

@test "update: one that fails half-way changes nothing" {
	requires_moat "an update that is whole"
	requires_controller memory cpu cpuset pids
	config '.linux.resources.memory = {limit: 67108864, swap: 134217728} | .linux.resources.pids = {limit: 50}
		| .linux.resources.cpu = {quota: 50000, period: 100000, shares: 512}'
	start_container
	local before keys=(memory.limit memory.swap pids.limit cpu.quota cpu.period cpu.cpus) key memory=200M
	# A VM can't grow.
	[ "$MOAT_MODE" = container ] || memory=48M
	before=$(for key in "${keys[@]}"; do cgroup_value "$key"; done)
	attempt moat update --memory "$memory" --memory-swap 300M --pids-limit 7 --cpu-quota 300000 --cpu-period 700000 --cpuset-cpus 99 "$ID"
	assert_status 1
	assert_has "$stderr" cpuset.cpus
	refute_has "$stderr" undone
	assert_eq "$(for key in "${keys[@]}"; do cgroup_value "$key"; done)" "$before" "limits"
	echo '{"devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}],
		"pids": {"limit": 9}, "cpu": {"cpus": "99"}}' >"$T/resources.json"
	before+=$(list_devices)
	fails 1 cpuset.cpus moat update -r "$T/resources.json" "$ID"
	assert_eq "$(for key in "${keys[@]}"; do cgroup_value "$key"; done)$(list_devices)" "$before" "limits"
}

list_devices() { [ "$CGROUPS" = v2 ] || cgroup_file devices devices.list; }

@test "update: a stopped or unknown container is an error" {
	fails 1 'does not exist' moat update --pids-limit 5 "${ID}no"
	set_args true
	start_container
	wait_for 5 has_status stopped
	fails 1 '' moat update --pids-limit 5 "$ID"
}

@test "update: a created and a paused container" {
	requires_controller pids freezer
	create_container
	moat update --pids-limit 33 "$ID"
	assert_eq "$(cgroup_value pids.limit)" 33
	moat start "$ID"
	moat pause "$ID"
	update_paused
	assert_eq "$(container_status)" paused
	moat resume "$ID"
	assert_eq "$(container_status)" running
}

# A guest that stands still can't be told.
update_paused() {
	if [ "$MOAT_MODE" = vm ]; then
		fails 1 'is paused' moat update --pids-limit 44 "$ID"
		return
	fi
	moat update --pids-limit 44 "$ID"
	assert_eq "$(cgroup_value pids.limit)" 44
}

@test "update: keeps the device rules" {
	config '.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 10, minor: 229, access: "r"}]'
	start_container
	moat update --pids-limit 33 "$ID"
	[ "$CGROUPS" = v2 ] || assert_has "$(cgroup_file devices devices.list)" "c 10:229 r"
	attempt moat exec "$ID" sh -c 'mknod /tmp/mem c 1 1; dd if=/tmp/mem of=/dev/null count=1'
	[ "$status" -ne 0 ]
}

@test "update: unified" {
	requires_moat "unified in update"
	requires_cgroup_v2
	start_container
	echo '{"unified": {"memory.high": "83886080"}}' | moat update -r - "$ID"
	assert_eq "$(cgroup_file memory memory.high)" 83886080
}

@test "update: checkBeforeUpdate refuses a limit below what is in use" {
	requires_moat "checkBeforeUpdate"
	requires_controller memory
	config '.process.args = ["sh", "-c", "head -c 9000000 /dev/zero >/dev/shm/x; echo ready; sleep 1000"]
		| .linux.resources.memory = {limit: 134217728}'
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	fails 1 'memory' moat update -r - "$ID" <<<'{"memory": {"limit": 4194304, "checkBeforeUpdate": true}}'
	assert_eq "$(cgroup_value memory.limit)" 134217728
	assert_eq "$(container_status)" running
}

@test "update: Intel RDT flags without the hardware are errors" {
	[ ! -d /sys/fs/resctrl/info ] || skip "host has resctrl"
	start_container
	attempt moat update --l3-cache-schema 'L3:0=f' "$ID"
	assert_status 1
	attempt moat update --mem-bw-schema 'MB:0=50' "$ID"
	assert_status 1
}
