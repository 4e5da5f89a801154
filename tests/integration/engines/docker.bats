# docker runs containers with moat, through dockerd and its own containerd.

load cli

CLI=docker
RUN_FLAGS="--network none"

# ---- the engine ---------------------------------------------------------------------------------

engine_start() {
	export DOCKER_HOST=unix://$ENGINE/socket DOCKER_CONFIG=$ENGINE/client
	house_command docker
	start_dockerd
	# dockerd adds the runtime's name, its containerd the namespace.
	STATE=$ENGINE/run/runtime-tested/moby

	house_command skopeo --insecure-policy
	local oci tag
	oci=$(oci_image)
	for tag in latest user; do
		"$ENGINE/bin/skopeo" copy -q "oci:$oci:$tag" "docker-archive:$ENGINE/$tag.tar:localhost/busybox:$tag"
		"$ENGINE/bin/docker" load -q -i "$ENGINE/$tag.tar"
		rm "$ENGINE/$tag.tar"
	done
	# The first container on the host's network leaves a mount that stays.
	"$ENGINE/bin/docker" run --rm --network host "$IMAGE" true
}

# start_dockerd: without all that it would do to the host's network.
start_dockerd() {
	house_daemon dockerd --host "$DOCKER_HOST" --data-root "$ENGINE/root" --exec-root "$ENGINE/run" \
		--pidfile "$ENGINE/dockerd.pid" --bridge none --iptables=false --ip6tables=false --ip-forward=false \
		--add-runtime "tested=$MOAT" --default-runtime tested --init-path /usr/bin/tini-static --live-restore \
		--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$CGROUP"
	await_daemon "$ENGINE/bin/docker" version
}

# With --live-restore dockerd leaves its containers running, but there are none any more; its
# containerd it stops.
engine_stop() { end_daemon dockerd; }

engine_sweep() {
	local id
	for id in $(docker ps -aq); do
		docker rm -f "$id" || :
	done
}

remove_container() { docker rm --force "${1:-$ID}" >/dev/null; }

# ---- run ----------------------------------------------------------------------------------------

@test "docker: run gives the output and the exit status of the program" {
	attempt run_image $IMAGE sh -c 'echo out; echo err >&2; exit 7'
	assert_status 7
	assert_eq "$output" out stdout
	assert_eq "$stderr" err stderr
}

@test "docker: exit status 125, 126 and 127" {
	attempt run_image -v "$T/nosuch:relative" $IMAGE true
	assert_status 125
	attempt run_image $IMAGE /etc/passwd
	assert_status 126
	assert_has "$stderr" "permission denied"
	attempt run_image $IMAGE nosuch
	assert_status 127
	assert_has "$stderr" 'executable file not found in $PATH'
}

@test "docker: exit status 137 of a program that was killed" {
	start_image $IMAGE sleep 1000
	docker kill "$ID"
	attempt docker wait "$ID"
	assert_eq "$output" 137
	remove_container
}

@test "docker: run -i hands stdin on, byte for byte, and its end" {
	head -c 300000 /dev/urandom >"$T/in"
	run_image -i $IMAGE sha256sum <"$T/in" >"$T/out"
	assert_eq "$(cut -d' ' -f1 "$T/out")" "$(sha256sum "$T/in" | cut -d' ' -f1)"
}

@test "docker: run -t has a terminal of the right size" {
	attempt on_terminal docker run --rm -it --name "$ID" $RUN_FLAGS $IMAGE sh -c "tty; $AWAIT_SIZE; exit 3"
	assert_status 3
	assert_has "$output" /dev/pts/0
}

@test "docker: run -dt has a terminal in the background" {
	start_image -t $IMAGE sleep 1000
	assert_eq "$(docker exec "$ID" readlink /proc/1/fd/0)" /dev/pts/0
	remove_container
}

@test "docker: run -d, logs, inspect, wait, rm" {
	start_image $IMAGE sh -c 'echo out; echo err >&2; until [ -e /tmp/go ]; do sleep 0.05; done; exit 4'
	assert_eq "$(inspect .State.Status)" running
	assert_eq "$(inspect .HostConfig.Runtime)" tested
	quiet kill -0 "$(container_pid)"
	wait_for 5 log_has err
	attempt docker logs "$ID"
	assert_eq "$output" out
	assert_eq "$stderr" err
	docker exec "$ID" touch /tmp/go
	assert_eq "$(docker wait "$ID")" 4
	assert_eq "$(inspect .State.ExitCode)" 4
	docker rm "$ID"
}

@test "docker: environment, --workdir, --entrypoint, --hostname" {
	attempt run_image --env ADDED=1 --workdir /tmp --entrypoint /bin/sh --hostname host --domainname example \
		$IMAGE -c 'echo $FROM_IMAGE $ADDED $PWD; hostname; cat /proc/sys/kernel/domainname'
	assert_eq "$output" $'yes 1 /tmp\nhost\nexample'
}

@test "docker: --user, --group-add and the image's user" {
	attempt run_image --user user --group-add 3000 $IMAGE id
	assert_eq "$output" "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra),3000"
	attempt run_image --user 7:8 $IMAGE id
	assert_eq "$output" "uid=7 gid=8 groups=8"
	attempt run_image localhost/busybox:user sh -c 'id -un; pwd'
	assert_eq "$output" $'user\n/home/user'
}

@test "docker: ten containers at once" {
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

@test "docker: --init reaps and hands signals on" {
	requires_path /usr/bin/tini-static tini-static
	start_image --init $IMAGE sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for 5 log_has ready
	assert_match "$(docker exec "$ID" cat /proc/1/comm)" init
	docker kill -s TERM "$ID"
	assert_eq "$(docker wait "$ID")" 5
	remove_container
}

# ---- verbs --------------------------------------------------------------------------------------

@test "docker: exec runs beside the container, with its own exit status" {
	start_image $IMAGE sleep 1000
	assert_exec docker '12[67]'
	remove_container
}

@test "docker: exec --privileged has the capabilities that the container lacks" {
	start_image --cap-drop all $IMAGE sleep 1000
	assert_match "$(docker exec "$ID" grep CapEff /proc/self/status)" 0000000000000000
	refute_has "$(docker exec --privileged "$ID" grep CapEff /proc/self/status)" 0000000000000000
	remove_container
}

@test "docker: exec -t has a terminal" {
	start_image $IMAGE sleep 1000
	attempt on_terminal docker exec -it "$ID" sh -c "tty; $AWAIT_SIZE; exit 4"
	assert_status 4
	assert_has "$output" /dev/pts/
	remove_container
}

@test "docker: exec -d returns while the program runs; top shows it" {
	start_image $IMAGE sleep 1000
	docker exec -d "$ID" sleep 2000
	wait_for 5 top_has "sleep 2000"
	top_has "sleep 1000"
	remove_container
}

@test "docker: attach hears the container, and its end" {
	start_image -i $IMAGE sh -c 'read line; echo "heard $line"; exit 6'
	# At the end of its input `docker attach` may drop the output: keep the input open.
	mkfifo "$T/input"
	exec 9<>"$T/input"
	echo hello >&9
	attempt docker attach "$ID" <&9
	assert_status 6
	assert_eq "$output" "heard hello"
	remove_container
}

@test "docker: pause stops the container, unpause lets it go on" {
	start_image $IMAGE sleep 1000
	docker pause "$ID"
	assert_eq "$(inspect .State.Status)" paused
	frozen
	docker unpause "$ID"
	assert_eq "$(inspect .State.Status)" running
	refute frozen
	remove_container
}

@test "docker: a paused container can be removed" {
	start_image $IMAGE sleep 1000
	docker pause "$ID"
	remove_container
}

@test "docker: stats has the cgroup's figures" {
	requires_controller memory pids
	start_image --memory 64m $IMAGE sleep 1000
	attempt docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' "$ID"
	assert_match "$output" '^1 .*[1-9].* / 64MiB$'
	remove_container
}

@test "docker: kill sends the signal that is asked for" {
	start_image $IMAGE sh -c 'trap "exit 5" USR1; echo ready; while :; do sleep 0.05; done'
	wait_for 5 log_has ready
	docker kill -s USR1 "$ID"
	assert_eq "$(docker wait "$ID")" 5
	remove_container
}

@test "docker: run hands on the signals that it gets" {
	docker run --rm --name "$ID" $RUN_FLAGS $IMAGE sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done' &
	wait_for 10 log_has ready
	kill -TERM $!
	attempt wait $!
	assert_status 5
}

@test "docker: stop asks, then kills" {
	start_image $IMAGE sh -c 'trap "exit 6" TERM; echo ready; while :; do sleep 0.05; done'
	wait_for 5 log_has ready
	docker stop "$ID"
	assert_eq "$(inspect .State.ExitCode)" 6
	remove_container
	start_image $IMAGE sleep 1000
	docker stop --time 1 "$ID"
	assert_eq "$(inspect .State.ExitCode)" 137
	remove_container
}

@test "docker: start and restart run the container again" {
	start_image $IMAGE sh -c 'echo run >>/runs; exec sleep 1000'
	local pid
	pid=$(container_pid)
	docker restart --time 0 "$ID"
	status_is running
	gone "$pid"
	wait_for 5 has_runs 2
	docker stop --time 0 "$ID"
	docker start "$ID"
	wait_for 5 has_runs 3
	remove_container
}

@test "docker: --restart runs a container that fails again" {
	start_image --restart on-failure:2 $IMAGE sh -c 'echo run >>/runs; exit 1'
	wait_for 15 was_restarted 2
	wait_for 5 status_is exited
	remove_container
}

was_restarted() { [ "$(inspect .RestartCount)" -eq "$1" ]; }

@test "docker: rm --force ends a container with processes that ignore TERM" {
	start_image $IMAGE sh -c 'trap "" TERM; sleep 1000 & sleep 2000 & wait'
	local pid
	pid=$(container_pid)
	remove_container
	gone "$pid"
}

@test "docker: create, start --attach" {
	docker create --name "$ID" $RUN_FLAGS $IMAGE sh -c 'echo attached; exit 3'
	attempt docker start --attach "$ID"
	assert_status 3
	assert_eq "$output" attached
	remove_container
}

@test "docker: a health check is run in the container" {
	start_image --health-cmd 'test -e /tmp/healthy' --health-interval 0.2s --health-retries 1 $IMAGE sleep 1000
	wait_for 10 health_is unhealthy
	docker exec "$ID" touch /tmp/healthy
	wait_for 10 health_is healthy
	remove_container
}

health_is() { [ "$(inspect .State.Health.Status)" = "$1" ]; }

@test "docker: update changes the limits of a running container" {
	requires_controller memory cpu pids
	start_image --memory 64m $IMAGE sleep 1000
	docker update --memory 32m --memory-swap 32m --cpu-quota 25000 --cpu-shares 256 --pids-limit 7 "$ID"
	assert_eq "$(cgroup_value memory.limit)" 33554432 memory
	assert_eq "$(cgroup_value cpu.quota)" 25000 quota
	assert_eq "$(cgroup_value pids.limit)" 7 pids
	remove_container
}

@test "docker: a container outlives a restart of dockerd" {
	start_image $IMAGE sleep 1000
	local pid
	pid=$(container_pid)
	end_daemon dockerd
	start_dockerd
	assert_eq "$(container_pid)" "$pid" pid
	attempt docker exec "$ID" echo still here
	assert_eq "$output" "still here"
	remove_container
}

@test "docker: cp, commit and diff see a running container's files" {
	start_image $IMAGE sh -c 'echo made >/made; exec sleep 1000'
	wait_for 5 docker exec "$ID" test -s /made
	assert_eq "$(docker diff "$ID")" "A /made"
	docker cp "$ID:/made" "$T/made"
	assert_eq "$(<"$T/made")" made
	docker commit "$ID" "localhost/$ID"
	remove_container
	attempt run_image "localhost/$ID" cat /made
	docker rmi "localhost/$ID"
	assert_eq "$output" made
}

# ---- confinement --------------------------------------------------------------------------------

@test "docker: --memory holds, and docker learns of the kill" {
	requires_controller memory
	docker run --name "$ID" $RUN_FLAGS --memory 32m --memory-swap 32m $IMAGE \
		dd if=/dev/zero of=/dev/null bs=100M count=1 || assert_eq $? 137
	assert_eq "$(inspect .State.ExitCode)" 137
	remove_container
}

@test "docker: --pids-limit holds" {
	requires_controller pids
	attempt run_image --pids-limit 3 $IMAGE sh -c 'for i in 1 2 3 4; do sleep 10 & done'
	[ "$status" -ne 0 ]
	assert_has "$stderr" "can't fork"
}

@test "docker: --cpus and --cpuset-cpus are the cgroup's" {
	requires_controller cpu cpuset
	start_image --cpus 0.5 --cpuset-cpus 0 $IMAGE sleep 1000
	assert_eq "$(cgroup_value cpu.quota)" 50000 quota
	assert_eq "$(docker exec "$ID" sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)" 0 "list of CPUs"
	remove_container
}

@test "docker: --cap-drop and --cap-add" {
	attempt run_image --cap-drop all --cap-add chown $IMAGE sed -n "s/^CapEff:\t//p" /proc/self/status
	assert_eq "$output" 0000000000000001
}

@test "docker: --privileged has the host's devices and no masks" {
	# dockerd asks for every capability that there is, not for those that it has.
	requires_cap_sys_resource
	attempt run_image --privileged $IMAGE sh -c 'touch /proc/sys/kernel/domainname && ls /dev/kmsg'
	assert_status 0
}

@test "docker: seccomp, docker's default profile and one's own" {
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

@test "docker: --security-opt no-new-privileges and systempaths=unconfined" {
	attempt run_image --security-opt no-new-privileges $IMAGE grep NoNewPrivs /proc/self/status
	assert_match "$output" "1$"
	attempt run_image $IMAGE sh -c 'mount | grep -c " /proc/sys "'
	assert_eq "$output" 1
	attempt run_image --security-opt systempaths=unconfined $IMAGE sh -c 'mount | grep -c " /proc/sys "'
	assert_eq "$output" 0
}

@test "docker: --read-only" {
	attempt run_image --read-only $IMAGE touch /file
	assert_status 1
	assert_has "$stderr" "Read-only file system"
}

@test "docker: --sysctl, --ulimit and --oom-score-adj" {
	attempt run_image --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=4096 --ulimit nofile=64:128 \
		--oom-score-adj 500 $IMAGE \
		sh -c 'cd /proc; cat sys/net/ipv4/ip_forward sys/kernel/msgmax self/oom_score_adj; ulimit -Sn; ulimit -Hn'
	assert_eq "$output" $'1\n4096\n500\n64\n128'
}

@test "docker: --device, and no other" {
	requires_path /dev/loop-control
	attempt run_image --device /dev/loop-control:/dev/lc:r $IMAGE sh -c 'exec 3</dev/lc'
	assert_status 0
	attempt run_image $IMAGE sh -c 'mknod /tmp/loop c 10 237 && exec 3</tmp/loop'
	[ "$status" -ne 0 ]
	assert_has "$stderr" "not permitted"
}

# ---- mounts and namespaces ----------------------------------------------------------------------

@test "docker: -v, bound for reading and for writing, and a volume with the image's files" {
	mkdir "$T/dir"
	attempt run_image -v "$T/dir:/mnt/rw" -v "$T/dir:/mnt/ro:ro" -v "$ID:/home" $IMAGE \
		sh -c 'echo hi >/mnt/rw/file; cat /mnt/ro/file; ls /home; touch /mnt/ro/x'
	docker volume rm "$ID"
	assert_status 1
	assert_eq "$output" $'hi\nuser'
	assert_has "$stderr" "touch: /mnt/ro/x: Read-only file system"
}

@test "docker: a bind mount's propagation" {
	mkdir "$T/dir"
	start_image -v "$T/dir:/mnt:rslave" $IMAGE sleep 1000
	assert_match "$(docker exec "$ID" grep " /mnt " /proc/self/mountinfo)" " master:[0-9]+ "
	remove_container
	start_image -v "$T/dir:/mnt:rprivate" $IMAGE sleep 1000
	refute_has "$(docker exec "$ID" grep " /mnt " /proc/self/mountinfo)" ":"[0-9]*" - "
	remove_container
}

@test "docker: --tmpfs and --shm-size" {
	attempt run_image --tmpfs /mnt/tmp:size=64k,mode=700 --shm-size 1m $IMAGE \
		sh -c 'grep /mnt/tmp /proc/mounts; stat -c %a /mnt/tmp; df -k /dev/shm'
	assert_status 0
	assert_match "$output" "tmpfs /mnt/tmp tmpfs .*size=64k"
	assert_match "$output" $'\n700\n'
	assert_match "$output" "shm +1024 "
}

@test "docker: --network none and host" {
	attempt run_image $IMAGE sh -c 'ping -c1 -w1 127.0.0.1 >&2; readlink /proc/self/ns/net'
	assert_status 0
	refute_has "$output" "$(readlink /proc/self/ns/net)"
	attempt docker run --rm --name "$ID" --network host $IMAGE readlink /proc/self/ns/net
	assert_eq "$output" "$(readlink /proc/self/ns/net)" "network namespace"
}

@test "docker: the namespaces of another container, and the host's" {
	start_image --ipc shareable $IMAGE sleep 1000
	local ns=/proc/$(container_pid)/ns
	attempt docker run --rm --network "container:$ID" --ipc "container:$ID" --pid "container:$ID" --uts host $IMAGE \
		sh -c 'for n in net ipc pid uts mnt; do readlink /proc/self/ns/$n; done'
	assert_status 0
	assert_eq "$(head -n 3 <<<"$output")" "$(readlink "$ns/net" "$ns/ipc" "$ns/pid")" namespaces
	assert_has "$output" "$(readlink /proc/self/ns/uts)"
	refute_has "$output" "$(readlink "$ns/mnt")"
	remove_container
}

@test "docker: --pid, --ipc, --uts and --network host" {
	attempt docker run --rm --pid host --ipc host --uts host --network host $IMAGE \
		sh -c 'for n in pid ipc uts net mnt; do readlink /proc/self/ns/$n; done'
	assert_status 0
	assert_eq "$(head -n 4 <<<"$output")" "$(cd /proc/self/ns && readlink pid ipc uts net)" namespaces
	refute_has "$output" "$(readlink /proc/self/ns/mnt)"
}

@test "docker: --cgroupns private and host" {
	attempt run_image --cgroupns private $IMAGE cat /proc/self/cgroup
	assert_match "$output" $':/(\n|$)'
	attempt run_image --cgroupns host $IMAGE cat /proc/self/cgroup
	assert_has "$output" "/$CGROUP/"
}
