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

requires_debian() {
	requires_vm "a container has the host's kernel"
	[ -e "$INITRD" ] || skip "there is no kernel of Debian's with its modules, as the test VM has one"
}

# assert_interrupts LINE...: some have come to each of these pins of the I/O APIC.
assert_interrupts() {
	local line
	for line; do
		assert_match "$output" ": +[1-9][0-9]* +[0-9 ]*IO-APIC +$line-edge +virtio"
	done
}

@test "vm kernel: moat's own, its devices' interrupts come" {
	requires_vm "a container has the host's interrupts"
	in_container 'uname -r; cat /proc/interrupts'
	assert_match "$output" '^6\.[0-9.]+-moat'
	# The random number generator's, vsock's, the file server's.
	assert_interrupts 2 3 5
}

# The test VM itself runs on that kernel; what tells the microVM from it is its command line.
@test "vm kernel: a distribution's bzImage, with an initramfs of its modules" {
	requires_debian
	set_args sh -c 'uname -r; cat /proc/cmdline /proc/interrupts; exit 7'
	attempt moat run --vm-kernel "$DEBIAN/vmlinuz" --vm-initrd "$INITRD" -b "$BUNDLE" "$ID"
	assert_status 7
	assert_eq "${output%%$'\n'*}" "$(<"$DEBIAN/version")"
	assert_has "$output" virtio_mmio.device=
	assert_interrupts 3 5
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

# refuses kernel|initrd FILE REGEX: before anything is made, and whatever this host has for VMs.
refuses() {
	local what="guest kernel"
	[ "$1" = kernel ] || what=initramfs
	requires_moat "VM mode"
	fails 1 "plan: VM mode: $what $2: $3" "$MOAT" --root "$ROOT" run --vm "--vm-$1" "$2" -b "$BUNDLE" "$ID"
	assert_nothing_left
}

@test "vm kernel: what is none is refused, and leaves nothing" {
	local text=$T/text elf32=$T/elf32
	seq 1000 >"$text"
	refuses kernel "$text" 'neither an ELF vmlinux nor a bzImage'
	echo vmlinux >"$text"
	refuses kernel "$text" 'a file of 8 bytes is no kernel'
	cp /bin/busybox "$elf32"
	printf '\1' | dd of="$elf32" bs=1 seek=4 conv=notrunc status=none
	refuses kernel "$elf32" 'not for x86-64'
	refuses kernel /bin/busybox "(its addresses are a program's, not a kernel's|a segment at 0x0, below 1 MiB)"
	refuses kernel /dev/null 'not a regular file'
	refuses kernel "$T/no-such-file" '[nN]o such file or directory'
	set_args true
	config --arg kernel "$text" '.vm = {kernel: {path: $kernel}}'
	fails 1 "plan: VM mode: guest kernel $text: a file of 8 bytes" moat run -b "$BUNDLE" "$ID"
}

@test "vm kernel: one that is cut short is refused" {
	local vmlinux=$SUITE/../../vm-mode/kernel/built/vmlinux short=$T/short
	[ -e "$vmlinux" ] || skip "there is no guest kernel (make guest-kernel)"
	head -c 5M "$vmlinux" >"$short"
	refuses kernel "$short" 'it is cut short'
	requires_debian
	head -c 1M "$DEBIAN/vmlinuz" >"$short"
	refuses kernel "$short" 'it is cut short'
}

@test "vm kernel: an initramfs that is none is refused" {
	local file
	printf '0707' >"$T/short"
	for file in /etc/passwd "$T/short"; do
		refuses initrd "$file" 'neither a cpio archive \(newc\) nor one that is compressed'
	done
	refuses initrd /dev/null 'not a regular file'
	refuses initrd "$T/no-such-file" '[nN]o such file or directory'
}
