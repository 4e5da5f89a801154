# filesystem: what programs see of the root and of bind mounts. The same tests in both modes: in a microVM it is
# the virtio-fs server that must give what the host's kernel gives to a container. What they do is in
# helpers/fstest.

load lib

setup() {
	set_up
	cp "$HELPERS/fstest" "$BUNDLE/rootfs/bin"
	mkdir "$BUNDLE/rootfs/files"
	config '.process.capabilities |= map_values(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
			"CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_ADMIN"])
		| .linux.resources.devices += [{"allow": true, "access": "m"}, {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"}]'
	ENTRIES=10000 FEWER=10000
	[ "$MOAT_MODE" != vm ] || ENTRIES=2000 FEWER=300 # a microVM in the test VM makes about a hundred a second
}

# These take longer than lib.bash gives.
moat() { timeout --foreground -k 5 $((120 * PATIENCE)) $(moat_command) "$@" 3>&- 4>&-; }

# bind_mount: $T/bind at /bind.
bind_mount() {
	mkdir "$T/bind"
	config --arg source "$T/bind" '.mounts += [{"destination": "/bind", "type": "bind", "source": $source, "options": ["rbind"]}]'
}

# root_on_overlay: as engines make it; the lower layer is the bundle's root file system.
root_on_overlay() {
	mkdir "$T/upper" "$T/layer-work" "$T/rootfs"
	mount -t overlay -o "lowerdir=$BUNDLE/rootfs,upperdir=$T/upper,workdir=$T/layer-work" overlay "$T/rootfs" ||
		skip "host can't mount an overlay here"
	snapshot_host
	config --arg root "$T/rootfs" '.root.path = $root'
}

# fs_tests GROUP...: in one container on its root and on a bind mount.
fs_tests() {
	bind_mount
	in_container "fstest --entries $ENTRIES /files $*; a=\$?; echo on the bind mount:; fstest --entries $FEWER /bind $* && exit \$a"
}

@test "filesystem: names, links, special files" { fs_tests names renames; }
@test "filesystem: owners, modes, permissions" { fs_tests owners users; }
@test "filesystem: times" { fs_tests times; }
@test "filesystem: directories" { fs_tests dirs; }
@test "filesystem: reading and writing" { fs_tests data space; }
@test "filesystem: mapped files" { fs_tests maps; }
@test "filesystem: extended attributes" { fs_tests xattrs; }
@test "filesystem: locks" { fs_tests locks; }
@test "filesystem: inotify" { fs_tests events; }

@test "filesystem: a microVM maps large files of its root that have no holes, and no others" {
	[ "$MOAT_MODE" = vm ] || skip "a microVM's way to share the host's cache"
	bind_mount
	head -c 1M /dev/zero | tee "$BUNDLE/rootfs/files/large" >"$T/bind/large"
	head -c 10K /dev/zero >"$BUNDLE/rootfs/files/small"
	truncate -s 1M "$BUNDLE/rootfs/files/sparse"
	in_container 'for f in /files/large /files/small /files/sparse /bind/large; do fstest dax $f; done
		head -c 1000000 /dev/zero >/files/made; stat /files/made >/dev/null; fstest dax /files/made'
	assert_eq "$output" $'yes\nno\nno\nno\nyes'
}

# A file that the guest knows is a descriptor of the file server's.
@test "filesystem: more files than the caller can have open" {
	requires_cap_sys_resource
	mkdir "$BUNDLE/rootfs/many"
	(cd "$BUNDLE/rootfs/many" && seq -f 'file%g' 1500 | xargs touch)
	set_args sh -c 'ls -l /many | grep -c file; cat /many/* | wc -c'
	attempt bash -c 'ulimit -n 1200; exec "$@"' - $(moat_command) run -b "$BUNDLE" "$ID" 3>&- 4>&-
	assert_status 0
	assert_eq "$output" $'1500\n0'
}

# Without mounts of the host below its root a microVM may keep back what is written.
@test "filesystem: all of it, where there is no bind mount" {
	in_container "fstest --entries $FEWER /files"
}

@test "filesystem: all of it, on an overlay" {
	root_on_overlay
	in_container "fstest --entries $FEWER /files"
	umount "$T/rootfs"
	snapshot_host
}

# OPERATIONS for each of two processes.
stress() {
	local operations=3000
	[ "$MOAT_MODE" != vm ] || operations=1000
	echo "fstest stress $1 ${FSTEST_SEED:-$RANDOM} $operations 2"
}

@test "filesystem: random operations on the root and on a bind mount" {
	bind_mount
	in_container "$(stress /files) && $(stress /bind)"
}

@test "filesystem: random operations where there is no bind mount" {
	in_container "$(stress /files)"
}

@test "filesystem: random operations on an overlay" {
	root_on_overlay
	in_container "$(stress /files)"
	umount "$T/rootfs"
	snapshot_host
}

# ---- what ends ----

# small_file_system DIR: one of 16 MiB, in memory.
small_file_system() {
	mkdir -p "$1"
	mount -t tmpfs -o size=16m none "$1" || skip "host can't mount a tmpfs here"
	snapshot_host
}

@test "filesystem: a full disk, below a bind mount" {
	bind_mount
	small_file_system "$T/bind"
	in_container 'fstest /bind full'
	umount "$T/bind"
	snapshot_host
}

# root_on_small: the bundle's root file system has little place.
root_on_small() {
	small_file_system "$T/small"
	mkdir "$T/small/rootfs"
	cp -a "$BUNDLE/rootfs/." "$T/small/rootfs"
	config --arg root "$T/small/rootfs" '.root.path = $root'
}

@test "filesystem: a full disk, below the root" {
	bind_mount
	root_on_small
	in_container 'fstest /files full'
	umount "$T/small"
	snapshot_host
}

@test "filesystem: a full disk, below the root, where there is no bind mount" {
	root_on_small
	in_container 'fstest /files full'
	umount "$T/small"
	snapshot_host
}

@test "filesystem: the spec's limit on the length of a file" {
	config '.process.rlimits += [{"type": "RLIMIT_FSIZE", "soft": 1000000, "hard": 1000000}]'
	bind_mount
	in_container 'for dir in /files /bind; do
		head -c 2000000 /dev/zero >$dir/file; echo $?; stat -c %s $dir/file; done'
	assert_eq "$output" $'153\n1000000\n153\n1000000'
}

# ---- an overlay of the container's own ----

# overlay_tests UPPER: what docker does inside: layers on the root, the upper one and its work at UPPER.
overlay_tests() {
	in_container "
		set -e
		cd /files
		mkdir -p low/dir/sub low/other $1/upper $1/work merged
		echo low >low/file; echo deep >low/dir/sub/file; echo other >low/other/file
		chmod 640 low/file; chown 1000:2000 low/file
		mount -t overlay -o lowerdir=low,upperdir=$1/upper,workdir=$1/work overlay merged
		cd merged
		echo created >new
		echo more >>file                            # copied up, with owner and mode
		stat -c %u:%g:%a file; cat file ../low/file
		rm dir/sub/file                             # a whiteout
		ls dir/sub | wc -l; stat -c %F:%t,%T $1/upper/dir/sub/file
		rm -r other; mkdir other                    # opaque
		ls other | wc -l
		cat dir/sub/file 2>/dev/null || echo gone
		mkdir made; echo x >made/x; mv made moved; cat moved/x
		ln new linked; stat -c %h linked
		cd ..; umount merged
		mount -t overlay -o lowerdir=low,upperdir=$1/upper,workdir=$1/work overlay merged
		cat merged/file merged/linked; ls merged/dir/sub merged/other | grep -c file || :
		umount merged"
	assert_eq "$output" "1000:2000:640
low
more
low
0
character special file:0,0
0
gone
x
2
low
more
created
0"
}

@test "filesystem: an overlay inside, all layers on the root" {
	overlay_tests /files
}

@test "filesystem: an overlay inside, the upper layer in memory" {
	config '.mounts += [{"destination": "/ram", "type": "tmpfs", "source": "tmpfs"}]'
	overlay_tests /ram
}

@test "filesystem: an overlay inside, the upper layer on a bind mount" {
	bind_mount
	overlay_tests /bind
}

# ---- a bind mount that the host writes ----

# inside SHELL OUTPUT: `moat exec` of it says so.
inside() {
	in_exec "$1"
	assert_eq "$output" "$2"
}

@test "filesystem: the host writes a bind mount, the container sees it at once" {
	bind_mount
	echo one >"$T/bind/file"
	ln "$T/bind/file" "$T/bind/link"
	mkdir "$T/bind/dir"
	start_container
	inside 'cd /bind; cat file; ls; ls dir; cat none 2>/dev/null || echo none' $'one\ndir\nfile\nlink\nnone'

	echo two, and longer >"$T/bind/file"
	: >"$T/bind/dir/new"
	: >"$T/bind/none"
	inside 'cd /bind; cat file link; stat -c %s file link; ls . dir; cat none' \
		$'two, and longer\ntwo, and longer\n16\n16\n.:\ndir\nfile\nlink\nnone\n\ndir:\nnew'

	mv "$T/bind/file" "$T/bind/dir/moved"
	rm "$T/bind/none"
	chmod 600 "$T/bind/link"
	echo x >>"$T/bind/link"
	inside 'cd /bind; ls . dir; cat file 2>/dev/null || echo gone; cat dir/moved; stat -c %a:%h dir/moved' \
		$'.:\ndir\nlink\n\ndir:\nmoved\nnew\ngone\ntwo, and longer\nx\n600:2'

	# A file of the same name, of the same length; a directory instead of a file.
	echo aaaa >"$T/bind/same"
	inside 'cat /bind/same' aaaa
	echo bbbb >"$T/bind/same.new"
	mv "$T/bind/same.new" "$T/bind/same"
	inside 'cat /bind/same' bbbb
	echo cccc >"$T/bind/same"
	inside 'cat /bind/same' cccc
	rm "$T/bind/same"
	mkdir "$T/bind/same"
	: >"$T/bind/same/in"
	inside 'ls /bind/same' in

	# And the other way.
	in_exec 'cd /bind; echo guest >from-inside; mv dir/moved back; rm link'
	assert_eq "$(<"$T/bind/from-inside")" guest
	assert_eq "$(ls "$T/bind")" $'back\ndir\nfrom-inside\nsame'
}

@test "filesystem: names don't cross a mount" {
	bind_mount
	in_container 'cd /files; echo x >file; ln file /bind/file 2>&1; ls /bind; mv file /bind/moved && cat /bind/moved
		mv /bind /elsewhere 2>&1 | grep -o busy; rmdir /bind 2>&1 | grep -o busy'
	assert_match "$output" $'(C|c)ross-device link\nx\nbusy\nbusy'
}

# What is open goes on to show what the host does to it; a large file (in a microVM those of the root are
# mapped, these not) and a small one. Not by cat, which is sendfile(2): FUSE's takes the end of a file for where
# it was at the last read or stat.
@test "filesystem: the host writes what a container has open" {
	bind_mount
	head -c 3000000 /dev/zero >"$T/bind/large"
	echo first >"$T/bind/log"
	set_args sh -c 'exec 3</bind/log 4</bind/large; cat <&3; head -c 10 <&4 >/dev/null; : >/bind/ready
		until [ -e /bind/go ]; do sleep 0.1; done; read -r line <&3; echo $line; wc -c </bind/large; tail -c 4 /bind/large'
	start_container
	wait_for 20 test -e "$T/bind/ready"
	echo second >>"$T/bind/log"
	truncate -s 1000000 "$T/bind/large"
	echo end >>"$T/bind/large"
	: >"$T/bind/go"
	wait_for 20 has_status stopped
	assert_eq "$(<"$T/$ID.out")" $'first\nsecond\n1000004\nend'
}
