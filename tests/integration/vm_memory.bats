# A microVM's memory: what the guest doesn't use is the host's; and its limits on the host.

load lib

setup() {
	set_up
	requires_vm "it has no memory of its own"
	requires_cgroup_v2
}

# vmm_rss_mib: how much of the guest's memory there is: nothing else that the VMM has mapped is of a tmpfs, but
# files of the root that the guest runs, as far as the root is on one.
vmm_rss_mib() { awk '/^RssShmem:/ { print int($2 / 1024) }' "/proc/$(container_pid)/status"; }

rss_is_above() { [ "$(vmm_rss_mib)" -gt "$1" ]; }
rss_is_below() { [ "$(vmm_rss_mib)" -lt "$1" ]; }

# host_limit_mib: of the VM as a whole.
host_limit_mib() { echo $(($(host_cgroup_file memory memory.max) >> 20)); }

guest_total_mib() { moat exec "$ID" sh -c "awk '/^MemTotal/ { print int(\$2 / 1024) }' /proc/meminfo"; }
total_is_below() { [ "$(guest_total_mib)" -lt "$1" ]; }

@test "vm memory: what the guest frees goes back to the host" {
	config '.linux.resources.memory = {limit: 402653184}'
	start_container
	local before
	before=$(vmm_rss_mib)
	[ "$before" -gt 10 ] || fail "the guest has $before MiB"
	in_exec 'probe touch 200000000'
	# The kernel reports free pages some seconds after.
	wait_for 3 rss_is_below $((before + 60)) || fail "$(vmm_rss_mib) MiB, $before before"
}

@test "vm memory: a guest that holds it has it" {
	config '.linux.resources.memory = {limit: 402653184} | .process.args = ["sh", "-c", "probe touch 200000000 & sleep 1000"]'
	start_container
	wait_for 5 rss_is_above 200
}

@test "vm memory: update moves the limit of the whole VM as well" {
	config '.linux.resources.memory = {limit: 402653184}'
	start_container
	local total
	total=$(guest_total_mib)
	# The container's, 64 MiB for its kernel, 3 parts in 128 for its pages, and 64 MiB for the VMM.
	assert_eq "$(host_limit_mib)" $((384 + 64 + 11 + 64))
	moat update --memory 200M "$ID"
	assert_eq "$(cgroup_value memory.limit)" $((200 << 20))
	assert_eq "$(host_limit_mib)" $((200 + 64 + 11 + 64))
	total_is_below $((total - 180))
	moat update --memory 300M "$ID"
	assert_eq "$(cgroup_value memory.limit)" $((300 << 20))
	assert_eq "$(host_limit_mib)" $((300 + 64 + 11 + 64))
	moat update --memory 384M "$ID"
	assert_eq "$(host_limit_mib)" $((384 + 64 + 11 + 64))
	assert_eq "$(guest_total_mib)" "$total"
	moat update --memory -1 "$ID"
	assert_eq "$(cgroup_value memory.limit)" -1
	assert_eq "$(host_cgroup_file memory memory.max)" max
}

@test "vm memory: a limit above what the VM was made for is an error, and changes nothing" {
	config '.linux.resources.memory = {limit: 134217728} | .linux.resources.pids = {limit: 50}'
	start_container
	# What is left of the last MiB is the container's, too.
	fails 1 'memory.limit: 134627329 is more than the 134627328 bytes that the VM was made for' \
		moat update --memory 134627329 --pids-limit 20 --cpu-share 500 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 134217728
	assert_eq "$(cgroup_value pids.limit)" 50
	assert_eq "$(host_limit_mib)" $((128 + 64 + 5 + 64))
	moat update --memory 128M "$ID"
}

@test "vm memory: what the guest refuses changes nothing on the host either" {
	config '.linux.resources.memory = {limit: 134217728}'
	start_container
	local before
	before=$(host_cgroup_file cpu cpu.weight)
	echo '{"cpu": {"shares": 500}, "memory": {"limit": 67108864}, "unified": {"memory.oom.group": "7"}}' >"$T/resources.json"
	fails 1 'memory.oom.group' moat update -r "$T/resources.json" "$ID"
	assert_eq "$(host_cgroup_file cpu cpu.weight)" "$before"
	assert_eq "$(host_limit_mib)" $((128 + 64 + 5 + 64))
	assert_eq "$(cgroup_value memory.limit)" 134217728
}

@test "vm memory: limits of the container's own, as files, are not the VM's" {
	config '.linux.resources.unified = {"memory.high": "83886080", "pids.max": "77"}'
	start_container
	assert_eq "$(cgroup_file memory memory.high)" 83886080
	assert_eq "$(cgroup_value pids.limit)" 77
	assert_eq "$(host_cgroup_file memory memory.high)" max
	assert_eq "$(host_cgroup_file pids pids.max)" max
}

@test "vm memory: a limit on processor time is the whole VM's, too; one above what its vCPUs can use is warned of" {
	config '.linux.resources.cpu = {quota: 50000, period: 100000}'
	start_container
	assert_eq "$(host_cgroup_file cpu cpu.max)" "50000 100000"
	attempt moat update --cpu-quota 30000 "$ID"
	assert_status 0
	assert_eq "$stderr" ''
	assert_eq "$(host_cgroup_file cpu cpu.max)" "30000 100000"
	attempt moat update --cpu-quota 100001 "$ID"
	assert_status 0
	assert_has "$stderr" "linux.resources.cpu.quota: more than the VM's 1 vCPUs can use"
	assert_eq "$(host_cgroup_file cpu cpu.max)" "100001 100000"
}
