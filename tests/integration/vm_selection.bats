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
	fails 1 'VM mode: ' moat run -b "$BUNDLE" "$ID"
}

@test "vm selection: nothing inside the image counts (CVE-2025-24965)" {
	skip_in_vm "it is selected already"
	mkdir -p "$BUNDLE/rootfs/etc/moat"
	echo 'vm = true' >"$BUNDLE/rootfs/etc/moat/moat.conf"
	echo '{"vm": true}' >"$BUNDLE/rootfs/.krun_config.json"
	in_container 'cat /proc/sys/kernel/random/boot_id'
	assert_eq "$output" "$(</proc/sys/kernel/random/boot_id)"
}
