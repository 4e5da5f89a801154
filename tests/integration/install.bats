# What `make install` makes, and `make uninstall` takes away.

load lib

setup() {
	set_up
	requires_moat "its makefile"
	requires_path "$SUITE/../../Makefile" "makefile of moat's"
}

make_here() { env -u MAKEFLAGS -u MFLAGS make -s -C "$SUITE/../.." "$@" DESTDIR="$T/dest" 3>&- 4>&-; }

# as_installed COMMAND...: where what `make install` has put below $T/dest lies in its place.
as_installed() {
	local bin prefix
	bin=$(find "$T/dest" -name moat-vm)
	prefix=${bin%/bin/moat-vm}
	requires_path "${prefix#"$T/dest"}"
	unshare --mount sh -c 'mount -t overlay -o "lowerdir=$1:$2" none "$2" && shift 2 && exec "$@"' \
		sh "$prefix" "${prefix#"$T/dest"}" "$@"
}

# A tree where no kernel was built has none to install.
@test "install: the guest's kernel and the agent, where moat looks for them" {
	local built=$SUITE/../../vm-mode/kernel/built alone=$T/alone lib share file
	make_here install
	share=$(find "$T/dest" -type d -path '*/share/moat')
	lib=$share/../../lib/moat
	cmp "$SUITE/../../agent.cpio" "$share/agent.cpio"
	[ -e "$built/vmlinux" ] || {
		[ ! -e "$lib/kernel" ] || fail "a kernel that nobody has built is installed"
		skip "there is no guest kernel to install (make guest-kernel)"
	}
	for file in vmlinux config version; do
		cmp "$built/$file" "$lib/kernel/$file"
	done

	# One that has nothing of its own beside it.
	mkdir "$alone"
	cp "$MOAT" "$alone/moat"
	as_installed "$alone/moat" check --format json | jq -e --arg version "$(<"$built/version")" '
		def value(name): .[] | select(.name == name) | .value;
		value("guest-kernel") == $version and value("agent") == "there"'
	as_installed "$alone/moat" features | jq -e '.annotations."org.moat.vm.kernel.config" | endswith("/lib/moat/kernel/config")'
}

# kernel_of MOAT: which kernel it would take: the text of its file `version`.
kernel_of() { as_installed "$1" features | jq -r '.annotations."org.moat.vm.kernel"'; }

@test "install: a moat in its build tree takes what was built there, unless others could have put it there" {
	local tree=$T/tree built=$T/tree/vm-mode/kernel/built installed part
	umask 022
	make_here install
	installed=$(find "$T/dest" -type d -path '*/share/moat')/../../lib/moat/kernel
	mkdir -p "$installed" "$built"
	cp "$MOAT" "$tree/moat"
	touch "$installed/vmlinux" "$built/vmlinux"
	echo installed >"$installed/version"
	echo built >"$built/version"
	assert_eq "$(kernel_of "$tree/moat")" built
	for part in "$tree" "$built/.." "$built" "$built/vmlinux"; do
		chmod g+w "$part"
		assert_eq "$(kernel_of "$tree/moat")" installed
		chmod g-w "$part"
		chown 1234 "$part"
		assert_eq "$(kernel_of "$tree/moat")" installed
		chown 0 "$part"
		assert_eq "$(kernel_of "$tree/moat")" built
	done
	# A link may lead anywhere.
	mv "$built" "$T/elsewhere"
	ln -s "$T/elsewhere" "$built"
	assert_eq "$(kernel_of "$tree/moat")" installed
	# Where nothing is installed it is as good as any.
	rm -r "$installed"
	mknod "$installed" c 0 0 # what an overlay takes for no file
	assert_eq "$(kernel_of "$tree/moat")" built
}

@test "install: uninstall leaves no file, and no directory of moat's" {
	make_here install
	[ -x "$(find "$T/dest" -name moat-vm)" ] || fail "no moat-vm is installed"
	make_here uninstall
	assert_eq "$(find "$T/dest" ! -type d -o -name '*moat*')" ""
}

@test "install: uninstall leaves what others have put into moat's directories" {
	make_here install
	local dir
	dir=$(find "$T/dest" -type d -path '*/share/moat')
	touch "$dir/of-others"
	make_here uninstall
	assert_eq "$(find "$T/dest" ! -type d)" "$dir/of-others"
}

@test "install: moat-initrd --help is its head" {
	make_here install
	local link
	link=$(find "$T/dest" -path '*/bin/moat-initrd')
	# The link names the place that will be, which the test has not.
	attempt "$T/dest$(readlink "$link")" --help
	assert_status 0
	assert_match "$output" '^moat-initrd MODULES FILE: .*The guest.s agent loads them\.$'
	fails 1 'usage: moat-initrd MODULES FILE' "$T/dest$(readlink "$link")"
}
