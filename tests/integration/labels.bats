# The labels of Linux's security modules: AppArmor profiles and SELinux contexts. In VM mode they are those of the VMM and
# its file server.

load lib

requires_apparmor() { requires_path /sys/kernel/security/apparmor AppArmor; }

@test "labels: without AppArmor a profile is an error" {
	requires_moat "an error"
	[ ! -e /sys/kernel/security/apparmor ] || skip "host has AppArmor"
	config '.process.apparmorProfile = "some"'
	fails 1 'process.apparmorProfile: AppArmor is not enabled on this host' create_container
}

@test "labels: without SELinux a context is an error" {
	requires_moat "an error"
	[ ! -e /sys/fs/selinux/enforce ] || skip "host has SELinux"
	config '.process.selinuxLabel = "system_u:system_r:container_t:s0"'
	fails 1 'selinuxLabel: SELinux is not enabled on this host|SELinux label .*is SELinux enabled' moat run -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "labels: an AppArmor profile that is not loaded is an error" {
	requires_apparmor
	requires_moat "these words"
	config '.process.apparmorProfile = "no-such-profile"'
	fails 1 'AppArmor profile no-such-profile: .*is the profile loaded' moat run -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "labels: no AppArmor profile by its name, unconfined" {
	requires_apparmor
	config '.process.apparmorProfile = "unconfined"'
	start_container
	assert_eq "$(<"/proc/$(container_pid)/attr/apparmor/current")" unconfined
	attempt moat exec --apparmor unconfined "$ID" true
	assert_status 0
}

# load_profile: one named $ID that hides /hidden.
load_profile() {
	requires_apparmor
	requires_test_vm "the profiles of the kernel"
	[ "$(type -P apparmor_parser)" ] || skip "there is no apparmor_parser"
	cat >"$T/profile" <<-EOF
		profile $ID flags=(attach_disconnected,mediate_deleted) {
			file, network, capability, signal, ptrace, umount,
			deny /hidden/** rwl,
		}
	EOF
	apparmor_parser --replace --skip-cache "$T/profile"
}

@test "labels: an AppArmor profile confines, and an exec, too" {
	load_profile
	mkdir "$BUNDLE/rootfs/hidden"
	echo secret >"$BUNDLE/rootfs/hidden/file"
	echo plain >"$BUNDLE/rootfs/file"
	config --arg profile "$ID" '.process.apparmorProfile = $profile'
	start_container
	assert_eq "$(<"/proc/$(container_pid)/attr/apparmor/current")" "$ID (enforce)"
	in_exec 'cat /file; cat /hidden/file || touch /made'
	assert_eq "$output" plain
	assert_has "$stderr" "ermission denied"
	[ -e "$BUNDLE/rootfs/made" ]
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
	apparmor_parser --remove "$T/profile"
}

@test "labels: an exec of a VM has the VM's" {
	requires_vm "each process has its own"
	start_container
	fails 255 'process.apparmorProfile: some: a VM has one label, from its start, and that is none' \
		moat exec --apparmor some "$ID" true
	fails 255 'process.selinuxLabel: a:b:c: a VM has one label' moat exec --process-label a:b:c "$ID" true
}
