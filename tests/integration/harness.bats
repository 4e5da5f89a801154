# The suite's own senses: what would hide a leak if it were broken.

load lib

@test "harness: a leaked mount, cgroup, process and state file are each seen" {
	nothing_left

	mkdir "$T/m"
	mount -t tmpfs none "$T/m"
	assert_match "$(leftovers)" 'mount:.*/m '
	umount "$T/m"

	mkdir "$(cgroup_root)/$ID"
	assert_has "$(leftovers)" "path: $(cgroup_root)/$ID"
	rmdir "$(cgroup_root)/$ID"

	mkdir -p "$ROOT/$ID"
	assert_has "$(leftovers)" "path: $ROOT/$ID"
	rmdir "$ROOT/$ID"

	spawn unshare --mount sh -c "mount -t tmpfs none '$BUNDLE/rootfs/tmp' && exec sleep 100" >/dev/null
	wait_for 5 sees 'process: '
	kill "$spawned"
	wait "$spawned" || :
	nothing_left
}

sees() { [[ $(leftovers) == *"$1"* ]]; }

@test "harness: a container that still runs is seen" {
	start_container
	assert_has "$(leftovers)" 'process:'
	assert_has "$(leftovers)" "path: $ROOT/$ID"
}

@test "harness: a mount in a container does not show on the host" {
	in_container 'mount | wc -l'
	[ "$output" -gt 5 ]
	nothing_left
}

@test "harness: assertions fail when they should" {
	status=1
	refute assert_status 0
	refute assert_eq a b
	refute assert_match abc '^b'
	refute assert_has abc d
	refute refute_has abc b
	refute refute true
	refute fails 0 '' false
	refute wait_for 0 false
}

@test "harness: the attacker of security.bats overwrites a program that is not protected" {
	cp "$HELPERS/probe" "$BUNDLE/rootfs/victim"
	config '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"])'
	set_args sh -c 'probe overwrite & for i in 1 2 3 4 5 6 7 8 9; do /victim touch 30000000; done; wait'
	start_container
	wait_for 10 grep -q overwritten "$T/$ID.out"
}

@test "harness: exchange does swap" {
	mkdir "$T/a"
	: >"$T/b"
	spawn "$HELPERS/exchange" "$T/a" "$T/b"
	wait_for 5 test -f "$T/a"
	wait_for 5 test -d "$T/a"
}
