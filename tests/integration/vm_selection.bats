# How VM mode is asked for: never may a bundle that shall be a microVM run as a plain container. (What
# VM mode itself does, all other files show with MOAT_MODE=vm.)

load lib

# boots_or_fails COMMAND...: it ends with an error that names the reason and leaves nothing, or what
# runs is another kernel.
boots_or_fails() {
	requires_moat "VM mode"
	set_args cat /proc/sys/kernel/random/boot_id
	attempt "$@"
	if [ "$status" -eq 0 ]; then
		[ "$output" != "$(</proc/sys/kernel/random/boot_id)" ] || fail "ran as a plain container"
	else
		[ "$MOAT_MODE" != vm ] || fail "did not boot: $stderr"
		assert_status 1
		assert_match "${stderr,,}" 'vm'
		assert_nothing_left
	fi
}

@test "vm selection: the global flag" {
	boots_or_fails "$MOAT" --root "$ROOT" --vm run -b "$BUNDLE" "$ID"
}

@test "vm selection: the flag of create and run" {
	boots_or_fails "$MOAT" --root "$ROOT" run --vm -b "$BUNDLE" "$ID"
	boots_or_fails "$MOAT" --root "$ROOT" create --vm -b "$BUNDLE" "$ID"
}

@test "vm selection: the name moat-vm" {
	ln -s "$MOAT" "$T/moat-vm"
	boots_or_fails "$T/moat-vm" --root "$ROOT" run -b "$BUNDLE" "$ID"
}

@test "vm selection: annotations" {
	local pair
	for pair in run.oci.handler=vm run.oci.handler=krun org.moat.vm=true; do
		config --arg key "${pair%=*}" --arg value "${pair#*=}" '.annotations = {($key): $value}'
		boots_or_fails moat run -b "$BUNDLE" "$ID"
	done
}

@test "vm selection: the spec's vm object" {
	config '.vm = {kernel: {path: "/no/such/kernel"}}'
	fails 1 'VM mode: guest kernel /no/such/kernel: ' moat run -b "$BUNDLE" "$ID"
}

# set_conf JSON: what moat takes for /etc/moat/moat.conf, of which others on this machine shall know nothing.
set_conf() {
	requires_moat "moat.conf"
	export MOAT_CONF=$T/moat.conf
	echo "$1" >"$MOAT_CONF"
}

# run_plainly FLAGS...: without --vm, whatever is under test.
run_plainly() { timeout --foreground -k 5 $((60 * PATIENCE)) "$MOAT" --root "$ROOT" "$@" run -b "$BUNDLE" "$ID"; }

@test "vm selection: moat.conf" {
	set_conf '{"mode": "vm"}'
	boots_or_fails run_plainly
}

@test "vm selection: org.moat.vm=false is stronger than moat.conf and the spec's vm object, --vm stronger than it" {
	set_conf '{"mode": "vm"}'
	config '.annotations = {"org.moat.vm": "false"} | .vm = {kernel: {path: "/no/such/kernel"}}'
	set_args cat /proc/sys/kernel/random/boot_id
	attempt run_plainly
	assert_status 0
	assert_eq "$output" "$(</proc/sys/kernel/random/boot_id)" "the kernel's boot"
	config 'del(.vm)'
	boots_or_fails run_plainly --vm
	config '.annotations["run.oci.handler"] = "vm"'
	boots_or_fails run_plainly
	config '.annotations = {"org.moat.vm": "no"}'
	fails 1 'config.json: annotation org.moat.vm: `no` is neither true nor false' run_plainly
}

@test "vm selection: moat.conf's kernel, its parameters, and the VM's size" {
	set_conf '{"mode": "vm", "vm": {"kernel": {"path": "/no/such/kernel"}}}'
	fails 1 'VM mode: guest kernel /no/such/kernel: ' run_plainly
	[ "$MOAT_MODE" = vm ] || skip "only with MOAT_MODE=vm a guest is sure to boot"
	set_conf '{"mode": "vm", "vm": {"kernel": {"parameters": ["moat.test=1"]}, "memory": 268435456, "vcpus": 1}}'
	in_container 'cat /proc/cmdline; nproc; sed -n "s/MemTotal: *//p" /proc/meminfo'
	assert_match "$output" ' moat\.test=1( .*)?'$'\n''1'$'\n''2[0-9]{5} kB'
	# The spec's own limit is stronger.
	config '.linux.resources.memory.limit = 134217728'
	in_container 'sed -n "s/MemTotal: *//p" /proc/meminfo'
	assert_match "$output" '^1[0-9]{5} kB'
}

# host_mib: the memory that this host has.
host_mib() { awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo; }

@test "vm selection: no more memory than the host has: a limit is an upper bound, hwConfig is not" {
	requires_moat "VM mode"
	local mib
	config '.linux.resources.memory.limit = 900000000000'
	set_args sed -n 's/MemTotal: *//p' /proc/meminfo
	attempt "$MOAT" --root "$ROOT" --debug run --vm -b "$BUNDLE" "$ID"
	[[ $stderr =~ 'plan: vm '[0-9]+' vCPUs, '([0-9]+)' MiB' ]] || fail "no size is told"
	mib=${BASH_REMATCH[1]}
	[ "$mib" -le "$(host_mib)" ] && [ "$mib" -ge $(($(host_mib) - 1)) ] || fail "made with $mib MiB"
	[ "$MOAT_MODE" != vm ] || assert_status 0
	config '.vm = {kernel: {path: "/no/such/kernel"}, hwConfig: {memory: 900000000000}}'
	fails 1 'config: vm\.hwConfig\.memory: 900000000000 bytes are more than the [0-9]+ that this host has' \
		"$MOAT" --root "$ROOT" run --vm -b "$BUNDLE" "$ID"
}

@test "vm selection: what the spec's vm object asks for and can't have is refused by its name" {
	requires_moat "VM mode"
	local i cases=(
		'.hypervisor.path = "/usr/bin/qemu"' "hypervisor\.path: /usr/bin/qemu can't be used"
		'.image = {path: "/disk.img", format: "raw"}' "image\.path: /disk\.img can't be used"
		'.hwConfig.deviceTree = "/boot/dtb"' "hwConfig\.deviceTree: devices of the host can't"
		'.hwConfig.dtdevs = ["/soc/uart"]' "hwConfig\.dtdevs: devices of the host can't"
		'.hwConfig.iomems = [{firstMFN: 65280, nrMFNs: 2}]' "hwConfig\.iomems: devices of the host can't"
		'.hwConfig.irqs = [11]' "hwConfig\.irqs: devices of the host can't"
		'.hwConfig.vcpus = 0' 'hwConfig\.vcpus: 0 is not in 1 to 64'
		'.hwConfig.vcpus = 65' 'hwConfig\.vcpus: 65 is not in 1 to 64'
		'.hwConfig.memory = 134217727' 'hwConfig\.memory: 134217727 bytes are not in'
		'.hwConfig.memory = 1099511627777' 'hwConfig\.memory: 1099511627777 bytes are not in'
	)
	for ((i = 0; i < ${#cases[@]}; i += 2)); do
		config ".vm = ({kernel: {path: \"/no/such/kernel\"}} | ${cases[i]})"
		fails 1 "config: vm\.${cases[i + 1]}" "$MOAT" --root "$ROOT" create --vm -b "$BUNDLE" "$ID"
		assert_nothing_left
	done
}

@test "vm selection: a wrong moat.conf is an error for create alone, which names file and field" {
	set_conf '{}'
	create_container
	set_conf '{"mode": "vm", "vm": {"memory": "1g"}}'
	ID=${ID}b fails 1 "moat.conf: vm.memory: expected an integer, found a string" create_container
	set_conf '{"mod": "vm"}'
	ID=${ID}b fails 1 "moat.conf: mod: is not known" create_container
	set_conf '{"mode": "container"}'
	chmod 666 "$MOAT_CONF"
	ID=${ID}b fails 1 "moat.conf: others than its owner may write to it" create_container
	assert_eq "$(moat list -q)" "$ID"
	moat delete --force "$ID"
}

@test "vm selection: a guest's kernel or initramfs for a container that is no VM, or without a name, is an error" {
	requires_moat "VM mode"
	local name
	for name in kernel initrd; do
		for verb in run create; do
			fails 1 "option --vm-$name: the file's name is empty" \
				"$MOAT" --root "$ROOT" "$verb" --vm "--vm-$name" "" -b "$BUNDLE" "$ID"
			[ "$MOAT_MODE" = vm ] || fails 1 "config: --vm-$name: this container is no VM \(give --vm, too\)" \
				moat "$verb" "--vm-$name" /no/such/file -b "$BUNDLE" "$ID"
		done
	done
	# Nor for one that its annotation makes none.
	set_conf '{"mode": "vm"}'
	config '.annotations = {"org.moat.vm": "false"}'
	fails 1 'this container is no VM' "$MOAT" --root "$ROOT" run --vm-kernel /no/such/file -b "$BUNDLE" "$ID"
}

@test "vm selection: nothing inside the image counts (CVE-2025-24965)" {
	skip_in_vm "it is selected already"
	mkdir -p "$BUNDLE/rootfs/etc/moat"
	echo '{"mode": "vm"}' >"$BUNDLE/rootfs/etc/moat/moat.conf"
	echo '{"vm": true}' >"$BUNDLE/rootfs/.krun_config.json"
	in_container 'cat /proc/sys/kernel/random/boot_id'
	assert_eq "$output" "$(</proc/sys/kernel/random/boot_id)"
}
