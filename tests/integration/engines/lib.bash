# What the tests of engines share. An engine is started by setup_file and killed by teardown_file, and
# lives in a house: one directory for all its files, $ENGINE, and one mount namespace in which /run is
# empty and what is written to /etc and /var goes into that directory. So nothing of it reaches the
# host, and all that a container leaves is found in one place.
#
# Each test file defines engine_start, engine_stop and engine_sweep (delete every container), names the
# runtime's state directories in $STATE, and gives its containers cgroups below /$CGROUP. It may define
# engine_needs, which skips its tests where the engine can't be had.
# A test gets $ID, a name for its container (further ones begin with it), and $T, a directory. When it
# ends it must have deleted its containers by itself: a cgroup, process, mount or state which is left
# is a failure.

load "$BATS_TEST_DIRNAME/../lib.bash"

# The commands of the house, and Debian's engines, should the machine have others in /usr/local.
PATH=${ENGINE+$ENGINE/bin:}/usr/sbin:/usr/bin:/sbin:/bin

# ---- set-up and clean-up ------------------------------------------------------------------------

setup_file() {
	export ENGINE=$BATS_FILE_TMPDIR/engine CGROUP=moat-engine-$$ HOUSE STATE
	STATE=$ENGINE/state
	# bats can't skip a file as a whole: setup does it, test by test.
	[ "$(engine_needs >&2 && echo met)" ] || return 0
	mkdir -p "$ENGINE/bin"
	# A container with a user namespace has to pass through to its files.
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/file" "$BATS_FILE_TMPDIR"
	house_open
	engine_start
	house_mounts >"$ENGINE/mounts"
}

engine_needs() { :; }

teardown_file() {
	[ "$HOUSE" ] || return 0
	engine_stop
	house_close
	find /sys/fs/cgroup -depth -type d -path "/sys/fs/cgroup*/$CGROUP*" -exec rmdir {} +
	wait_for 5 engine_is_gone && return
	echo "left by the engine:"
	engine_processes
	engine_cgroups
	engine_processes | cut -d' ' -f1 | xargs -r kill -KILL
	return 1
}

engine_is_gone() { [ -z "$(engine_processes)$(engine_cgroups)" ]; }

setup() {
	exec </dev/null
	T=$BATS_TEST_TMPDIR
	ID=t$$t
	[ "$HOUSE" ] || engine_needs
}

teardown() {
	[ "$HOUSE" ] || return 0
	wait_for 5 nothing_left && return
	echo "left by the test:"
	leftovers
	engine_sweep
	return 1
}

# ---- the house ----------------------------------------------------------------------------------

# house_open: make the mount namespace, out of that of the process $HOUSE_FROM if there is one; $HOUSE is a
# process that keeps it.
house_open() {
	nsenter --mount="/proc/${HOUSE_FROM:-self}/ns/mnt" -- unshare --mount --propagation private "$BATS_TEST_DIRNAME/house" "$ENGINE" 3>&- 4>&- &
	HOUSE=$!
	wait_for 10 test -e "$ENGINE/house/ready" || fail "the house did not open"
}

house_close() {
	kill "$HOUSE"
	wait "$HOUSE" || :
}

in_house() { nsenter --mount="/proc/$HOUSE/ns/mnt" -- "$@"; }

# house_mounts: its mount points; engines mount and unmount some again and again in another order.
house_mounts() { cut -d' ' -f5 "/proc/$HOUSE/mountinfo" | sort; }

# house_command NAME FLAGS...: NAME becomes a command that runs the program of that name with FLAGS in
# the house, for a minute at most, or as many as wait_for has patience for.
house_command() {
	local program
	program=$(type -P "$1")
	cat >"$ENGINE/bin/$1" <<-EOF
		#!/bin/sh
		exec nsenter --mount=/proc/$HOUSE/ns/mnt -- timeout --foreground -k 5 $((60 * PATIENCE)) $program ${@:2} "\$@"
	EOF
	chmod +x "$ENGINE/bin/$1"
}

# house_daemon NAME FLAGS...: run the daemon of that name in the house.
house_daemon() {
	nsenter --mount="/proc/$HOUSE/ns/mnt" -- "$@" >>"$ENGINE/daemon.log" 2>&1 3>&- 4>&- &
	echo $! >"$ENGINE/$1.daemon"
}

# await_daemon COMMAND...: wait until it answers COMMAND.
await_daemon() {
	wait_for 60 quiet "$@" || {
		tail -n 20 "$ENGINE/daemon.log"
		fail "the daemon does not answer"
	}
}

# start_containerd NAMESPACE: with its `ctr`, and no more of it than that needs.
start_containerd() {
	cat >"$ENGINE/config.toml" <<-EOF
		version = 2
		root = "$ENGINE/containerd.root"
		state = "$ENGINE/containerd.run"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$ENGINE/grpc"
		[ttrpc]
		  address = "$ENGINE/ttrpc"
	EOF
	house_command ctr --address "$ENGINE/grpc" --namespace "$1"
	run_containerd
}

# run_containerd: once more, when it has been ended.
run_containerd() {
	house_daemon containerd --config "$ENGINE/config.toml"
	await_daemon "$ENGINE/bin/ctr" version
}

# start_dockerd RUNTIME: for the containerd of start_containerd, with systemd for the cgroups, below the slice
# $CGROUP, and without all that it would do to the host's network.
start_dockerd() {
	house_command docker --host "unix://$ENGINE/socket" --config "$ENGINE/client"
	# With systemd and cgroup v2, dockerd has systemd make the cgroups unless told otherwise.
	house_daemon dockerd --host "unix://$ENGINE/socket" --data-root "$ENGINE/dockerd.root" --exec-root "$ENGINE/dockerd.run" \
		--containerd "$ENGINE/grpc" --pidfile "$ENGINE/dockerd.pid" --bridge none --iptables=false \
		--ip6tables=false --ip-forward=false --add-runtime "tested=$1" --default-runtime tested \
		--exec-opt native.cgroupdriver=systemd --cgroup-parent "$CGROUP"
	await_daemon "$ENGINE/bin/docker" version
}

# apparmor_flags: for `docker run`. dockerd loads its default profile with a tool that need not be there.
apparmor_flags() { [ "$(type -P apparmor_parser)" ] || echo --security-opt apparmor=unconfined; }

# configure_podman: without a network, and with systemd for the cgroups.
configure_podman() {
	cat >"$ENGINE/containers.conf" <<-EOF
		[containers]
		netns = "none"
		[engine]
		cgroup_manager = "systemd"
		events_logger = "none"
		lock_type = "file"
	EOF
}

# assert_exec CLI NOT_FOUND: `CLI exec` in the container $ID has user, directory, variables, status and streams of its own;
# NOT_FOUND is a pattern of its status for a program that is not there.
assert_exec() {
	attempt "$1" exec -e ADDED=1 -w /tmp -u 1000:2000 "$ID" sh -c 'echo $ADDED $PWD; id -u; id -g; exit 9'
	assert_status 9
	assert_eq "$output" $'1 /tmp\n1000\n2000'
	attempt "$1" exec "$ID" /etc/passwd
	assert_status 126
	attempt "$1" exec "$ID" nosuch
	assert_match "$status" "^$2\$"
	assert_has "$output$stderr" 'executable file not found in $PATH'
	attempt "$1" exec -i "$ID" cat <<<"through exec"
	assert_eq "$output" "through exec"
}

# end_daemon NAME: stop it, by force if it does not listen.
end_daemon() {
	local pid
	[ -e "$ENGINE/$1.daemon" ] || return 0
	pid=$(<"$ENGINE/$1.daemon")
	kill "$pid" 2>/dev/null || :
	wait_for 15 gone "$pid" || kill -KILL "$pid"
	wait "$pid" 2>/dev/null || :
}

# end_daemons_and_group: dockerd, its containerd, and the systemd group that their containers are in.
end_daemons_and_group() {
	end_daemon dockerd
	end_daemon containerd
	systemctl stop "$CGROUP"
}

quiet() { "$@" >/dev/null 2>&1; }

# ---- what is left -------------------------------------------------------------------------------

nothing_left() { [ -z "$(leftovers)" ]; }

leftovers() {
	house_mounts | comm -13 "$ENGINE/mounts" - | sed 's/^/mount: /'
	engine_cgroups | grep -vE "/$CGROUP(/conmon)?$" | sed 's/^/cgroup: /'
	engine_processes | sed 's/^/process: /'
	local state
	for state in $STATE; do
		in_house "$MOAT" --root "$state" list -q | sed 's/^/state: /'
	done
}

# engine_processes: the shims, monitors and runtimes of containers, which name a directory of the
# engine, and what is in the containers' cgroups.
engine_processes() {
	local pid
	{
		grep -lsaE "^[^[:cntrl:]]*(shim|conmon|$(basename "$MOAT"))[^/]*.*$ENGINE" /proc/[0-9]*/cmdline
		grep -lsE ":(/.*)?/$CGROUP/[^/]+" /proc/[0-9]*/cgroup
	} | cut -d/ -f3 | sort -u | while read -r pid; do
		echo "$pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
	done
}

# engine_cgroups: the parent of the containers' cgroups, and all below it.
engine_cgroups() { find /sys/fs/cgroup -path "/sys/fs/cgroup*/$CGROUP*" -type d; }

# ---- images -------------------------------------------------------------------------------------

# oci_image: the path of an OCI layout with two tagged images of the suite's busybox template, made
# once per run: `latest` and `user`, which runs as the user of that name.
oci_image() {
	local oci=$BATS_RUN_TMPDIR/image
	[ -d "$oci" ] || {
		umoci init --layout "$oci.new"
		umoci new --image "$oci.new:latest"
		umoci insert --image "$oci.new:latest" "$TEMPLATE/bundle/rootfs" /
		umoci insert --image "$oci.new:latest" "$TEMPLATE/own/rootfs" /
		umoci config --image "$oci.new:latest" --config.cmd /bin/sh --config.env PATH=/bin:/sbin \
			--config.env FROM_IMAGE=yes
		umoci config --image "$oci.new:latest" --tag user --config.user user --config.workingdir /home/user
		mv "$oci.new" "$oci"
	} >&2
	echo "$oci"
}

# ---- terminals and containers -------------------------------------------------------------------

# A script for on_terminal that ends when the container's terminal has got that size: most engines
# set it after the start.
AWAIT_SIZE='until [ "$(stty size)" = "40 120" ]; do sleep 0.05; done'

# frozen: the freezer has stopped the container (of this $ID).
frozen() {
	case $CGROUPS in
		v1) [ "$(cgroup_file freezer freezer.state)" = FROZEN ] ;;
		v2) cgroup_file freezer cgroup.events | grep -qx "frozen 1" ;;
	esac
}
