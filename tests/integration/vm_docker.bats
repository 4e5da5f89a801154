# docker in a microVM: dockerd, containerd and runc of the machine run in the guest, on its kernel: with overlayfs, cgroup v2,
# a bridge, iptables and seccomp. It takes minutes on an emulated machine; nothing is fetched.

load lib

setup() {
	set_up
	requires_vm "it has no kernel of its own"
	local program
	for program in dockerd containerd runc iptables; do
		[ -x "/usr/sbin/$program" ] || [ -x "/usr/bin/$program" ] || skip "host has no $program"
	done
}

moat() { timeout --foreground -k 5 $((120 * PATIENCE)) $(moat_command) "$@" 3>&- 4>&-; }

# make_docker_bundle SCRIPT: the host's /usr, read-only, and what a privileged container has.
make_docker_bundle() {
	local root=$BUNDLE/docker dir
	mkdir -p "$root"/{dev,etc/alternatives,proc,root,run,sys,tmp,usr,var/lib/docker}
	for dir in bin lib lib64 sbin; do
		ln -s "usr/$dir" "$root/$dir"
	done
	ln -s /run "$root/var/run"
	cp "$BUNDLE"/rootfs/etc/{passwd,group} "$root/etc"
	echo "$1" >"$root/script"
	config --argjson caps "$("$MOAT" features | jq .linux.capabilities)" '.root.path = "docker"
		| .process |= (.args = ["sh", "-e", "/script"] | .env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
			| .noNewPrivileges = false | .capabilities |= map_values($caps) | del(.rlimits))
		| .linux.resources.devices = [{allow: true, access: "rwm"}]
		| del(.linux.maskedPaths, .linux.readonlyPaths)
		| .mounts |= map(.options |= (. // [] | map(select(. != "ro"))))
		| .mounts += [("/usr", "/etc/alternatives") | {destination: ., type: "bind", source: ., options: ["rbind", "ro"]}]
		| .mounts += [("/run", "/tmp", "/var/lib/docker") | {destination: ., type: "tmpfs", source: "tmpfs"}]'
}

# An image of busybox alone, that serves one page.
make_image() {
	local image=$T/image
	mkdir -p "$image"/{bin,www}
	cp /bin/busybox "$image/bin"
	ln -s busybox "$image/bin/sh"
	echo "from the container inside" >"$image/www/index.html"
	tar -C "$image" -cf "$1" .
}

@test "vm docker: containers inside, with limits, a bridge, a published port" {
	make_docker_bundle '
		# A group whose members get controllers has no process itself.
		cd /sys/fs/cgroup
		mkdir init
		echo $$ >init/cgroup.procs
		for controller in $(cat cgroup.controllers); do echo +$controller >cgroup.subtree_control; done
		cd /
		# dockerd gives a containerd of its own only 15 seconds.
		containerd >/tmp/containerd.log 2>&1 &
		containerd=$!
		until [ -S /run/containerd/containerd.sock ]; do kill -0 $containerd; sleep 0.5; done
		dockerd --containerd /run/containerd/containerd.sock --storage-driver overlay2 >/tmp/dockerd.log 2>&1 &
		dockerd=$!
		until [ -S /run/docker.sock ]; do kill -0 $dockerd; sleep 0.5; done
		docker info --format "{{.Driver}} on cgroup v{{.CgroupVersion}}" || { cat /tmp/dockerd.log; exit 1; }
		docker import /image.tar image >/dev/null
		docker run -d --name web -p 8080:80 image busybox httpd -f -h /www >/dev/null
		busybox wget -qO- http://172.17.0.1:8080
		docker run --rm -m 64m --pids-limit 50 image sh -c "
			busybox uname -r | busybox sed s/.*-//
			busybox cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
			busybox grep Seccomp: /proc/self/status
			busybox grep -c \"^overlay / \" /proc/mounts
			busybox wget -qO- http://172.17.0.1:8080"
		docker rm -f web
		kill $dockerd; wait $dockerd
		kill $containerd; wait $containerd
		ip -brief link show docker0 | cut -d" " -f1
		echo ended'
	make_image "$BUNDLE/docker/image.tar"
	in_container
	assert_eq "$output" "overlay2 on cgroup v2
from the container inside
moat
67108864
50
Seccomp:	2
1
from the container inside
web
docker0
ended"
}
