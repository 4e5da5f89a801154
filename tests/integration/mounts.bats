# mounts: every option, every kind of file system that a container gets, and propagation.

load lib

# add_mount JSON: one more mount.
add_mount() { config --argjson mount "$1" '.mounts += [$mount]'; }

# mount_line DESTINATION: its line of mountinfo, from within.
mount_line() { awk -v dir="$1" '$5 == dir' <<<"$output"; }

@test "mounts: bind of a directory and of a file" {
	mkdir "$T/dir"
	echo content >"$T/dir/file"
	add_mount "{\"destination\": \"/dir\", \"type\": \"bind\", \"source\": \"$T/dir\", \"options\": [\"bind\"]}"
	add_mount "{\"destination\": \"/etc/file\", \"type\": \"bind\", \"source\": \"$T/dir/file\", \"options\": [\"bind\"]}"
	in_container 'cat /dir/file /etc/file; echo new >/dir/new'
	assert_eq "$output" $'content\ncontent'
	assert_eq "$(<"$T/dir/new")" new
}

@test "mounts: the bind option makes a bind whatever the type says" {
	mkdir "$T/dir"
	: >"$T/dir/here"
	add_mount "{\"destination\": \"/a\", \"source\": \"$T/dir\", \"options\": [\"rbind\"]}"
	add_mount "{\"destination\": \"/b\", \"type\": \"none\", \"source\": \"$T/dir\", \"options\": [\"bind\"]}"
	add_mount "{\"destination\": \"/c\", \"type\": \"tmpfs\", \"source\": \"$T/dir\", \"options\": [\"bind\"]}"
	in_container 'ls /a /b /c'
	assert_eq "$(grep -c here <<<"$output")" 3
}

@test "mounts: a relative source is below the bundle" {
	mkdir "$BUNDLE/data"
	echo relative >"$BUNDLE/data/file"
	add_mount '{"destination": "/data", "source": "data", "options": ["bind"]}'
	in_container 'cat /data/file'
	assert_eq "$output" relative
}

@test "mounts: bind takes the one mount, rbind what is below too" {
	mkdir -p "$T/dir"
	mount -t tmpfs none "$T/dir"
	mkdir "$T/dir/sub"
	mount -t tmpfs none "$T/dir/sub"
	: >"$T/dir/sub/deep"
	snapshot_host
	add_mount "{\"destination\": \"/one\", \"source\": \"$T/dir\", \"options\": [\"bind\"]}"
	add_mount "{\"destination\": \"/all\", \"source\": \"$T/dir\", \"options\": [\"rbind\"]}"
	in_container 'ls /one/sub; echo --; ls /all/sub'
	assert_eq "$output" $'--\ndeep'
	umount "$T/dir/sub" "$T/dir"
	snapshot_host
}

@test "mounts: a source that is missing is an error that names it" {
	add_mount "{\"destination\": \"/x\", \"source\": \"$T/no-such-source\", \"options\": [\"bind\"]}"
	fails 1 'no-such-source' create_container
	assert_nothing_left
}

@test "mounts: an unknown file system type is an error that names the mount" {
	add_mount '{"destination": "/x", "type": "nosuchfs", "source": "x"}'
	fails 1 'nosuchfs|/x' create_container
	assert_nothing_left
}

@test "mounts: a destination that is missing is made, the parents too" {
	: >"$T/file"
	add_mount '{"destination": "/a/b/c", "type": "tmpfs", "source": "tmpfs"}'
	add_mount "{\"destination\": \"/d/e/file\", \"source\": \"$T/file\", \"options\": [\"bind\"]}"
	in_container 'stat -c %F:%a:%n /a /a/b /a/b/c /d/e /d/e/file; cut -d" " -f5 /proc/self/mountinfo'
	assert_has "$output" directory:755
	assert_has "$output" $'\n/a/b/c'
	assert_has "$output" ':/d/e/file'
}

@test "mounts: a directory onto a file, or a file onto a directory, is an error" {
	mkdir "$T/dir"
	: >"$T/file"
	add_mount "{\"destination\": \"/etc/passwd\", \"source\": \"$T/dir\", \"options\": [\"bind\"]}"
	fails 1 'etc/passwd' create_container
	config '.mounts |= .[:-1]'
	add_mount "{\"destination\": \"/etc\", \"source\": \"$T/file\", \"options\": [\"bind\"]}"
	fails 1 'etc' create_container
	assert_nothing_left
}

@test "mounts: in the order of the list" {
	mkdir "$T/dir"
	add_mount '{"destination": "/m", "type": "tmpfs", "source": "first", "options": ["size=1m"]}'
	add_mount '{"destination": "/m/sub", "type": "tmpfs", "source": "second"}'
	add_mount '{"destination": "/m", "type": "tmpfs", "source": "third"}'
	in_container 'cat /proc/self/mountinfo; ls /m'
	assert_match "$output" 'first.*second.*third'
}

# Each row: an option, what mountinfo must have among the mount's own options (field 6) or with !
# must not have, given to a bind mount.
bind_options='
ro ro
rw rw
nosuid nosuid
suid !nosuid
nodev nodev
dev !nodev
noexec noexec
exec !noexec
noatime noatime
atime !noatime
nodiratime nodiratime
diratime !nodiratime
relatime relatime
norelatime rw
strictatime !relatime
nosymfollow nosymfollow
symfollow !nosymfollow
'

# shows FIELD EXPECTED: one row's second word against a list.
shows() {
	local list=,${1// /,},
	case $2 in
		!*) [[ $list != *,"${2#!}",* ]] ;;
		*) [[ $list == *,"$2",* ]] ;;
	esac
}

# check_options TABLE LEADING: mount /o/OPTION by each row's option and look.
check_options() {
	local option expected field bad=
	# shellcheck disable=SC2086 # the rows
	config --argjson base "$2" --args '.mounts += [$ARGS.positional as $words | range(0; $words | length; 2) | $words[.]
		| . as $option | $base | .destination = "/o/\($option)" | .options += [$option]]' -- $1
	in_container 'cat /proc/self/mountinfo'
	while read -r option expected; do
		[ "$option" ] || continue
		field=$(mount_line "/o/$option" | cut -d' ' -f"${3:-6}")
		shows "$field" "$expected" || bad+="$option: '$field' fails $expected"$'\n'
	done <<<"$1"
	[ -z "$bad" ] || fail "$bad"
}

@test "mounts: options of a bind mount" {
	skip_in_vm "the host makes a bind mount: to the guest it is a directory of the root"
	mkdir "$T/dir"
	check_options "$bind_options" "{\"source\": \"$T/dir\", \"options\": [\"bind\"]}"
}

@test "mounts: options of a new file system" {
	check_options "$bind_options" '{"type": "tmpfs", "source": "tmpfs", "options": []}'
}

@test "mounts: options of the file system itself" {
	check_options '
		sync sync
		async !sync
		dirsync dirsync
		size=1024k size=1024k
		mode=1700 mode=1700
		uid=5 uid=5
		nr_inodes=50 nr_inodes=50
	' '{"type": "tmpfs", "source": "tmpfs", "options": []}' '9-'
}

@test "mounts: options that tmpfs only tolerates are known, not taken for data" {
	requires_moat "all of these on tmpfs"
	check_options '
		defaults rw
		silent rw
		loud rw
		lazytime lazytime
		nolazytime !lazytime
		noiversion rw
		nomand rw
		norelatime rw
	' '{"type": "tmpfs", "source": "tmpfs", "options": []}' '9-'
}

@test "mounts: the last of two opposite options wins" {
	skip_in_vm "the host makes a bind mount: to the guest it is a directory of the root"
	mkdir "$T/dir"
	add_mount "{\"destination\": \"/a\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"ro\", \"rw\"]}"
	add_mount "{\"destination\": \"/b\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"rw\", \"ro\"]}"
	add_mount "{\"destination\": \"/c\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"noexec\", \"exec\", \"nosuid\"]}"
	in_container 'cat /proc/self/mountinfo'
	assert_match "$(mount_line /a)" ' rw'
	assert_match "$(mount_line /b)" ' ro'
	refute_has "$(mount_line /c)" noexec
	assert_has "$(mount_line /c)" nosuid
}

@test "mounts: in a user namespace a bind keeps the flags of its source that are locked" {
	skip_in_vm "the host makes a bind mount: to the guest it is a directory of the root"
	requires_moat "binds of what has locked flags"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	chown_rootfs 100000:100000
	mkdir "$T/dir"
	mount -t tmpfs -o nosuid,nodev,noexec none "$T/dir"
	snapshot_host
	config '.linux.namespaces += [{type: "user"}]
		| .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
	add_mount "{\"destination\": \"/a\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"ro\"]}"
	in_container 'cat /proc/self/mountinfo'
	assert_match "$(mount_line /a | cut -d' ' -f6)" '^ro,nosuid,nodev,noexec'
	umount "$T/dir"
	snapshot_host
}

@test "mounts: the recursive options reach mounts below, the plain ones do not" {
	skip_in_vm "the host makes a bind mount: to the guest it is a directory of the root"
	mkdir "$T/dir"
	mount -t tmpfs none "$T/dir"
	mkdir "$T/dir/sub"
	mount -t tmpfs none "$T/dir/sub"
	snapshot_host
	local bad= option expected
	local table='
		rro ro
		rnosuid nosuid
		rnodev nodev
		rnoexec noexec
		rnodiratime nodiratime
		rnoatime noatime
		rstrictatime !relatime
		rnosymfollow nosymfollow
	'
	# shellcheck disable=SC2086
	config --arg dir "$T/dir" --args '.mounts += [$ARGS.positional as $words | range(0; $words | length; 2) | $words[.]
		| {destination: "/o/\(.)", source: $dir, options: ["rbind", .]}]
		+ [{destination: "/o/plain", source: $dir, options: ["rbind", "ro", "nosuid"]}]' -- $table
	in_container 'cat /proc/self/mountinfo'
	while read -r option expected; do
		[ "$option" ] || continue
		shows "$(mount_line "/o/$option" | cut -d' ' -f6)" "$expected" || bad+="$option "
		shows "$(mount_line "/o/$option/sub" | cut -d' ' -f6)" "$expected" || bad+="$option/sub "
	done <<<"$table"
	[ -z "$bad" ] || fail "wrong: $bad" "$output"
	assert_match "$(mount_line /o/plain | cut -d' ' -f6)" '^ro,nosuid'
	assert_match "$(mount_line /o/plain/sub | cut -d' ' -f6)" '^rw'
	umount "$T/dir/sub" "$T/dir"
	snapshot_host
}

@test "mounts: the recursive opposites clear flags below" {
	skip_in_vm "the host makes a bind mount: to the guest it is a directory of the root"
	requires_moat "rrw, rsuid, rdev, rexec, ratime, rsymfollow together"
	mkdir "$T/dir"
	mount -t tmpfs none "$T/dir"
	mkdir "$T/dir/sub"
	mount -t tmpfs -o ro,nosuid,nodev,noexec,nosymfollow none "$T/dir/sub"
	snapshot_host
	add_mount "{\"destination\": \"/a\", \"source\": \"$T/dir\", \"options\": [\"rbind\", \"rrw\", \"rsuid\", \"rdev\", \"rexec\", \"rsymfollow\", \"rdiratime\", \"rrelatime\"]}"
	in_container 'cat /proc/self/mountinfo'
	assert_eq "$(mount_line /a/sub | cut -d' ' -f6)" rw,relatime
	umount "$T/dir/sub" "$T/dir"
	snapshot_host
}

@test "mounts: propagation of each kind" {
	skip_in_vm "the host makes a bind mount: to the guest it is a directory of the root"
	mkdir "$T/dir"
	mount -t tmpfs none "$T/dir"
	mount --make-shared "$T/dir"
	snapshot_host
	local type
	for type in private rprivate slave rslave shared rshared unbindable runbindable; do
		add_mount "{\"destination\": \"/p/$type\", \"source\": \"$T/dir\", \"options\": [\"rbind\", \"$type\"]}"
	done
	in_container 'cat /proc/self/mountinfo'
	for type in private rprivate slave rslave shared rshared unbindable runbindable; do
		case $type in
			*private) refute_has "$(mount_line "/p/$type")" shared:; refute_has "$(mount_line "/p/$type")" master: ;;
			*slave) assert_has "$(mount_line "/p/$type")" master: ;;
			*shared) assert_has "$(mount_line "/p/$type")" shared: ;;
			*unbindable) assert_has "$(mount_line "/p/$type")" unbindable ;;
		esac
	done
	umount "$T/dir"
	snapshot_host
}

@test "mounts: a shared mount carries a mount in the container to the host, a private one does not" {
	skip_in_vm "a guest's mounts are its own"
	mkdir "$T/dir"
	mount -t tmpfs none "$T/dir"
	mount --make-shared "$T/dir"
	mkdir "$T/dir/out" "$T/dir/in"
	snapshot_host
	config '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"]) | .linux.rootfsPropagation = "shared"'
	add_mount "{\"destination\": \"/s\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"shared\"]}"
	add_mount "{\"destination\": \"/p\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"private\"]}"
	in_container 'mount -t tmpfs x /s/out && mount -t tmpfs x /p/in'
	mountpoint -q "$T/dir/out"
	refute mountpoint -q "$T/dir/in"
	umount "$T/dir/out" "$T/dir"
	snapshot_host
}

@test "mounts: rootfsPropagation" {
	local type
	for type in private slave shared unbindable rprivate rslave rshared; do
		# runc's root is private when it should be shared, and can't be unbindable.
		[[ $RUNTIME = moat || $type =~ private|slave ]] || continue
		config --arg type "$type" '.linux.rootfsPropagation = $type'
		in_container 'cat /proc/self/mountinfo'
		case $type in
			*shared) assert_has "$(mount_line /)" shared: ;;
			*slave) refute_has "$(mount_line /)" shared: ;;
			*private) refute_has "$(mount_line /)" shared:; refute_has "$(mount_line /)" master: ;;
			unbindable) assert_has "$(mount_line /)" unbindable ;;
		esac
	done
}

@test "mounts: by default no mount of the container is shared with the host" {
	in_container 'cat /proc/self/mountinfo'
	refute_has "$(mount_line /)" shared:
	refute_has "$(mount_line /proc)" shared:
}

@test "mounts: an unknown rootfsPropagation is refused" {
	config '.linux.rootfsPropagation = "sideways"'
	fails 1 'rootfsPropagation|sideways' create_container
	assert_nothing_left
}

@test "mounts: a read-only root, with writable mounts on it" {
	config '.root.readonly = true'
	add_mount '{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}'
	in_container 'touch /x || echo refused; touch /tmp/x && echo written; echo x >/dev/shm/x && echo shm'
	assert_eq "$output" $'refused\nwritten\nshm'
	[ ! -e "$BUNDLE/rootfs/x" ]
}

@test "mounts: a read-only root, with bind mounts that are writable or not" {
	config '.root.readonly = true'
	mkdir -p "$T"/{rw,ro}/below
	touch "$T/file"
	mkdir "$BUNDLE/rootfs"/{rw,ro}
	touch "$BUNDLE/rootfs/file"
	config --arg t "$T" '.mounts += [
		{destination: "/rw", type: "bind", source: ($t + "/rw"), options: ["rbind", "rw"]},
		{destination: "/ro", type: "bind", source: ($t + "/ro"), options: ["rbind", "ro", "nosuid"]},
		{destination: "/ro/below", type: "bind", source: ($t + "/rw/below"), options: ["bind"]},
		{destination: "/file", type: "bind", source: ($t + "/file"), options: ["bind"]}]'
	in_container 'for f in rw/a rw/below/b ro/c ro/below/d file new; do echo x >/$f && echo $f; done 2>/dev/null
		grep -c "/ro/below.*nosuid" /proc/self/mountinfo; :'
	assert_eq "$output" $'rw/a\nrw/below/b\nro/below/d\nfile\n0'
	assert_eq "$(cat "$T"/rw/a "$T"/rw/below/{b,d} "$T/file")" $'x\nx\nx\nx'
	[ ! -e "$T/ro/c" ]
}

@test "mounts: a read-only root that has none of the mount points" {
	config '.root.readonly = true'
	rmdir "$BUNDLE/rootfs"/{dev,proc,sys}
	in_container 'ls /proc/1/status /dev/null && ls -d /sys/kernel && ! touch /new'
}

@test "mounts: mountLabel without SELinux is refused" {
	requires_moat "a check for SELinux"
	[ ! -e /sys/fs/selinux/enforce ] || skip "host has SELinux"
	config '.linux.mountLabel = "system_u:object_r:container_file_t:s0"'
	fails 1 'linux.mountLabel: SELinux' create_container
}

@test "mounts: tmpcopyup keeps what was below, with owners and modes" {
	mkdir -p "$BUNDLE/rootfs/data/sub"
	config '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE"])'
	echo text >"$BUNDLE/rootfs/data/file"
	chmod 640 "$BUNDLE/rootfs/data/file"
	chown 1000:2000 "$BUNDLE/rootfs/data/file"
	ln -s file "$BUNDLE/rootfs/data/link"
	echo deep >"$BUNDLE/rootfs/data/sub/deep"
	add_mount '{"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}'
	in_container 'cat /data/file /data/link /data/sub/deep; stat -c "%a %u:%g" /data/file; readlink /data/link
		echo changed >/data/file; stat -f -c %T /data'
	assert_eq "$output" $'text\ntext\ndeep\n640 1000:2000\nfile\ntmpfs'
	assert_eq "$(<"$BUNDLE/rootfs/data/file")" text
}

@test "mounts: tmpcopyup follows no symlink out of the root" {
	echo host-secret >"$T/secret"
	mkdir "$BUNDLE/rootfs/data"
	ln -s "$T/secret" "$BUNDLE/rootfs/data/link"
	add_mount '{"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}'
	in_container 'cat /data/link || readlink /data/link'
	refute_has "$output" host-secret
}

@test "mounts: proc, sysfs, devpts, mqueue, shm as a container expects them" {
	in_container 'cat /proc/self/mountinfo; ls /dev/pts/ptmx /proc/1/stat; stat -c %a /dev/shm'
	assert_has "$(mount_line /proc)" ' - proc '
	assert_has "$(mount_line /sys)" ' - sysfs '
	assert_match "$(mount_line /sys | cut -d' ' -f6)" '^ro,nosuid,nodev,noexec'
	assert_match "$(mount_line /dev/pts)" ' - devpts .*gid=5,mode=620,ptmxmode=666'
	assert_has "$(mount_line /dev/mqueue)" ' - mqueue '
	assert_match "$(mount_line /dev/shm)" ' - tmpfs .*size=65536k'
	assert_has "$output" 1777
}

@test "mounts: cgroup shows this container's hierarchies, read-only" {
	in_container 'cat /proc/self/mountinfo; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused'
	assert_has "$output" refused
	case $CGROUPS in
		v1)
			assert_has "$(mount_line /sys/fs/cgroup)" ' - tmpfs '
			assert_match "$(mount_line /sys/fs/cgroup/memory)" '/ /sys/fs/cgroup/memory ro.* - cgroup .*memory'
			assert_has "$(mount_line /sys/fs/cgroup/pids)" ' - cgroup '
			;;
		v2) assert_match "$(mount_line /sys/fs/cgroup)" '/ /sys/fs/cgroup ro.* - cgroup2 ' ;;
	esac
}

@test "mounts: cgroup without a cgroup namespace shows the container's own part" {
	requires_cgroup_v1
	config '.linux.namespaces |= map(select(.type != "cgroup"))'
	in_container 'cat /sys/fs/cgroup/pids/cgroup.procs | wc -l; ls /sys/fs/cgroup/pids; cat /proc/self/mountinfo'
	assert_has "$output" pids.max
	assert_has "$(mount_line /sys/fs/cgroup/pids)" "$ID"
}

@test "mounts: the cgroup mount has the symlinks of joint v1 controllers" {
	requires_cgroup_v1
	local link
	link=$(find /sys/fs/cgroup -maxdepth 1 -type l -printf '%f\n' | head -n 1)
	[ "$link" ] || skip "host has no joint v1 controllers"
	in_container "readlink /sys/fs/cgroup/$link"
	assert_eq "$output" "$(readlink "/sys/fs/cgroup/$link")"
}

@test "mounts: a writable cgroup mount takes sub-cgroups, and delete removes them" {
	requires_controller pids
	config '.mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end)'
	local dir=/sys/fs/cgroup
	[ "$CGROUPS" = v2 ] || dir+=/pids
	set_args sh -c "mkdir $dir/sub && echo made; sleep 1000"
	start_container
	wait_for 5 grep -q made "$T/$ID.out"
	moat delete -f "$ID"
	assert_nothing_left
}

@test "mounts: remount changes a mount that is there" {
	requires_moat "remount of a bind mount"
	mkdir "$T/dir"
	add_mount "{\"destination\": \"/a\", \"source\": \"$T/dir\", \"options\": [\"bind\"]}"
	add_mount '{"destination": "/a", "type": "none", "source": "none", "options": ["remount", "bind", "ro", "noexec"]}'
	in_container 'cat /proc/self/mountinfo; touch /a/file 2>&1 || :'
	# That it is read-only is the host's to keep in a VM, and not told to the guest.
	[ "$MOAT_MODE" = vm ] || assert_match "$(mount_line /a | cut -d' ' -f6)" '^ro,'
	assert_match "$(mount_line /a | cut -d' ' -f6)" ',noexec'
	assert_eq "$(mount_line /a | wc -l)" 1
	assert_has "$output" '/a/file: Read-only file system'
}

@test "mounts: remount of a file system keeps its content and changes its options" {
	add_mount '{"destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]}'
	add_mount '{"destination": "/a/sub", "type": "tmpfs", "source": "tmpfs"}'
	add_mount '{"destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "ro", "size=2m"]}'
	in_container 'cat /proc/self/mountinfo; ls -d /a/sub; touch /a/x 2>/dev/null || echo refused'
	assert_has "$output" $'/a/sub\nrefused'
	assert_match "$(mount_line /a)" 'size=2048k'
}

@test "mounts: overlay with its options" {
	mkdir "$T/ov"
	# Its layers can't lie on every file system: take one that can.
	mount -t tmpfs none "$T/ov"
	snapshot_host
	mkdir "$T"/ov/{lower,upper,work}
	echo low >"$T/ov/lower/file"
	add_mount "{\"destination\": \"/o\", \"type\": \"overlay\", \"source\": \"overlay\", \"options\": [\"lowerdir=$T/ov/lower\", \"upperdir=$T/ov/upper\", \"workdir=$T/ov/work\"]}"
	in_container 'cat /o/file; echo up >/o/file'
	assert_eq "$output" low
	assert_eq "$(<"$T/ov/upper/file")" up
	assert_eq "$(<"$T/ov/lower/file")" low
	umount "$T/ov"
	snapshot_host
}

@test "mounts: idmap shifts the owners of a bind mount" {
	requires_moat "idmapped mounts"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
	mkdir "$T/dir"
	: >"$T/dir/file"
	chown 1000:1001 "$T/dir/file"
	add_mount "{\"destination\": \"/m\", \"source\": \"$T/dir\", \"options\": [\"bind\", \"idmap\"],
		\"uidMappings\": [{\"containerID\": 0, \"hostID\": 500000, \"size\": 65536}],
		\"gidMappings\": [{\"containerID\": 0, \"hostID\": 600000, \"size\": 65536}]}"
	in_container 'stat -c %u:%g /m/file'
	assert_eq "$output" 501000:601001
}

@test "mounts: ridmap shifts mounts below too, idmap does not" {
	requires_moat "idmapped mounts"
	mkdir "$T/dir"
	mount -t tmpfs none "$T/dir"
	mkdir "$T/dir/sub"
	mount -t tmpfs none "$T/dir/sub"
	snapshot_host
	: >"$T/dir/sub/file"
	local kind map='[{"containerID": 0, "hostID": 500000, "size": 65536}]'
	for kind in idmap ridmap; do
		add_mount "{\"destination\": \"/$kind\", \"source\": \"$T/dir\", \"options\": [\"rbind\", \"$kind\"], \"uidMappings\": $map, \"gidMappings\": $map}"
	done
	in_container 'stat -c %u /idmap /idmap/sub/file /ridmap /ridmap/sub/file'
	assert_eq "$output" $'500000\n0\n500000\n500000'
	umount "$T/dir/sub" "$T/dir"
	snapshot_host
}

@test "mounts: mappings of a mount need both kinds, and a bind" {
	requires_moat "idmapped mounts"
	local map='[{"containerID": 0, "hostID": 500000, "size": 65536}]'
	mkdir "$T/dir"
	add_mount "{\"destination\": \"/m\", \"source\": \"$T/dir\", \"options\": [\"bind\"], \"uidMappings\": $map}"
	fails 1 'gidMappings' create_container
	assert_nothing_left
}

@test "mounts: copy-symlink makes the link, src-nofollow binds it" {
	requires_moat "copy-symlink and src-nofollow"
	echo target >"$T/target"
	ln -s target "$T/link"
	add_mount "{\"destination\": \"/copied\", \"source\": \"$T/link\", \"options\": [\"bind\", \"copy-symlink\"]}"
	in_container 'readlink /copied'
	assert_eq "$output" target
	config '.mounts |= .[:-1]'
	ln -s nothing "$BUNDLE/rootfs/bound"
	add_mount "{\"destination\": \"/bound\", \"source\": \"$T/link\", \"options\": [\"bind\", \"src-nofollow\"]}"
	in_container 'readlink /bound'
	assert_eq "$output" target
}

@test "mounts: options of a container's own kind don't reach the kernel as data" {
	add_mount '{"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["no-such-option"]}'
	fails 1 '/x|no-such-option' create_container
	assert_nothing_left
}

@test "mounts: a destination that is not absolute is below the root, as runc has it" {
	add_mount '{"destination": "relative/dir", "type": "tmpfs", "source": "tmpfs"}'
	# The spec asks for absolute paths: an error is right as well.
	run_container 'cut -d" " -f5 /proc/self/mountinfo'
	[ "$status" -ne 0 ] || assert_has "$output" /relative/dir
}

@test "mounts: mounting over / is refused" {
	add_mount '{"destination": "/", "type": "tmpfs", "source": "tmpfs"}'
	attempt create_container
	[ "$status" -ne 0 ] || moat delete -f "$ID"
	assert_nothing_left
}

@test "mounts: a hundred of them" {
	mkdir "$T/dir"
	config --arg dir "$T/dir" '.mounts += [range(100) | {destination: "/many/\(.)", source: $dir, options: ["rbind", "ro", "nosuid"]}]'
	in_container 'grep -c " /many/" /proc/self/mountinfo'
	assert_eq "$output" 100
}

@test "mounts: none but the asked ones, in the container" {
	in_container 'cut -d" " -f5 /proc/self/mountinfo'
	refute_has "$output" "$T"
	refute_has "$output" "/run/"
}
