# podman of an ordinary user, with moat as its runtime: nobody, who has a systemd of its own and ranges
# of ids while this runs.

load lib

# ---- the engine ---------------------------------------------------------------------------------

USER_ID=65534
# There the user's directory in /run is in view.
HOUSE_FROM=1

engine_needs() {
	requires_moat "a user's cgroups by systemd"
	requires_systemd
	requires_cgroup_v2
	[ -u /usr/bin/newuidmap ] || getcap /usr/bin/newuidmap | grep -q cap_setuid || skip "host's newuidmap has no rights"
	systemctl start user@$USER_ID || skip "host gives nobody no systemd"
}

engine_start() {
	CGROUP=moatengine$$.slice
	STATE=/run/user/$USER_ID/$RUNTIME
	mkdir "$ENGINE/home"
	configure_podman
	cp "$MOAT" "$ENGINE/moat"
	make_rootfs "$ENGINE/rootfs"
	chown -hR $USER_ID "$ENGINE/home" "$ENGINE/rootfs"
	in_house sh -c 'echo "nobody:500000:65536" | tee /etc/subuid >/etc/subgid'
	# The first makes the user namespace that all the others join.
	podman ps
}

engine_stop() {
	systemctl stop user@$USER_ID
}

engine_sweep() { podman rm --all --force --time 0; }

# ---- words --------------------------------------------------------------------------------------

as_user() {
	in_house setpriv --reuid $USER_ID --regid $USER_ID --clear-groups --inh-caps=-all \
		env -i -C "$ENGINE/home" PATH="$PATH" HOME="$ENGINE/home" XDG_RUNTIME_DIR=/run/user/$USER_ID \
		DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$USER_ID/bus CONTAINERS_CONF="$ENGINE/containers.conf" \
		timeout --foreground -k 5 60 "$@" 3>&- 4>&-
}

podman() { as_user podman --storage-driver vfs --root "$ENGINE/home/root" --runtime "$ENGINE/moat" "$@"; }

# show PROPERTY UNIT: what the user's systemd says of it.
show() { as_user systemctl --user show --value -p "$1" "$2"; }

# ---- tests --------------------------------------------------------------------------------------

@test "rootless: podman's container is the user's scope with its limits; exec, kill, rm" {
	podman run --detach --name "$ID" --cgroup-parent "$CGROUP" --memory 64m --pids-limit 33 --rootfs "$ENGINE/rootfs" \
		sleep 1000 >"$T/id"
	local unit
	unit=libpod-$(<"$T/id").scope
	assert_eq "$(show MemoryMax "$unit")/$(show TasksMax "$unit")" 67108864/33
	assert_match "$(show ControlGroup "$unit")" "/user@$USER_ID.service/$CGROUP/"
	attempt podman exec --user 7:8 "$ID" sh -c 'id -u; id -g; exit 5'
	assert_status 5
	assert_eq "$output" $'7\n8'
	podman kill "$ID"
	assert_eq "$(podman wait "$ID")" 137
	podman rm "$ID"
	assert_eq "$(show LoadState "$unit")" not-found
}

@test "rootless: podman run has the user's ranges of ids, and its program's exit status" {
	attempt podman run --rm --name "$ID" --cgroup-parent "$CGROUP" --rootfs "$ENGINE/rootfs" \
		sh -c 'tr -s " " </proc/self/uid_map; id -u; exit 6'
	assert_status 6
	assert_eq "$output" $' 0 65534 1\n 1 500000 65536\n0'
}

@test "rootless: root's moat.conf counts for podman's containers, too" {
	in_house sh -c 'mkdir -p /etc/moat; echo "{\"mod\": \"vm\"}" >/etc/moat/moat.conf'
	attempt podman run --rm --name "$ID" --cgroup-parent "$CGROUP" --rootfs "$ENGINE/rootfs" true
	in_house rm -r /etc/moat
	assert_status 126
	assert_has "$stderr" "moat.conf: mod: is not known"
}
