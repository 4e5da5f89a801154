# containerd runs containers with moat, through its runc shim and `ctr`.

load lib

IMAGE=localhost/busybox:latest

# ---- the engine ---------------------------------------------------------------------------------

engine_start() {
	start_containerd "$CGROUP"
	tar -C "$(oci_image)" -c . | "$ENGINE/bin/ctr" image import --base-name localhost/busybox -
	# The shim adds containerd's namespace to the directory that --runc-root gives.
	STATE=$ENGINE/state/$CGROUP
}

engine_stop() { end_daemon containerd; }

engine_sweep() {
	local id
	for id in $(ctr container list -q); do
		remove_container "$id" || :
	done
}

# ---- words --------------------------------------------------------------------------------------

runtime_flags() {
	echo --runtime io.containerd.runc.v2 --runc-binary "$MOAT" --runc-root "$ENGINE/state"
}

# run_image [FLAGS...] -- COMMAND...: `ctr run --rm` of the container $ID.
run_image() { ctr_run --rm "$@"; }

# start_image [FLAGS...] -- COMMAND...: the same in the background, with `ctr run --detach`.
start_image() { ctr_run --detach "$@" >"$T/$ID.out" 2>&1; }

ctr_run() {
	part_at_dashes "$@"
	ctr run $(runtime_flags) "${flags[@]}" "$IMAGE" "$ID" "${command[@]}"
}

# exec_in [FLAGS...] -- COMMAND...: `ctr task exec` in the container $ID.
exec_in() {
	part_at_dashes "$@"
	exec_count=$((${exec_count:-0} + 1))
	ctr task exec --exec-id "x$exec_count" "${flags[@]}" "$ID" "${command[@]}"
}

# part_at_dashes ARGUMENTS...: what is before `--` to $flags, what is after it to $command.
part_at_dashes() {
	flags=()
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	command=("${@:2}")
}

remove_container() {
	ctr task rm --force "${1:-$ID}" >/dev/null 2>&1 || :
	ctr container rm "${1:-$ID}"
}

container_pid() { ctr task list | awk -v id="${1:-$ID}" '$1 == id { print $2 }'; }
task_status() { ctr task list | awk -v id="${1:-$ID}" '$1 == id { print $3 }'; }
task_is() { [ "$(task_status "${2-}")" = "$1" ]; }

# ---- run ----------------------------------------------------------------------------------------

@test "containerd: run gives the output and the exit status of the program" {
	attempt run_image -- sh -c 'echo out; echo err >&2; exit 7'
	assert_status 7
	assert_eq "$output" out stdout
	assert_eq "$stderr" err stderr
}

@test "containerd: a program killed by a signal ends with 128 and the signal" {
	run_image -- sleep 1000 &
	wait_for 5 task_is RUNNING
	kill -KILL "$(container_pid)"
	attempt wait $!
	assert_status 137
}

@test "containerd: run hands stdin on, byte for byte, and its end" {
	head -c 300000 /dev/urandom >"$T/in"
	run_image -- sha256sum <"$T/in" >"$T/out"
	assert_eq "$(cut -d' ' -f1 "$T/out")" "$(sha256sum "$T/in" | cut -d' ' -f1)"
}

@test "containerd: run -t has a terminal of the right size" {
	attempt on_terminal ctr run --rm -t $(runtime_flags) "$IMAGE" "$ID" sh -c "tty; $AWAIT_SIZE; exit 3"
	assert_status 3
	assert_has "$output" /dev/pts/0
}

@test "containerd: run -t -d has a terminal in the background" {
	attempt on_terminal ctr run -d -t $(runtime_flags) "$IMAGE" "$ID" sleep 1000
	assert_status 0
	attempt exec_in -- readlink /proc/1/fd/0
	assert_eq "$output" /dev/pts/0
	remove_container
}

@test "containerd: -d leaves the task running; kill ends it" {
	start_image -- sleep 1000
	assert_eq "$(task_status)" RUNNING
	quiet kill -0 "$(container_pid)"
	ctr task kill -s KILL "$ID"
	wait_for 5 task_is STOPPED
	attempt ctr task rm "$ID"
	assert_has "$stderr" "exit code 137"
	remove_container
}

@test "containerd: the image's environment, --env and --cwd" {
	attempt run_image --env ADDED=1 --cwd /tmp -- sh -c 'echo $FROM_IMAGE $ADDED $PWD'
	assert_eq "$output" "yes 1 /tmp"
}

@test "containerd: the image's user, groups and working directory" {
	IMAGE=localhost/busybox:user
	attempt run_image -- sh -c 'id -u; id -g; id -G; pwd'
	assert_eq "$output" $'1000\n1000\n1000 2000\n/home/user'
}

@test "containerd: --pid-file has the pid of the task" {
	start_image --pid-file "$T/pid" -- sleep 1000
	assert_eq "$(<"$T/pid")" "$(container_pid)"
	remove_container
}

@test "containerd: a program that is not there" {
	attempt run_image -- nosuch
	[ "$status" -ne 0 ]
	assert_has "$stderr" 'exec: "nosuch": executable file not found in $PATH'
}

@test "containerd: a program that can't be executed" {
	attempt run_image -- /etc/passwd
	[ "$status" -ne 0 ]
	assert_has "$stderr" "permission denied"
}

@test "containerd: sixteen containers at once" {
	local i pids=()
	for i in {1..16}; do
		ID=$ID-$i run_image -- sh -c "exit $i" &
		pids+=($!)
	done
	for i in {1..16}; do
		attempt wait "${pids[i - 1]}"
		assert_status "$i"
	done
}

# ---- verbs --------------------------------------------------------------------------------------

@test "containerd: exec runs beside the task, with its own exit status" {
	start_image -- sleep 1000
	attempt exec_in -- sh -c 'echo $FROM_IMAGE; cat /proc/1/cmdline | tr "\0" " "; exit 9'
	assert_status 9
	assert_eq "$output" $'yes\nsleep 1000 '
	remove_container
}

@test "containerd: exec --user and --cwd" {
	start_image -- sleep 1000
	attempt exec_in --user 1000:1000 --cwd /home/user -- sh -c 'id -u; id -g; pwd'
	assert_eq "$output" $'1000\n1000\n/home/user'
	attempt exec_in --user user -- id -un
	assert_eq "$output" user
	remove_container
}

@test "containerd: exec -t has a terminal" {
	start_image -- sleep 1000
	attempt on_terminal ctr task exec -t --exec-id tty "$ID" sh -c "tty; $AWAIT_SIZE; exit 4"
	assert_status 4
	assert_has "$output" /dev/pts/
	remove_container
}

@test "containerd: exec -d returns while the program runs" {
	start_image -- sleep 1000
	exec_in -d -- sleep 2000
	wait_for 5 has_processes 2
	remove_container
}

has_processes() { [ "$(ctr task ps "$ID" | sed 1d | wc -l)" -eq "$1" ]; }

@test "containerd: exec of a program that is not there leaves the task alone" {
	start_image -- sleep 1000
	attempt exec_in -- nosuch
	[ "$status" -ne 0 ]
	assert_has "$stderr" "executable file not found in \$PATH"
	assert_eq "$(task_status)" RUNNING
	remove_container
}

@test "containerd: attach sees what the task says, and its end" {
	start_image -- sh -c 'until [ -e /tmp/go ]; do sleep 0.05; done; echo attached; exit 3'
	ctr task attach "$ID" >"$T/attach" 2>&1 &
	exec_in -- touch /tmp/go
	attempt wait $!
	assert_status 3
	assert_eq "$(<"$T/attach")" attached
	ctr container rm "$ID"
}

@test "containerd: pause stops the task, resume lets it go on" {
	start_image -- sleep 1000
	local pid
	pid=$(container_pid)
	ctr task pause "$ID"
	assert_eq "$(task_status)" PAUSED
	frozen
	ctr task resume "$ID"
	assert_eq "$(task_status)" RUNNING
	refute frozen
	remove_container
}

@test "containerd: ps lists the task's processes" {
	start_image -- sh -c 'sleep 1000 & wait'
	wait_for 5 has_processes 2
	attempt ctr task ps "$ID"
	assert_match "$output" "(^|"$'\n'")$(container_pid) "
	remove_container
}

@test "containerd: metrics has the cgroup's figures" {
	start_image --memory-limit 67108864 -- sleep 1000
	attempt ctr task metrics --format json "$ID"
	assert_status 0
	assert_eq "$(jq '.. | objects | select(.pids).pids.current' <<<"$output")" 1 pids
	[[ $output == *67108864* ]]
	remove_container
}

@test "containerd: kill sends the signal that is asked for" {
	start_image -- sh -c 'trap "exit 5" USR1; trap "exit 6" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for 5 traps_signals
	ctr task kill -s USR1 "$ID"
	wait_for 5 task_is STOPPED
	attempt ctr task rm "$ID"
	assert_has "$stderr" "exit code 5"
	remove_container
}

traps_signals() { (((0x$(process_field "$(container_pid)" SigCgt) >> 9) & 1)); }

@test "containerd: kill --all reaches every process" {
	start_image -- sh -c 'trap "" TERM; sleep 1000 & wait'
	wait_for 5 has_processes 2
	local child
	child=$(pgrep -P "$(container_pid)")
	ctr task kill -a -s KILL "$ID"
	wait_for 5 task_is STOPPED
	gone "$child"
	remove_container
}

@test "containerd: task rm --force ends a running task" {
	start_image -- sleep 1000
	local pid
	pid=$(container_pid)
	ctr task rm --force "$ID" || :
	gone "$pid"
	ctr container rm "$ID"
}

@test "containerd: a task that died with its processes is stopped and can be removed" {
	start_image -- sleep 1000
	kill -KILL "$(container_pid)"
	wait_for 5 task_is STOPPED
	remove_container
}

@test "containerd: a task outlives a restart of containerd" {
	start_image -- sleep 1000
	local pid
	pid=$(container_pid)
	end_daemon containerd
	run_containerd
	assert_eq "$(container_pid)" "$pid" pid
	attempt exec_in -- echo still here
	assert_eq "$output" "still here"
	remove_container
}

@test "containerd: a stopped container starts again" {
	start_image -- sh -c 'exit 3'
	wait_for 5 task_is STOPPED
	ctr task rm "$ID" || :
	attempt ctr task start "$ID"
	assert_status 3
	remove_container
}

# ---- confinement --------------------------------------------------------------------------------

@test "containerd: --memory-limit is the cgroup's, and holds" {
	requires_controller memory
	start_image --memory-limit 33554432 -- sleep 1000
	assert_eq "$(cgroup_value memory.limit)" 33554432 limit
	remove_container
	attempt run_image --memory-limit 33554432 -- sh -c 'dd if=/dev/zero of=/dev/null bs=100M count=1'
	assert_status 137
}

@test "containerd: --cpus and --cpu-shares are the cgroup's" {
	requires_controller cpu
	start_image --cpus 0.5 --cpu-shares 512 -- sleep 1000
	assert_eq "$(cgroup_value cpu.quota)" 50000 quota
	[ "$CGROUPS" != v1 ] || assert_eq "$(cgroup_file cpu cpu.shares)" 512 shares
	remove_container
}

@test "containerd: --seccomp filters, with containerd's default profile" {
	attempt run_image -- unshare -U true
	assert_status 0
	attempt run_image --seccomp -- sh -c 'grep Seccomp: /proc/self/status; unshare -U true'
	assert_status 1
	assert_match "$output" "Seccomp:.2"
	assert_has "$stderr" "Operation not permitted"
}

@test "containerd: --seccomp-profile filters with a profile of one's own" {
	cat >"$T/profile" <<-EOF
		{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
		  "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }] }
	EOF
	attempt run_image --seccomp --seccomp-profile "$T/profile" -- mkdir /tmp/d
	assert_status 1
	assert_has "$stderr" "No space left on device"
}

@test "containerd: --read-only" {
	attempt run_image --read-only -- touch /file
	assert_status 1
	assert_has "$stderr" "Read-only file system"
}

@test "containerd: --cap-drop, --cap-add and no_new_privs" {
	local caps='sed -n "s/^CapEff:\t//p; s/^NoNewPrivs:\t//p" /proc/self/status'
	attempt run_image -- sh -c "$caps"
	assert_eq "$output" $'00000000a80425fb\n1'
	attempt run_image --cap-drop CAP_CHOWN --cap-add CAP_SYS_ADMIN --allow-new-privs -- sh -c "$caps"
	assert_eq "$output" $'00000000a82425fa\n0'
}

@test "containerd: --privileged has the host's devices and no masks" {
	attempt run_image --privileged -- sh -c 'ls /dev/kmsg && touch /proc/sys/kernel/domainname'
	assert_status 0
}

@test "containerd: the paths that containerd masks are masked" {
	attempt run_image -- sh -c 'cat /proc/kcore | wc -c; touch /proc/sys/kernel/domainname'
	assert_eq "$output" 0
	assert_has "$stderr" "Read-only file system"
}

@test "containerd: --device, and no other" {
	requires_path /dev/loop-control
	attempt run_image --device /dev/loop-control -- sh -c 'exec 3</dev/loop-control'
	assert_status 0
	attempt run_image --cap-add CAP_MKNOD -- sh -c 'mknod /tmp/loop c 10 237 && exec 3</tmp/loop'
	[ "$status" -ne 0 ]
	assert_has "$stderr" "not permitted"
}

# ---- namespaces, mounts, snapshots --------------------------------------------------------------

@test "containerd: its own network with loopback up, or the host's" {
	attempt run_image -- sh -c 'readlink /proc/self/ns/net; ip -o link | wc -l; ping -c1 -w1 127.0.0.1'
	assert_status 0
	refute_has "$output" "$(readlink /proc/self/ns/net)"
	attempt run_image --net-host -- readlink /proc/self/ns/net
	assert_eq "$output" "$(readlink /proc/self/ns/net)" "network namespace"
}

@test "containerd: --with-ns joins the namespaces of another container" {
	start_image -- sleep 1000
	local ns=/proc/$(container_pid)/ns
	ID=${ID}b attempt run_image --with-ns "network:$ns/net" --with-ns "ipc:$ns/ipc" --with-ns "uts:$ns/uts" \
		--with-ns "pid:$ns/pid" -- sh -c 'for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done'
	assert_status 0
	local theirs
	theirs=$(for n in net ipc uts pid; do readlink "$ns/$n"; done)
	assert_eq "$(head -n 4 <<<"$output")" "$theirs" namespaces
	refute_has "$output" "$(readlink "$ns/mnt")"
	remove_container
}

@test "containerd: --uidmap and --gidmap" {
	attempt run_image --uidmap 0:100000:65536 --gidmap 0:200000:65536 -- \
		sh -c 'id -u; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin/busybox'
	assert_status 0
	assert_eq "$(tr -s ' ' <<<"$output")" $'0\n 0 100000 65536\n 0 200000 65536\n0:0'
}

@test "containerd: --mount, bound for reading and for writing, and a tmpfs" {
	mkdir "$T/dir"
	attempt run_image --mount "type=bind,src=$T/dir,dst=/mnt/rw,options=rbind:rw" \
		--mount "type=bind,src=$T/dir,dst=/mnt/ro,options=rbind:ro" \
		--mount "type=tmpfs,src=tmpfs,dst=/mnt/tmp,options=size=64k:nosuid" -- \
		sh -c 'echo hi >/mnt/rw/file; cat /mnt/ro/file; stat -f -c "%T %b" /mnt/tmp; touch /mnt/ro/x'
	assert_status 1
	assert_eq "$output" $'hi\ntmpfs 16'
	assert_has "$stderr" "Read-only file system"
	assert_eq "$(<"$T/dir/file")" hi
}

@test "containerd: a mount that can't be made is an error which names it, and leaves nothing" {
	attempt run_image --mount "type=bind,src=$T/nosuch,dst=/mnt,options=rbind" -- true
	[ "$status" -ne 0 ]
	assert_has "$stderr" "$T/nosuch"
	ctr container rm "$ID" 2>/dev/null || :
}

@test "containerd: the overlayfs snapshotter" {
	attempt run_image --snapshotter overlayfs -- sh -c 'grep " / " /proc/mounts; echo x >/etc/passwd; cat /etc/passwd'
	assert_match "$output" $'^overlay / overlay .*\nx$'
	attempt run_image --snapshotter overlayfs -- head -n 1 /etc/passwd
	assert_match "$output" ^root:
}

@test "containerd: the native snapshotter" {
	attempt run_image --snapshotter native -- sh -c 'grep " / " /proc/mounts; echo x >/etc/passwd; cat /etc/passwd'
	refute_has "$output" overlay
	assert_match "$output" $'\nx$'
	attempt run_image --snapshotter native -- head -n 1 /etc/passwd
	assert_match "$output" ^root:
}

@test "containerd: --rootfs runs a directory without an image" {
	make_rootfs "$T/rootfs"
	attempt ctr run --rm $(runtime_flags) --rootfs "$T/rootfs" "$ID" /bin/sh -c '/bin/echo "$0" done; exit 2'
	assert_status 2
	assert_has "$output" done
}

@test "containerd: --no-pivot" {
	attempt run_image --no-pivot -- cat /etc/passwd
	assert_status 0
}

# ---- events -------------------------------------------------------------------------------------

@test "containerd: an out-of-memory kill is an event of containerd" {
	requires_controller memory
	ctr events >"$T/events" 2>&1 3>&- &
	spawned=$!
	start_image --memory-limit 33554432 -- \
		sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=100M count=1'
	wait_for 5 grep -q tasks/start "$T/events"
	exec_in -- touch /tmp/go
	wait_for 10 grep -q tasks/oom "$T/events"
	kill "$spawned"
	remove_container
}
