# podman runs containers with moat, through conmon.

load cli

CLI=podman

# ---- the engine ---------------------------------------------------------------------------------

engine_start() {
	# This host grants no CAP_SYS_RESOURCE, so podman's own default limits can't be set.
	cat >"$ENGINE/containers.conf" <<-EOF
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
		netns = "none"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "none"
		lock_type = "file"
		runtime_supports_nocgroup = ["moat"]
		[network]
		network_config_dir = "$ENGINE/networks"
	EOF
	cat >"$ENGINE/storage.conf" <<-EOF
		[storage]
		driver = "overlay"
		graphroot = "$ENGINE/root"
		runroot = "$ENGINE/run"
	EOF
	export RUN_FLAGS="--cgroup-parent /$CGROUP"
	export CONTAINERS_CONF=$ENGINE/containers.conf CONTAINERS_STORAGE_CONF=$ENGINE/storage.conf
	mkdir "$ENGINE/hooks"
	house_command podman --root "$ENGINE/root" --runroot "$ENGINE/run" --tmpdir "$ENGINE/tmp" \
		--hooks-dir "$ENGINE/hooks" --runtime "$MOAT"
	# podman gives no --root to the runtime (its --runtime-flag is not given to `delete`).
	STATE=/run/$RUNTIME

	house_command skopeo --insecure-policy
	local oci tag
	oci=$(oci_image)
	for tag in latest user; do
		"$ENGINE/bin/skopeo" copy -q "oci:$oci:$tag" \
			"containers-storage:[overlay@$ENGINE/root+$ENGINE/run]localhost/busybox:$tag"
	done
}

engine_stop() { :; }

engine_sweep() {
	podman pod rm --all --force --time 0 || :
	podman rm --all --force --time 0
}

remove_container() { podman rm --force --time 0 "${1:-$ID}" >/dev/null; }

# ---- run ----------------------------------------------------------------------------------------

@test "podman: run gives the output and the exit status of the program" {
	attempt run_image $IMAGE sh -c 'echo out; echo err >&2; exit 7'
	assert_status 7
	assert_eq "$output" out stdout
	assert_eq "$stderr" err stderr
}

@test "podman: exit status 125, 126 and 127" {
	attempt run_image --network nosuch:mode $IMAGE true
	assert_status 125
	attempt run_image $IMAGE /etc/passwd
	assert_status 126
	assert_has "$stderr" "permission denied"
	attempt run_image $IMAGE nosuch
	assert_status 127
	assert_has "$stderr" 'executable file not found in $PATH'
}

@test "podman: exit status 137 of a program that was killed" {
	start_image $IMAGE sleep 1000
	podman kill "$ID"
	attempt podman wait "$ID"
	assert_eq "$output" 137
	remove_container
}

@test "podman: run -i hands stdin on, byte for byte, and its end" {
	head -c 300000 /dev/urandom >"$T/in"
	run_image -i $IMAGE sha256sum <"$T/in" >"$T/out"
	assert_eq "$(cut -d' ' -f1 "$T/out")" "$(sha256sum "$T/in" | cut -d' ' -f1)"
}

@test "podman: run -t has a terminal of the right size" {
	attempt on_terminal podman run --rm -it --name "$ID" $RUN_FLAGS $IMAGE \
		sh -c "tty; $AWAIT_SIZE; exit 3"
	assert_status 3
	assert_has "$output" /dev/pts/0
}

@test "podman: run -dt has a terminal in the background" {
	start_image -t $IMAGE sleep 1000
	assert_eq "$(podman exec "$ID" readlink /proc/1/fd/0)" /dev/pts/0
	remove_container
}

@test "podman: run -d, logs, inspect, wait, rm" {
	start_image $IMAGE sh -c 'echo out; echo err >&2; until [ -e /tmp/go ]; do sleep 0.05; done; exit 4'
	assert_eq "$(inspect .State.Status)" running
	assert_eq "$(inspect .OCIRuntime)" "$MOAT"
	quiet kill -0 "$(container_pid)"
	wait_for 5 log_has err
	attempt podman logs "$ID"
	assert_eq "$output" out
	assert_eq "$stderr" err
	podman exec "$ID" touch /tmp/go
	assert_eq "$(podman wait "$ID")" 4
	assert_eq "$(inspect .State.ExitCode)" 4
	podman rm "$ID"
}

@test "podman: environment, --workdir, --entrypoint, --hostname, --umask" {
	attempt run_image --env ADDED=1 --workdir /tmp --entrypoint /bin/sh --hostname host.example --umask 0027 \
		$IMAGE -c 'echo $FROM_IMAGE $ADDED $PWD; hostname; umask'
	assert_eq "$output" $'yes 1 /tmp\nhost.example\n0027'
}

@test "podman: --user, --group-add and the image's user" {
	attempt run_image --user user --group-add extra $IMAGE id
	assert_eq "$output" "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"
	attempt run_image --user 7:8 $IMAGE id
	assert_eq "$output" "uid=7(7) gid=8(8) groups=8(8)"
	attempt run_image localhost/busybox:user sh -c 'id -un; pwd'
	assert_eq "$output" $'user\n/home/user'
}

@test "podman: --preserve-fds" {
	attempt run_image --preserve-fds 2 $IMAGE sh -c 'cat <&3; cat <&4' 3< <(echo three) 4< <(echo four)
	assert_eq "$output" $'three\nfour'
}

@test "podman: ten containers at once" {
	local i pids=()
	for i in {1..10}; do
		ID=$ID-$i run_image $IMAGE sh -c "exit $i" &
		pids+=($!)
	done
	for i in {1..10}; do
		attempt wait "${pids[i - 1]}"
		assert_status "$i"
	done
}

@test "podman: --rootfs runs a directory without an image" {
	make_rootfs "$T/rootfs"
	attempt run_image --rootfs "$T/rootfs" sh -c 'echo done; exit 2'
	assert_status 2
	assert_eq "$output" done
}

@test "podman: --init reaps and hands signals on" {
	requires_path /usr/bin/tini-static tini-static
	start_image --init --init-path /usr/bin/tini-static $IMAGE sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for 5 log_has ready
	assert_match "$(podman exec "$ID" cat /proc/1/comm)" init
	podman kill -s TERM "$ID"
	assert_eq "$(podman wait "$ID")" 5
	remove_container
}

# ---- verbs --------------------------------------------------------------------------------------

@test "podman: exec runs beside the container, with its own exit status" {
	start_image $IMAGE sleep 1000
	assert_exec podman 127
	remove_container
}

@test "podman: exec -t has a terminal" {
	start_image $IMAGE sleep 1000
	attempt on_terminal podman exec -it "$ID" sh -c "tty; $AWAIT_SIZE; exit 4"
	assert_status 4
	assert_has "$output" /dev/pts/
	remove_container
}

@test "podman: exec -d returns while the program runs; top shows it" {
	start_image $IMAGE sleep 1000
	podman exec -d "$ID" sleep 2000
	wait_for 5 top_has "sleep 2000"
	top_has "sleep 1000"
	remove_container
}

@test "podman: pause stops the container, unpause lets it go on" {
	start_image $IMAGE sleep 1000
	podman pause "$ID"
	assert_eq "$(inspect .State.Status)" paused
	frozen
	podman unpause "$ID"
	assert_eq "$(inspect .State.Status)" running
	refute frozen
	remove_container
}

@test "podman: a paused container can be removed" {
	start_image $IMAGE sleep 1000
	podman pause "$ID"
	remove_container
}

@test "podman: stats has the cgroup's figures" {
	requires_controller memory pids
	start_image --memory 64m $IMAGE sleep 1000
	attempt podman stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' "$ID"
	assert_match "$output" '^1 .*[1-9].* / 67.11MB$'
	remove_container
}

@test "podman: kill sends the signal that is asked for" {
	start_image $IMAGE sh -c 'trap "exit 5" USR1; echo ready; while :; do sleep 0.05; done'
	wait_for 5 log_has ready
	podman kill -s USR1 "$ID"
	assert_eq "$(podman wait "$ID")" 5
	remove_container
}

@test "podman: update changes the limits of a running container" {
	requires_controller memory cpu
	start_image --memory 64m $IMAGE sleep 1000
	podman update --memory 32m --cpu-quota 25000 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 33554432 memory
	assert_eq "$(cgroup_value cpu.quota)" 25000 quota
	remove_container
}

@test "podman: stop asks, then kills" {
	start_image $IMAGE sh -c 'trap "exit 6" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for 5 log_has ready
	podman stop "$ID"
	assert_eq "$(inspect .State.ExitCode)" 6
	remove_container
	start_image $IMAGE sleep 1000
	podman stop --time 1 "$ID"
	assert_eq "$(inspect .State.ExitCode)" 137
	remove_container
}

@test "podman: start and restart run the container again" {
	start_image $IMAGE sh -c 'echo run >>/runs; exec sleep 1000'
	local pid
	pid=$(container_pid)
	podman restart --time 0 "$ID"
	status_is running
	gone "$pid"
	wait_for 5 has_runs 2
	podman stop --time 0 "$ID"
	podman start "$ID"
	wait_for 5 has_runs 3
	remove_container
}

@test "podman: rm --force ends a container with processes that ignore TERM" {
	start_image $IMAGE sh -c 'trap "" TERM; sleep 1000 & sleep 2000 & wait'
	local pid
	pid=$(container_pid)
	remove_container
	gone "$pid"
}

@test "podman: create, start --attach" {
	podman create --name "$ID" $RUN_FLAGS $IMAGE sh -c 'echo attached; exit 3'
	attempt podman start --attach "$ID"
	assert_status 3
	assert_eq "$output" attached
	remove_container
}

@test "podman: a health check is run in the container" {
	start_image --health-cmd 'test -e /tmp/healthy' --health-interval disable $IMAGE sleep 1000
	refute podman healthcheck run "$ID"
	podman exec "$ID" touch /tmp/healthy
	podman healthcheck run "$ID"
	remove_container
}

@test "podman: hooks get the state of the container" {
	cat >"$ENGINE/hooks/$ID.json" <<-EOF
		{ "version": "1.0.0", "stages": ["createRuntime", "poststop"], "when": { "annotations": { "hooked": "$ID" } },
		  "hook": { "path": "/bin/sh", "args": ["sh", "-c", "cat >>$T/states; echo >>$T/states"] } }
	EOF
	attempt run_image --annotation "hooked=$ID" $IMAGE true
	rm "$ENGINE/hooks/$ID.json"
	assert_status 0
	assert_eq "$(jq -r .status "$T/states")" $'creating\nstopped' "states"
}

# ---- confinement --------------------------------------------------------------------------------

@test "podman: --memory holds" {
	requires_controller memory
	attempt run_image --memory 32m $IMAGE dd if=/dev/zero of=/dev/null bs=100M count=1
	assert_status 137
}

@test "podman: --pids-limit holds" {
	requires_controller pids
	attempt run_image --pids-limit 3 $IMAGE sh -c 'for i in 1 2 3 4; do sleep 10 & done'
	[ "$status" -ne 0 ]
	assert_has "$stderr" "can't fork"
}

@test "podman: --cpus and --cpuset-cpus are the cgroup's" {
	requires_controller cpu cpuset
	start_image --cpus 0.5 --cpuset-cpus 0 $IMAGE sleep 1000
	assert_eq "$(cgroup_value cpu.quota)" 50000 quota
	assert_eq "$(podman exec "$ID" sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)" 0 "list of CPUs"
	remove_container
}

@test "podman: --cgroups=disabled leaves the container in the caller's cgroup" {
	requires_moat "--cgroup-manager disabled"
	attempt podman run --rm --name "$ID" --cgroups=disabled $IMAGE cat /proc/self/cgroup
	assert_status 0
	refute_has "$output" libpod
}

@test "podman: --cap-drop, --cap-add and --privileged" {
	local caps='sed -n "s/^CapEff:\t//p" /proc/self/status'
	attempt run_image --cap-drop all --cap-add chown $IMAGE sh -c "$caps"
	assert_eq "$output" 0000000000000001
	attempt run_image --privileged $IMAGE sh -c 'touch /proc/sys/kernel/domainname && ls /dev/kmsg'
	assert_status 0
}

@test "podman: seccomp, podman's default profile and one's own" {
	attempt run_image $IMAGE grep Seccomp: /proc/self/status
	assert_match "$output" "2$"
	cat >"$T/profile" <<-EOF
		{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
		  "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }] }
	EOF
	attempt run_image --security-opt "seccomp=$T/profile" $IMAGE mkdir /tmp/d
	assert_has "$stderr" "No space left on device"
	attempt run_image --security-opt seccomp=unconfined $IMAGE grep Seccomp: /proc/self/status
	assert_match "$output" "0$"
}

@test "podman: --security-opt no-new-privileges, mask and unmask" {
	attempt run_image --security-opt no-new-privileges $IMAGE grep NoNewPrivs /proc/self/status
	assert_match "$output" "1$"
	attempt run_image --security-opt mask=/etc/group $IMAGE sh -c 'wc -c </etc/group'
	assert_eq "$output" 0
	attempt run_image --security-opt unmask=/proc/sys $IMAGE sh -c 'mount | grep -c " /proc/sys "'
	assert_eq "$output" 0
}

@test "podman: --read-only, with its writable tmpfs" {
	attempt run_image --read-only $IMAGE sh -c 'touch /tmp/file && touch /file'
	assert_status 1
	assert_has "$stderr" "touch: /file: Read-only file system"
}

@test "podman: --sysctl and --ulimit" {
	attempt run_image --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=4096 --ulimit nofile=64:128 \
		--ulimit nproc=1024:1024 $IMAGE sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; ulimit -Sn; ulimit -Hn'
	assert_eq "$output" $'1\n4096\n64\n128'
}

@test "podman: --device, and no other" {
	requires_path /dev/loop-control
	attempt run_image --device /dev/loop-control:/dev/lc:r $IMAGE sh -c 'exec 3</dev/lc'
	assert_status 0
	attempt run_image --cap-add mknod $IMAGE sh -c 'mknod /tmp/loop c 10 237 && exec 3</tmp/loop'
	[ "$status" -ne 0 ]
	assert_has "$stderr" "not permitted"
}

@test "podman: --oom-score-adj" {
	attempt run_image --oom-score-adj 500 $IMAGE cat /proc/self/oom_score_adj
	assert_eq "$output" 500
}

# ---- mounts and namespaces ----------------------------------------------------------------------

@test "podman: -v, bound for reading and for writing, and a volume" {
	mkdir "$T/dir"
	attempt run_image -v "$T/dir:/mnt/rw" -v "$T/dir:/mnt/ro:ro" -v "$ID:/mnt/volume" $IMAGE \
		sh -c 'echo hi >/mnt/rw/file; cat /mnt/ro/file; touch /mnt/volume/x /mnt/ro/x'
	podman volume rm "$ID"
	assert_status 1
	assert_eq "$output" hi
	assert_has "$stderr" "touch: /mnt/ro/x: Read-only file system"
}

@test "podman: --tmpfs, also with what the image has there" {
	attempt run_image --tmpfs /mnt/tmp:size=64k,mode=700 --tmpfs /etc:rw,tmpcopyup $IMAGE \
		sh -c 'grep "/mnt/tmp\|/etc tmpfs" /proc/mounts; stat -c %a /mnt/tmp; grep -c root /etc/passwd'
	assert_status 0
	assert_match "$output" "tmpfs /mnt/tmp tmpfs .*size=64k"
	assert_match "$output" $'\n700\n1$'
}

@test "podman: a mount point may be a symbolic link of the image, and stays inside" {
	mkdir "$T/dir"
	make_rootfs "$T/rootfs"
	ln -s /../../../../etc "$T/rootfs/link"
	attempt run_image -v "$T/dir:/link/inside" --rootfs "$T/rootfs" sh -c 'ls -d /etc/inside'
	assert_status 0
	[ ! -e /etc/inside ]
}

@test "podman: --shm-size" {
	attempt run_image --shm-size 1m $IMAGE df -k /dev/shm
	assert_match "$output" "shm +1024 "
}

@test "podman: --network none and host" {
	attempt run_image --network none $IMAGE sh -c 'ping -c1 -w1 127.0.0.1 >&2; readlink /proc/self/ns/net'
	assert_status 0
	refute_has "$output" "$(readlink /proc/self/ns/net)"
	attempt run_image --network host $IMAGE readlink /proc/self/ns/net
	assert_eq "$output" "$(readlink /proc/self/ns/net)" "network namespace"
}

@test "podman: the namespaces of another container, and the host's" {
	start_image --ipc shareable $IMAGE sleep 1000
	local ns=/proc/$(container_pid)/ns
	ID=${ID}b attempt run_image --network "container:$ID" --ipc "container:$ID" --pid "container:$ID" --uts host $IMAGE \
		sh -c 'for n in net ipc pid uts mnt; do readlink /proc/self/ns/$n; done'
	assert_status 0
	assert_eq "$(head -n 3 <<<"$output")" "$(readlink "$ns/net" "$ns/ipc" "$ns/pid")" namespaces
	assert_has "$output" "$(readlink /proc/self/ns/uts)"
	refute_has "$output" "$(readlink "$ns/mnt")"
	remove_container
}

@test "podman: --pid, --ipc, --uts and --network host" {
	attempt run_image --pid host --ipc host --uts host --network host $IMAGE \
		sh -c 'for n in pid ipc uts net mnt; do readlink /proc/self/ns/$n; done'
	assert_status 0
	assert_eq "$(head -n 4 <<<"$output")" "$(cd /proc/self/ns && readlink pid ipc uts net)" namespaces
	refute_has "$output" "$(readlink /proc/self/ns/mnt)"
}

@test "podman: --uidmap and --gidmap" {
	attempt run_image --uidmap 0:100000:65536 --gidmap 0:200000:65536 $IMAGE \
		sh -c 'id -u; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin/busybox'
	assert_status 0
	assert_eq "$(tr -s ' ' <<<"$output")" $'0\n 0 100000 65536\n 0 200000 65536\n0:0'
}

@test "podman: --cgroupns private and host" {
	attempt run_image --cgroupns private $IMAGE cat /proc/self/cgroup
	assert_match "$output" $':/(\n|$)'
	attempt run_image --cgroupns host $IMAGE cat /proc/self/cgroup
	assert_has "$output" "/$CGROUP/"
}

@test "podman: --systemd=always has what a systemd inside wants" {
	attempt run_image --systemd=always $IMAGE sh -c 'grep -o "^tmpfs /run \|^cgroup /sys/fs/cgroup/systemd " /proc/mounts'
	assert_status 0
	assert_has "$output" "tmpfs /run "
	[ "$CGROUPS" != v1 ] || assert_has "$output" "cgroup /sys/fs/cgroup/systemd "
}

# ---- pods ---------------------------------------------------------------------------------------

# remove_pod: also remove the pod's cgroups, which podman forgets in the hierarchies that it does not use.
remove_pod() {
	local pod
	pod=$(podman pod inspect --format '{{.Id}}' "$ID")
	podman pod rm --force --time 0 "$ID"
	find /sys/fs/cgroup -depth -path "*/$CGROUP/$pod" -exec rmdir {} +
}

@test "podman: a pod's containers share its namespaces" {
	podman pod create --name "$ID" --cgroup-parent "/$CGROUP" --share net,ipc,uts --infra-image $IMAGE \
		--infra-command "sleep 1000" --network none
	podman run -d --pod "$ID" --name "${ID}a" $IMAGE sleep 1000
	podman run -d --pod "$ID" --name "${ID}b" $IMAGE sleep 1000
	local namespace a b
	a=/proc/$(container_pid "${ID}a")/ns b=/proc/$(container_pid "${ID}b")/ns
	for namespace in net ipc uts; do
		assert_eq "$(readlink "$a/$namespace")" "$(readlink "$b/$namespace")" "$namespace namespace"
		[ "$(readlink "$a/$namespace")" != "$(readlink "/proc/self/ns/$namespace")" ] || fail "the host's $namespace"
	done
	[ "$(readlink "$a/pid")" != "$(readlink "$b/pid")" ] || fail "one pid namespace"
	attempt podman run --rm --pod "$ID" --name "${ID}c" $IMAGE hostname
	assert_eq "$output" "$ID"
	remove_pod
}

@test "podman: a pod pauses, stops and starts as one" {
	podman pod create --name "$ID" --cgroup-parent "/$CGROUP" --infra-image $IMAGE --infra-command "sleep 1000" \
		--network none
	podman run -d --pod "$ID" --name "${ID}a" $IMAGE sleep 1000
	podman pod pause "$ID"
	ID=${ID}a frozen
	podman pod unpause "$ID"
	podman pod stop --time 0 "$ID"
	assert_eq "$(inspect .State.Status "${ID}a")" exited
	podman pod start "$ID"
	assert_eq "$(inspect .State.Status "${ID}a")" running
	remove_pod
}
