# Engines whose containers are microVMs, because they call moat by its name moat-vm: containerd, podman and
# docker, each with systemd for the cgroups as on most hosts. In the test VM, which has a KVM:
# `tests/vm/vm-check --vm tests/integration/engines/vm.bats`.

load lib

IMAGE=localhost/busybox:latest

# ---- the engines --------------------------------------------------------------------------------

engine_needs() {
	requires_moat "VM mode"
	[ "$MOAT_MODE" = vm ] || skip "only with MOAT_MODE=vm are an engine's containers microVMs"
	requires_systemd
}

engine_start() {
	# At the top: systemd nests slices by the dashes of their names.
	CGROUP=moatengine$$.slice
	# podman's, ctr's and docker's.
	STATE="/run/$RUNTIME $ENGINE/state/moat $ENGINE/dockerd.run/runtime-tested/moby"
	ln -s "$MOAT" "$ENGINE/bin/moat-vm"
	local oci
	oci=$(oci_image)

	configure_podman
	export CONTAINERS_CONF=$ENGINE/containers.conf
	house_command podman --storage-driver overlay --root "$ENGINE/root" --runroot "$ENGINE/run" --tmpdir "$ENGINE/tmp"
	# Where podman mounts network namespaces; it stays.
	in_house sh -c 'mkdir /run/netns && mount --bind /run/netns /run/netns && mount --make-shared /run/netns'
	house_command skopeo --insecure-policy
	"$ENGINE/bin/skopeo" copy -q "oci:$oci:latest" "containers-storage:[overlay@$ENGINE/root+$ENGINE/run]$IMAGE"

	start_containerd moat
	tar -C "$oci" -c . | "$ENGINE/bin/ctr" image import --base-name localhost/busybox -

	start_dockerd "$ENGINE/bin/moat-vm"
	"$ENGINE/bin/skopeo" copy -q "oci:$oci:latest" "docker-archive:$ENGINE/image.tar:$IMAGE"
	"$ENGINE/bin/docker" load -q -i "$ENGINE/image.tar"
}

engine_stop() { end_daemons_and_group; }

engine_sweep() {
	podman rm --all --force --time 0
	docker rm --force "$ID"
	local id
	for id in $(ctr container list -q); do
		remove_task "$id" || :
	done
}

# ---- words --------------------------------------------------------------------------------------

task_flags() { echo --runc-binary "$ENGINE/bin/moat-vm" --runc-root "$ENGINE/state" --runc-systemd-cgroup --cgroup "$CGROUP:ctr:$ID"; }
start_task() { ctr run --detach $(task_flags) "${@:1:$#-2}" $IMAGE "$ID" "${@: -2}" >"$T/$ID.out" 2>&1; }
exec_in() { ctr task exec --exec-id "x$((exec_count = ${exec_count:-0} + 1))" "$ID" "$@"; }
task_is() { [ "$(ctr task list | awk -v id="$ID" '$1 == id { print $3 }')" = "$1" ]; }
task_pid() { ctr task list | awk -v id="$ID" '$1 == id { print $2 }'; }
remove_task() {
	ctr task rm --force "${1:-$ID}" >/dev/null 2>&1 || :
	ctr container rm "${1:-$ID}"
}

# run_image [FLAGS...] IMAGE COMMAND...: `podman run` of the container $ID.
run_flags() { echo --name "$ID" --cgroup-parent "$CGROUP"; }
run_image() { podman --runtime "${VM_RUNTIME:-$ENGINE/bin/moat-vm}" run $(run_flags) "$@"; }
start_image() { run_image --detach "$@" >"$T/$ID.out"; }
inspect() { podman inspect --format "{{$1}}" "$ID"; }
log_has() { podman logs "$ID" 2>&1 | grep -q "$1"; }

# A script that ends with status 5 at SIGUSR1, and says when it listens.
TRAP='trap "exit 5" USR1; echo ready; while :; do sleep 0.1; done'

# ---- containerd ---------------------------------------------------------------------------------

@test "vm: containerd: another kernel, stdout and stderr, an exit status" {
	attempt ctr run --rm $(task_flags) $IMAGE "$ID" sh -c 'uname -r; echo err >&2; exit 7'
	assert_status 7
	assert_match "$output" '-moat$'
	assert_eq "$stderr" err stderr
}

@test "vm: containerd: stdin, byte for byte, and its end" {
	head -c 300000 /dev/urandom >"$T/in"
	ctr run --rm $(task_flags) $IMAGE "$ID" sha256sum <"$T/in" >"$T/out"
	assert_eq "$(cut -d' ' -f1 "$T/out")" "$(sha256sum "$T/in" | cut -d' ' -f1)"
}

@test "vm: containerd: run -t has a terminal of the right size" {
	attempt on_terminal ctr run --rm -t $(task_flags) $IMAGE "$ID" sh -c "tty; uname -r; $AWAIT_SIZE; exit 3"
	assert_status 3
	assert_match "$output" $'^/dev/pts/0\n.*-moat'
}

@test "vm: containerd: a program that is not there, or can't be executed" {
	attempt ctr run --rm $(task_flags) $IMAGE "$ID" nosuch
	[ "$status" -ne 0 ]
	assert_has "$stderr" 'exec: "nosuch": executable file not found in $PATH'
	attempt ctr run --rm $(task_flags) $IMAGE "$ID" /etc/passwd
	[ "$status" -ne 0 ]
	assert_has "$stderr" "permission denied"
}

@test "vm: containerd: exec with its own status, streams, user and terminal" {
	start_task sleep 1000
	attempt exec_in sh -c 'echo $FROM_IMAGE; tr "\0" " " </proc/1/cmdline; uname -r; exit 9'
	assert_status 9
	assert_match "$output" $'^yes\nsleep 1000 .*-moat$'
	attempt ctr task exec --exec-id in "$ID" cat <<<"through exec"
	assert_eq "$output" "through exec"
	attempt ctr task exec --exec-id user --user user --cwd /home/user "$ID" sh -c 'id -un; pwd'
	assert_eq "$output" $'user\n/home/user'
	attempt on_terminal ctr task exec -t --exec-id tty "$ID" sh -c "tty; $AWAIT_SIZE; exit 4"
	assert_status 4
	assert_has "$output" /dev/pts/
	attempt exec_in nosuch
	[ "$status" -ne 0 ]
	assert_has "$stderr" "executable file not found in \$PATH"
	task_is RUNNING
	remove_task
}

@test "vm: containerd: pause, resume, ps, metrics; the VM is as large as the limits" {
	start_task --memory-limit 134217728 --cpus 0.5 sleep 1000
	ctr task pause "$ID"
	task_is PAUSED
	ctr task resume "$ID"
	task_is RUNNING
	ctr task exec -d --exec-id more "$ID" sleep 2000
	attempt ctr task ps "$ID"
	assert_eq "$(sed 1d <<<"$output" | wc -l)" 2 processes
	attempt ctr task metrics "$ID"
	assert_status 0
	# With the guest's own kernel and the VMM.
	assert_match "$output" 'memory.usage_limit +273678336'
	attempt exec_in sh -c 'nproc; awk "/MemTotal/ { print \$2 < 196608 }" /proc/meminfo'
	assert_eq "$output" $'1\n1'
	remove_task
}

@test "vm: containerd: kill sends the signal that is asked for; rm --force ends what ignores TERM" {
	ctr run --detach $(task_flags) $IMAGE "$ID" sh -c "$TRAP" >"$T/out" 2>&1
	wait_for 5 traps_usr1
	ctr task kill -s USR1 "$ID"
	wait_for 5 task_is STOPPED
	attempt ctr task rm "$ID"
	assert_has "$stderr" "exit code 5"
	remove_task
	ctr run --detach $(task_flags) $IMAGE "$ID" sh -c 'trap "" TERM; sleep 1000 & wait' >"$T/out" 2>&1
	local pid
	pid=$(task_pid)
	remove_task
	gone "$pid"
}

traps_usr1() { (((0x$(exec_in sed -n 's/^SigCgt:\t//p' /proc/1/status) >> 9) & 1)); }

@test "vm: containerd: --mount, bound for reading and for writing, and a tmpfs" {
	mkdir "$T/dir"
	attempt ctr run --rm $(task_flags) --mount "type=bind,src=$T/dir,dst=/mnt/rw,options=rbind:rw" \
		--mount "type=bind,src=$T/dir,dst=/mnt/ro,options=rbind:ro" \
		--mount "type=tmpfs,src=tmpfs,dst=/mnt/tmp,options=size=64k:nosuid" $IMAGE "$ID" \
		sh -c 'echo hi >/mnt/rw/file; chown 7:8 /mnt/rw/file; cat /mnt/ro/file; stat -f -c "%T %b" /mnt/tmp; touch /mnt/ro/x'
	assert_status 1
	assert_eq "$output" $'hi\ntmpfs 16'
	assert_has "$stderr" "Read-only file system"
	assert_eq "$(stat -c %u:%g "$T/dir/file") $(<"$T/dir/file")" "7:8 hi"
}

@test "vm: containerd: a task outlives containerd" {
	start_task sleep 1000
	local pid
	pid=$(task_pid)
	kill -KILL "$(<"$ENGINE/containerd.daemon")"
	run_containerd
	assert_eq "$(task_pid)" "$pid" pid
	attempt exec_in echo still here
	assert_eq "$output" "still here"
	remove_task
}

# ---- podman -------------------------------------------------------------------------------------

@test "vm: podman: another kernel, stdout and stderr, an exit status" {
	attempt run_image --rm $IMAGE sh -c 'uname -r; echo err >&2; exit 7'
	assert_status 7
	assert_match "$output" '-moat$'
	assert_eq "$stderr" err stderr
}

@test "vm: podman: run -i hands stdin on, byte for byte, and its end" {
	head -c 300000 /dev/urandom >"$T/in"
	run_image --rm -i $IMAGE sha256sum <"$T/in" >"$T/out"
	assert_eq "$(cut -d' ' -f1 "$T/out")" "$(sha256sum "$T/in" | cut -d' ' -f1)"
}

@test "vm: podman: run -it has a terminal of the right size" {
	attempt on_terminal podman --runtime "$ENGINE/bin/moat-vm" run --rm -it $(run_flags) $IMAGE \
		sh -c "tty; uname -r; $AWAIT_SIZE; exit 3"
	assert_status 3
	assert_match "$output" $'^/dev/pts/0\n.*-moat'
}

@test "vm: podman: exit status 126 and 127" {
	attempt run_image --rm $IMAGE /etc/passwd
	assert_status 126
	assert_has "$stderr" "permission denied"
	attempt run_image --rm $IMAGE nosuch
	assert_status 127
	assert_has "$stderr" 'executable file not found in $PATH'
}

@test "vm: podman: run -d, and at once ps, inspect, logs, exec; wait, rm" {
	start_image $IMAGE sh -c 'echo out; echo err >&2; until [ -e /tmp/go ]; do sleep 0.1; done; exit 4'
	assert_match "$(podman ps --format '{{.Names}} {{.Status}}')" "^$ID Up "
	assert_eq "$(inspect '.State.Status')" running
	assert_eq "$(inspect .OCIRuntime)" "$ENGINE/bin/moat-vm"
	quiet kill -0 "$(inspect .State.Pid)"
	attempt podman exec "$ID" uname -r
	assert_match "$output" '-moat$'
	wait_for 5 log_has err
	attempt podman logs "$ID"
	assert_eq "$output" out
	assert_eq "$stderr" err
	podman exec "$ID" touch /tmp/go
	assert_eq "$(podman wait "$ID")" 4
	assert_eq "$(inspect .State.ExitCode)" 4
	podman rm "$ID"
}

@test "vm: podman: exec with its own status, streams, user and terminal" {
	start_image $IMAGE sleep 1000
	assert_exec podman 127
	attempt on_terminal podman exec -it "$ID" sh -c "tty; $AWAIT_SIZE; exit 4"
	assert_status 4
	assert_has "$output" /dev/pts/
	podman exec -d "$ID" sh -c 'echo made >/tmp/made'
	wait_for 5 podman exec "$ID" test -s /tmp/made
	podman rm --force --time 0 "$ID"
}

@test "vm: podman: kill, restart, stop, start" {
	start_image $IMAGE sh -c "echo run >>/runs; $TRAP"
	wait_for 5 log_has ready
	podman kill -s USR1 "$ID"
	assert_eq "$(podman wait "$ID")" 5
	podman start "$ID"
	podman restart --time 0 "$ID"
	podman stop --time 0 "$ID"
	assert_eq "$(inspect .State.ExitCode)" 137
	podman start "$ID"
	wait_for 5 has_runs 4
	podman kill "$ID"
	assert_eq "$(podman wait "$ID")" 137
	podman rm "$ID"
}

has_runs() { [ "$(podman exec "$ID" cat /runs | wc -l)" -eq "$1" ]; }

@test "vm: podman: stop asks, and the program's status counts" {
	start_image $IMAGE sh -c 'trap "exit 6" TERM; echo ready; while :; do sleep 0.1; done'
	wait_for 5 log_has ready
	podman stop --time 60 "$ID"
	assert_eq "$(inspect .State.ExitCode)" 6
	podman rm "$ID"
}

@test "vm: podman: pause and unpause; a paused container can be removed" {
	start_image $IMAGE sleep 1000
	podman pause "$ID"
	assert_eq "$(inspect .State.Status)" paused
	podman unpause "$ID"
	assert_eq "$(podman exec "$ID" echo goes on)" "goes on"
	podman pause "$ID"
	podman rm --force --time 0 "$ID"
}

@test "vm: podman: --memory and --cpus make the VM, and hold in it; update, stats" {
	start_image --memory 128m --cpus 0.5 --pids-limit 10 $IMAGE sleep 1000
	attempt podman exec "$ID" sh -c 'cd /sys/fs/cgroup; cat memory.max cpu.max pids.max; nproc; awk "/MemTotal/ { print \$2 < 196608 }" /proc/meminfo'
	assert_eq "$output" $'134217728\n50000 100000\n10\n1\n1'
	podman update --memory 64m "$ID"
	assert_eq "$(podman exec "$ID" cat /sys/fs/cgroup/memory.max)" 67108864
	attempt podman stats --no-stream --format '{{.MemUsage}}' "$ID"
	assert_match "$output" '^[1-9].* / 134.2MB$'
	podman rm --force --time 0 "$ID"
	attempt run_image --rm --memory 64m $IMAGE dd if=/dev/zero of=/dev/null bs=100M count=1
	assert_status 137
}

@test "vm: podman: -v, bound for reading and for writing, and a volume, with the right owners" {
	mkdir "$T/dir"
	attempt run_image --rm --user 7:8 -v "$T/dir:/mnt/rw" -v "$T/dir:/mnt/ro:ro" -v "$ID:/mnt/volume:U" $IMAGE \
		sh -c 'touch /mnt/volume/x; cat /mnt/ro/file; id -u; touch /mnt/ro/x /mnt/rw/x' 
	assert_status 1
	refute [ -e "$T/dir/x" ]
	chmod 777 "$T/dir"
	echo hi >"$T/dir/file"
	attempt run_image --rm --user 7:8 -v "$T/dir:/mnt/rw" -v "$T/dir:/mnt/ro:ro" -v "$ID:/mnt/volume" $IMAGE \
		sh -c 'cat /mnt/ro/file; ls -n /mnt/volume/x | tr -s " " | cut -d" " -f 3,4; echo w >/mnt/rw/x; touch /mnt/ro/y'
	podman volume rm "$ID"
	assert_status 1
	assert_eq "$output" $'hi\n7 8'
	assert_has "$stderr" "touch: /mnt/ro/y: Read-only file system"
	assert_eq "$(stat -c %u:%g "$T/dir/x")" 7:8
}

@test "vm: podman: --network none and host" {
	attempt run_image --rm --network none $IMAGE ping -c 1 -w 5 127.0.0.1
	assert_status 0
	attempt run_image --rm --network host $IMAGE ping -c 1 -w 5 127.0.0.1
	assert_status 0
}

# The network namespace is the VMM's; what the engine makes in it must not be in the way.
@test "vm: podman: a container of a bridge network runs" {
	requires_test_vm "the host's bridges and packet filter"
	requires_path /usr/lib/cni/bridge "CNI plugins"
	modprobe -a bridge veth
	podman network create "$ID"
	attempt run_image --rm --network "$ID" $IMAGE ping -c 1 -w 5 127.0.0.1
	podman network rm "$ID"
	assert_status 0
}

@test "vm: podman: a health check is run in the guest" {
	start_image --health-cmd 'test -e /tmp/healthy' --health-interval disable $IMAGE sleep 1000
	refute podman healthcheck run "$ID"
	podman exec "$ID" touch /tmp/healthy
	podman healthcheck run "$ID"
	podman rm --force --time 0 "$ID"
}

@test "vm: podman: three containers at once" {
	local i pids=()
	for i in 1 2 3; do
		ID=$ID-$i run_image --rm --memory 64m $IMAGE sh -c "exit $i" &
		pids+=($!)
	done
	for i in 1 2 3; do
		attempt wait "${pids[i - 1]}"
		assert_status "$i"
	done
}

@test "vm: podman: a pod's containers" {
	podman --runtime "$ENGINE/bin/moat-vm" pod create --name "$ID" --cgroup-parent "$CGROUP" --share net,ipc,uts --infra-image $IMAGE \
		--infra-command "sleep 1000" --network none
	attempt podman --runtime "$ENGINE/bin/moat-vm" run --rm --pod "$ID" --name "${ID}c" $IMAGE uname -r
	podman pod rm --force --time 0 "$ID"
	assert_status 0
	assert_match "$output" '-moat$'
}

@test "vm: podman: a service manager's notify socket is podman's own affair; sockets for the container are refused" {
	NOTIFY_SOCKET=$T/notify attempt run_image --rm --sdnotify conmon $IMAGE true
	assert_status 0
	LISTEN_PID=1 LISTEN_FDS=1 attempt run_image --rm $IMAGE true
	assert_status 126
	assert_has "$stderr" "descriptors can't be passed on into a VM"
}

@test "vm: podman: moat.conf makes microVMs for the name moat; an annotation makes a plain container" {
	VM_RUNTIME=$MOAT
	in_house sh -c 'mkdir /etc/moat; echo "{\"mode\": \"vm\", \"vm\": {\"memory\": 268435456}}" >/etc/moat/moat.conf'
	attempt run_image --rm $IMAGE sh -c 'uname -r; awk "/MemTotal/ { print \$2 < 262144 }" /proc/meminfo'
	assert_status 0
	assert_match "$output" $'-moat\n1$'
	attempt run_image --rm --annotation org.moat.vm=false $IMAGE uname -r
	assert_eq "$output" "$(uname -r)" kernel
	in_house chmod 666 /etc/moat/moat.conf
	attempt run_image --rm $IMAGE true
	assert_status 126
	assert_has "$stderr" "/etc/moat/moat.conf: others than its owner may write to it"
	in_house rm -r /etc/moat
}

# ---- docker -------------------------------------------------------------------------------------

@test "vm: docker: run, exec, a terminal, kill" {
	attempt docker run --rm --name "$ID" --network none $(apparmor_flags) $IMAGE sh -c 'uname -r; echo err >&2; exit 7'
	assert_status 7
	assert_match "$output" '-moat$'
	assert_eq "$stderr" err stderr
	docker run --detach --name "$ID" --network none $(apparmor_flags) --memory 128m $IMAGE sh -c "$TRAP" >"$T/id"
	assert_eq "$(docker inspect --format '{{.State.Status}}' "$ID")" running
	[ ! -d /sys/kernel/security/apparmor ] || [ "$(apparmor_flags)" ] ||
		assert_eq "$(<"/proc/$(docker inspect --format '{{.State.Pid}}' "$ID")/attr/apparmor/current")" "docker-default (enforce)"
	attempt docker exec -u 1000:2000 "$ID" sh -c 'uname -r; id -g; exit 5'
	assert_status 5
	assert_match "$output" $'-moat\n2000$'
	attempt on_terminal docker exec -it "$ID" sh -c "tty; $AWAIT_SIZE; exit 4"
	assert_status 4
	docker kill -s USR1 "$ID"
	assert_eq "$(docker wait "$ID")" 5
	attempt docker logs "$ID"
	assert_eq "$output" ready
	docker rm "$ID"
}
