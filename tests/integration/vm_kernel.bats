# Other kernels for the microVM than moat's own: a distribution's, by --vm-kernel and --vm-initrd or by the spec, and what is no
# kernel.

load lib

setup_file() {
	[ "$MOAT_MODE" = vm ] || return 0
	# Where vm-prepare keeps what the test VM runs on: a kernel of Debian's and its modules.
	export DEBIAN INITRD=$BATS_FILE_TMPDIR/initrd
	DEBIAN=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^moat\.parts=//p')
	[ -z "$DEBIAN" ] || [ ! -e "$DEBIAN/vmlinuz" ] || "$SUITE/../../vm-mode/kernel/moat-initrd" "$DEBIAN/modules" "$INITRD"
}

setup() {
	set_up
	[ "$MOAT_MODE" = vm ] || skip "a container has the host's kernel"
}

requires_debian() { [ -e "$INITRD" ] || skip "there is no kernel of Debian's with its modules, as the test VM has one"; }

# The test VM itself runs on that kernel; what tells the microVM from it is its command line.
@test "vm kernel: a distribution's bzImage, with an initramfs of its modules" {
	requires_debian
	set_args sh -c 'uname -r; cat /proc/cmdline; exit 7'
	attempt moat run --vm-kernel "$DEBIAN/vmlinuz" --vm-initrd "$INITRD" -b "$BUNDLE" "$ID"
	assert_status 7
	assert_eq "${output%%$'\n'*}" "$(<"$DEBIAN/version")"
	assert_has "$output" virtio_mmio.device=
}

@test "vm kernel: by the spec, an ELF file, with parameters and two processors" {
	requires_debian
	config --arg kernel "$DEBIAN/vmlinux" --arg initrd "$INITRD" '.vm = {hwConfig: {vcpus: 2},
		kernel: {path: $kernel, initrd: $initrd, parameters: ["moat.test=1", "panic=5"]}}'
	set_args sleep 1000
	start_container
	in_exec 'uname -r; nproc; grep -o "moat.test=1 panic=5$" /proc/cmdline; grep -o "virtiofs.*dax=inode" /proc/mounts'
	assert_eq "$output" "$(<"$DEBIAN/version")"$'\n2\nmoat.test=1 panic=5\nvirtiofs rw,relatime,dax=inode'
}

# Its devices are there, its drivers are not.
@test "vm kernel: a distribution's, without its modules, is told of" {
	requires_debian
	fails 1 'moat-agent: vsock .*moat-initrd' moat run --vm-kernel "$DEBIAN/vmlinux" -b "$BUNDLE" "$ID"
	assert_nothing_left
}

# refuses FILE REGEX: as a kernel.
refuses() {
	fails 1 "VM mode: guest kernel $1: $2" moat run --vm-kernel "$1" -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "vm kernel: what is none is refused, and leaves nothing" {
	local text=$T/text elf32=$T/elf32 short=$T/short
	seq 1000 >"$text"
	refuses "$text" 'neither an ELF vmlinux nor a bzImage'
	echo vmlinux >"$text"
	refuses "$text" 'a file of 8 bytes is no kernel'
	cp /bin/busybox "$elf32"
	printf '\1' | dd of="$elf32" bs=1 seek=4 conv=notrunc status=none
	refuses "$elf32" 'not for x86-64'
	refuses /dev/null 'not a regular file'
	refuses "$T/no-such-file" '[nN]o such file or directory'
	requires_debian
	head -c 1M "$DEBIAN/vmlinuz" >"$short"
	refuses "$short" 'it is cut short'
}
