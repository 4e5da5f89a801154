# linux.cgroupsPath and linux.resources: written, and felt by the container.

load lib

@test "cgroups: cgroupsPath says where, below the mount's root" {
	requires_controller pids
	config --arg path "/$ID-parent/child" '.linux.cgroupsPath = $path'
	start_container
	assert_match "$(cgroup_dir pids)" "/$ID-parent/child\$"
	moat delete -f "$ID"
	[ ! -e "$(cgroup_root)/$ID-parent/child" ]
	# The parent was made along with it and may stay; nothing else of the test does.
	find /sys/fs/cgroup -depth -type d -name "$ID-parent" -exec rmdir {} +
}

@test "cgroups: a relative cgroupsPath" {
	requires_controller pids
	config --arg path "$ID-relative" '.linux.cgroupsPath = $path'
	start_container
	assert_match "$(cgroup_dir pids)" "/$ID-relative\$"
}

@test "cgroups: a cgroupsPath with .. stays below the root" {
	requires_controller pids
	config --arg path "/../../$ID-up" '.linux.cgroupsPath = $path'
	attempt create_container
	[ "$status" -ne 0 ] || [ -d "$(cgroup_dir pids)" ]
	[ ! -e "/sys/fs/$ID-up" ]
	[ ! -e "/sys/$ID-up" ]
}

@test "cgroups: the container is in all v1 hierarchies, or in the unified one" {
	start_container
	local pid line
	pid=$(container_pid)
	while read -r line; do
		case ${line#*:} in
			# An empty unified hierarchy has nothing to offer.
			:*) [ "$CGROUPS" = v1 ] || assert_has "$line" "$ID" ;;
			name=*) ;;
			*) assert_has "$line" "$ID" ;;
		esac
	done <"/proc/$pid/cgroup"
}

@test "cgroups: memory limit, reservation and swap" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864, reservation: 33554432, swap: 134217728}'
	start_container
	assert_eq "$(cgroup_value memory.limit)" 67108864
	assert_eq "$(cgroup_value memory.reservation)" 33554432
	assert_eq "$(cgroup_value memory.swap)" 134217728
}

@test "cgroups: memory swappiness and the oom killer, on v1" {
	requires_cgroup_v1
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864, swappiness: 30, disableOOMKiller: true}'
	start_container
	assert_eq "$(cgroup_file memory memory.swappiness)" 30
	assert_match "$(cgroup_file memory memory.oom_control)" 'oom_kill_disable 1'
}

@test "cgroups: memory of the kernel, which is no limit any more, is warned of" {
	requires_moat "a warning for a limit that has no effect"
	requires_cgroup_v1
	requires_controller memory
	config '.linux.resources.memory = {kernel: 8388608}'
	start_container
	[ "$(cgroup_file memory memory.kmem.limit_in_bytes)" = 8388608 ] ||
		assert_has "$(<"$T/$ID.err")" "memory.kmem.limit_in_bytes: this kernel has no such limit"
}

@test "cgroups: memory of TCP buffers, on v1" {
	requires_moat "kernelTCP"
	requires_cgroup_v1
	requires_controller memory
	config '.linux.resources.memory = {kernelTCP: 8388608}'
	start_container
	assert_eq "$(cgroup_file memory memory.kmem.tcp.limit_in_bytes)" 8388608
}

@test "cgroups: useHierarchy, on v1" {
	requires_cgroup_v1
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864, useHierarchy: true}'
	start_container
	assert_eq "$(cgroup_file memory memory.use_hierarchy)" 1
}

@test "cgroups: memory without limits is -1, and swap may be unlimited" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 67108864, swap: -1}'
	start_container
	assert_eq "$(cgroup_value memory.limit)" 67108864
	[ "$(cgroup_value memory.swap)" = -1 ] || [ "$(cgroup_value memory.swap)" -gt $((1 << 60)) ]
}

@test "cgroups: a program that takes more memory than its limit is killed" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 16777216, swap: 16777216}'
	run_container 'probe touch 60000000; echo $?'
	refute_has "$output" touched
	assert_has "$output" 137
}

@test "cgroups: the first process killed for want of memory is 137" {
	requires_controller memory
	config '.linux.resources.memory = {limit: 16777216, swap: 16777216}'
	set_args probe touch 60000000
	attempt moat run -b "$BUNDLE" "$ID"
	assert_status 137
}

@test "cgroups: a limit of 512 KiB still runs true" {
	requires_moat "a set-up outside of the memory limit"
	requires_controller memory
	config '.linux.resources.memory = {limit: 524288} | .process.args = ["true"]'
	in_container
}

@test "cgroups: cpu quota, period and shares" {
	requires_controller cpu
	config '.linux.resources.cpu = {quota: 25000, period: 50000, shares: 512}'
	start_container
	assert_eq "$(cgroup_value cpu.quota)/$(cgroup_value cpu.period)" 25000/50000
	assert_shares 512
}

@test "cgroups: cpu quota alone, and -1" {
	requires_controller cpu
	config '.linux.resources.cpu = {quota: 30000}'
	start_container
	assert_eq "$(cgroup_value cpu.quota)/$(cgroup_value cpu.period)" 30000/100000
	moat delete -f "$ID"
	config '.linux.resources.cpu = {quota: -1}'
	start_container
	assert_eq "$(cgroup_value cpu.quota)" -1
}

@test "cgroups: cpu burst and idle" {
	requires_moat "cpu burst and idle"
	requires_controller cpu
	config '.linux.resources.cpu = {quota: 30000, period: 100000, burst: 10000, idle: 1}'
	start_container
	assert_eq "$(cgroup_value cpu.burst)" 10000
	assert_eq "$(cgroup_value cpu.idle)" 1
}

@test "cgroups: real-time runtime and period, on v1" {
	requires_cgroup_v1
	requires_controller cpu
	requires_path /sys/fs/cgroup/cpu/cpu.rt_runtime_us "real-time group scheduling"
	config '.linux.resources.cpu = {realtimePeriod: 900000}'
	start_container
	assert_eq "$(cgroup_file cpu cpu.rt_period_us)" 900000
}

@test "cgroups: cpuset" {
	requires_controller cpuset
	config '.linux.resources.cpu = {cpus: "0", mems: "0"}'
	start_container
	assert_eq "$(cgroup_value cpu.cpus)" 0
	assert_eq "$(cgroup_value cpu.mems)" 0
	in_exec 'grep Cpus_allowed_list /proc/self/status; nproc'
	assert_match "$output" 'Cpus_allowed_list:.0'$'\n''1$'
}

@test "cgroups: without cpuset in the spec all CPUs of the parent are there" {
	in_container 'nproc'
	assert_eq "$output" "$(nproc)"
}

@test "cgroups: pids limit holds" {
	requires_controller pids
	config '.linux.resources.pids = {limit: 5}'
	run_container 'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null
		for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait'
	assert_match "$output" '^5'
	assert_match "$stderr" "can't fork|Resource temporarily unavailable"
}

@test "cgroups: pids limits of -1 and 0 are none" {
	requires_controller pids
	local limit
	for limit in -1 0; do
		config --argjson limit "$limit" '.linux.resources.pids = {limit: $limit}'
		start_container
		assert_eq "$(cgroup_value pids.limit)" -1
		moat delete -f "$ID"
	done
}

@test "cgroups: without a cgroup manager limits are refused, but not device rules" {
	requires_moat "--cgroup-manager"
	local limit limits=('pids: {limit: 100}' 'memory: {limit: 67108864}' 'cpu: {shares: 100}')
	# A guest keeps what is its own alone.
	[ "$MOAT_MODE" = vm ] || limits+=('unified: {"memory.high": "1"}')
	set_args true
	config '.linux.resources = {devices: [{allow: false, access: "rwm"}]}'
	attempt moat --cgroup-manager disabled run -b "$BUNDLE" "$ID"
	assert_status 0
	for limit in "${limits[@]}"; do
		config ".linux.resources = {$limit}"
		fails 1 "linux.resources.${limit%%:*}: " moat --cgroup-manager disabled create -b "$BUNDLE" "$ID"
	done
}

@test "cgroups: blkio weight and throttles" {
	requires_controller blkio
	local device
	device=$(lsblk -dnro MAJ:MIN,TYPE 2>/dev/null | awk '$2 == "disk" {print $1; exit}')
	[ "$device" ] || skip "host has no disk"
	config --argjson major "${device%:*}" --argjson minor "${device#*:}" '{major: $major, minor: $minor} as $d
		| .linux.resources.blockIO = {
			throttleReadBpsDevice: [$d + {rate: 1048576}], throttleWriteBpsDevice: [$d + {rate: 2097152}],
			throttleReadIOPSDevice: [$d + {rate: 300}], throttleWriteIOPSDevice: [$d + {rate: 400}]}'
	start_container
	case $CGROUPS in
		v1)
			assert_eq "$(cgroup_file blkio blkio.throttle.read_bps_device)" "$device 1048576"
			assert_eq "$(cgroup_file blkio blkio.throttle.write_bps_device)" "$device 2097152"
			assert_eq "$(cgroup_file blkio blkio.throttle.read_iops_device)" "$device 300"
			assert_eq "$(cgroup_file blkio blkio.throttle.write_iops_device)" "$device 400"
			;;
		v2) assert_eq "$(cgroup_file io io.max)" "$device rbps=1048576 wbps=2097152 riops=300 wiops=400" ;;
	esac
}

@test "cgroups: blkio weight, by whichever scheduler offers it" {
	requires_controller blkio
	start_container
	[ -n "$(weight_file)" ] || skip "host's block io controller has no weights"
	moat delete -f "$ID"
	config '.linux.resources.blockIO = {weight: 350}'
	start_container
	assert_weight 350
}

@test "cgroups: network classID and priorities, on v1" {
	requires_cgroup_v1
	requires_controller net_cls net_prio
	config '.linux.resources.network = {classID: 1048577, priorities: [{name: "lo", priority: 7}]}'
	start_container
	assert_eq "$(cgroup_file net_cls net_cls.classid)" 1048577
	assert_has "$(cgroup_file net_prio net_prio.ifpriomap)" 'lo 7'
}

@test "cgroups: hugepage limits" {
	requires_controller hugetlb
	local size
	size=$(find /sys/kernel/mm/hugepages -name 'hugepages-2048kB' | head -n 1)
	[ "$size" ] || skip "host has no 2 MB pages"
	config '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}]'
	start_container
	if [ -e "$(cgroup_dir hugetlb)/hugetlb.2MB.max" ]; then
		assert_eq "$(cgroup_file hugetlb hugetlb.2MB.max)" 4194304
		[ "$RUNTIME" != moat ] || assert_eq "$(cgroup_file hugetlb hugetlb.2MB.rsvd.max)" 4194304
	else
		assert_eq "$(cgroup_file hugetlb hugetlb.2MB.limit_in_bytes)" 4194304
	fi
}

@test "cgroups: a hugepage limit holds" {
	requires_controller hugetlb
	requires_test_vm "the number of huge pages"
	if [ "$MOAT_MODE" = vm ]; then
		config '.linux.sysctl["vm.nr_hugepages"] = "8"'
	else
		echo 8 >/proc/sys/vm/nr_hugepages
		[ "$(</proc/sys/vm/nr_hugepages)" -ge 4 ] || fail "no huge pages to be had"
	fi
	config '.linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 4194304}]
		| .mounts += [{destination: "/huge", type: "hugetlbfs", source: "hugetlbfs", options: ["pagesize=2M"]}]'
	run_container 'fallocate -l 4194304 /huge/a && echo two; fallocate -l 4194304 /huge/b || echo no more'
	echo 0 >/proc/sys/vm/nr_hugepages
	assert_eq "$output" $'two\nno more'
}

@test "cgroups: rdma limits" {
	requires_moat "rdma limits"
	requires_controller rdma
	local device
	device=$(find /sys/class/infiniband -mindepth 1 -printf '%f\n' 2>/dev/null | head -n 1)
	[ "$device" ] || skip "host has no rdma device"
	config --arg device "$device" '.linux.resources.rdma = {($device): {hcaHandles: 3, hcaObjects: 100}}'
	start_container
	assert_has "$(cgroup_file rdma rdma.max)" "$device hca_handle=3 hca_object=100"
}

@test "cgroups: unified writes files of v2" {
	requires_cgroup_v2
	requires_controller memory pids
	config '.linux.resources.unified = {"memory.high": "83886080", "pids.max": "77"}'
	start_container
	assert_eq "$(cgroup_file memory memory.high)" 83886080
	assert_eq "$(cgroup_value pids.limit)" 77
}

@test "cgroups: unified with a file that is none, or a path, is refused" {
	requires_cgroup_v2
	local key
	for key in no.such.file ../cgroup.procs sub/memory.max cgroup.procs/x; do
		config --arg key "$key" '.linux.resources.unified = {($key): "1"}'
		fails 1 'unified|no.such|invalid' create_container
	done
	assert_nothing_left
}

@test "cgroups: unified on a host with v1 is refused" {
	requires_cgroup_v1
	config '.linux.resources.unified = {"memory.high": "83886080"}'
	fails 1 'unified|v2' create_container
	assert_nothing_left
}

@test "cgroups: a limit whose controller the host lacks is an error that names both" {
	requires_moat "a message that names the controller"
	local key value
	for key in hugetlb:hugepageLimits net_cls:network rdma:rdma; do
		! has_controller "${key%:*}" || continue
		case $key in
			hugetlb:*) value='[{"pageSize": "2MB", "limit": 2097152}]' ;;
			net_cls:*) value='{"classID": 1}' ;;
			rdma:*) value='{"mlx5_0": {"hcaHandles": 3}}' ;;
		esac
		config --arg key "${key#*:}" --argjson value "$value" '.linux.resources = {($key): $value}'
		fails 1 "${key%:*}" create_container
		assert_has "$stderr" "${key#*:}"
	done
	assert_nothing_left
}

@test "cgroups: what the kernel refuses names the file, and leaves nothing" {
	requires_controller cpuset
	config '.linux.resources.cpu = {cpus: "4000"}'
	fails 1 'cpuset.cpus' create_container
	assert_nothing_left
	config '.linux.resources.cpu = {period: 1}'
	fails 1 'cpu.cfs_period_us|cpu.max|period' create_container
	assert_nothing_left
}

@test "cgroups: limits hold from the start: the program never runs without" {
	requires_controller pids memory
	config '.linux.resources.pids = {limit: 9} | .linux.resources.memory = {limit: 33554432}'
	create_container
	assert_eq "$(cgroup_value pids.limit)" 9
	assert_eq "$(cgroup_value memory.limit)" 33554432
}

@test "cgroups: several containers below one parent" {
	requires_controller pids
	local i
	for i in a b c; do
		config --arg path "/$ID-parent/$i" '.linux.cgroupsPath = $path'
		ID=$ID$i start_container
	done
	for i in a b c; do
		moat delete -f "$ID$i"
	done
	find /sys/fs/cgroup -depth -type d -name "$ID-parent" -exec rmdir {} +
}

@test "cgroups: two containers may not share one cgroup" {
	requires_moat "a check for a used cgroup"
	config --arg path "/$ID-shared" '.linux.cgroupsPath = $path'
	start_container
	ID=${ID}b fails 1 'cgroup' create_container
	assert_eq "$(container_status)" running
}

@test "cgroups: a cgroup that exists and is empty is used" {
	requires_controller pids
	mkdir "$(cgroup_root)/$ID-there"
	config --arg path "/$ID-there" '.linux.cgroupsPath = $path'
	start_container
	assert_match "$(cgroup_dir pids)" "/$ID-there\$"
	moat delete -f "$ID"
	rmdir "$(cgroup_root)/$ID-there" 2>/dev/null || :
}

@test "cgroups: the plain v1 layout works as well as the hybrid one" {
	requires_cgroup_v1
	mountpoint -q /sys/fs/cgroup/unified || skip "host is not hybrid"
	set_args sh -c 'echo works'
	# shellcheck disable=SC2046
	attempt unshare --mount --propagation private sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh \
		$(moat_command) run -b "$BUNDLE" "$ID"
	assert_status 0
	assert_eq "$output" works
}
