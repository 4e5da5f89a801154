# check: what the host has of what moat needs.

load lib

# row NAME: a row of $checked.
row() { jq -e --arg name "$1" '.[] | select(.name == $name)' <<<"$checked"; }

setup() {
	set_up
	requires_moat "check"
}

@test "check: a table with a row for each fact" {
	attempt moat check
	assert_status 0
	local name
	for name in kernel privileges namespaces user-namespaces cgroups systemd seccomp landlock overlayfs moat.conf kvm kvm-probe \
		guest-kernel agent containers vm-mode; do
		assert_match "$output" $'\n'"$name +(ok|limited|missing) +[^ ]"
	done
	assert_has "$output" "$(uname -r)"
}

@test "check: JSON, with advice for all that is missing" {
	checked=$(moat check --format json)
	jq -e 'length == 16 and all(.[]; (keys | sort) == ["advice", "name", "status", "value"]
		and (.status | IN("ok", "limited", "missing")) and .value != "" and (.status == "ok") == (.advice == ""))' <<<"$checked"
	row containers | jq -e '.status == "ok"'
	row namespaces | jq -e '.value | contains("mnt pid net ipc uts")'
	fails 1 "neither table nor json" moat check --format yaml
}

@test "check: exits with 1 where containers can't run" {
	# Root without CAP_SYS_ADMIN.
	attempt setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$MOAT" check --format json
	assert_status 1
	checked=$output
	row privileges | jq -e '.status == "missing"'
	row containers | jq -e '.status == "missing" and .advice == "see privileges"'
	row vm-mode | jq -e '.status == "missing"'
}

@test "check: capabilities that moat lacks, and what fails without them" {
	attempt setpriv --bounding-set -net_admin,-sys_resource,-audit_read --inh-caps -net_admin,-sys_resource,-audit_read \
		"$MOAT" check --format json
	assert_status 0
	checked=$output
	row privileges | jq -e '.status == "limited"
		and (.value | test("^root without.* CAP_NET_ADMIN.* CAP_SYS_RESOURCE.* CAP_AUDIT_READ"))
		and (.advice | test("without CAP_NET_ADMIN .*loopback.*; without CAP_SYS_RESOURCE .*RLIMIT_NOFILE"))'
	row containers | jq -e '.status == "ok"'
}

# check_in_dev COMMAND: `moat check`, where /dev is an empty directory whose devices nobody may open.
check_in_dev() {
	checked=$(unshare --mount sh -c "mount -t tmpfs -o nodev none /dev && $1 && exec \"\$0\" check --format json" "$MOAT")
}

@test "check: a /dev/kvm that is not there, and one that may not be opened" {
	check_in_dev true
	row kvm | jq -e '.status == "missing" and (.value | contains("no such file")) and (.advice | contains("load kvm_intel"))'
	check_in_dev 'mknod /dev/kvm c 10 232'
	row kvm | jq -e '.status == "missing" and (.value | contains("permission denied"))
		and (.advice | contains("let this user open it") and (contains("load") | not))'
}

@test "check: VM mode fails with the same words" {
	checked=$(moat check --format json)
	local name reason=
	for name in kvm kvm-probe guest-kernel agent; do
		[ "$(row "$name" | jq -r .status)" != missing ] || {
			reason=$(row "$name" | jq -r .value)
			break
		}
	done
	[ -n "$reason" ] || skip "VM mode works here"
	row vm-mode | jq -e --arg advice "see $name" '.status == "missing" and .advice == $advice'
	attempt "$MOAT" --root "$ROOT" --vm run -b "$BUNDLE" "$ID"
	assert_status 1
	assert_has "$stderr" "VM mode: $reason"
	[ "$name" != kvm-probe ] || assert_has "$stderr" "$reason (moat check tells what to do)"
}
