# What `make install` makes, and `make uninstall` takes away.

load lib

setup() {
	set_up
	requires_moat "its makefile"
	requires_path "$SUITE/../../Makefile" "makefile of moat's"
}

make_here() { env -u MAKEFLAGS -u MFLAGS make -s -C "$SUITE/../.." "$@" DESTDIR="$T/dest" 3>&- 4>&-; }

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
