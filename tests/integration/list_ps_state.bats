# state, list and ps: what they print.

load lib

@test "state: has what the spec says" {
	config '.annotations = {"org.example.key": "value", "org.example.empty": ""}'
	start_container
	attempt moat state "$ID"
	assert_status 0
	jq -e --arg id "$ID" --arg bundle "$(realpath "$BUNDLE")" '
		(.ociVersion | test("^1\\.[0-9]+\\.[0-9]+")) and .id == $id and .status == "running"
		and .pid > 1 and .bundle == $bundle and .annotations["org.example.key"] == "value"
		and .annotations["org.example.empty"] == ""' <<<"$output"
}

@test "state: has also what runc adds" {
	start_container
	attempt moat state "$ID"
	jq -e --arg rootfs "$(realpath "$BUNDLE/rootfs")" '
		.rootfs == $rootfs and (.created | fromdateiso8601? // sub("\\.[0-9]+"; "") | tostring | length > 5)
		and (.owner | IN("", "root"))' <<<"$output"
}

@test "state: pid is 0 once stopped" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	assert_eq "$(container_pid)" 0
}

@test "state: each status by its name" {
	requires_controller freezer
	create_container
	assert_eq "$(container_status)" created
	moat start "$ID"
	assert_eq "$(container_status)" running
	moat pause "$ID"
	assert_eq "$(container_status)" paused
	moat resume "$ID"
	assert_eq "$(container_status)" running
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
}

@test "state: of an unknown container is an error" {
	fails 1 "does not exist" moat state "${ID}no"
}

# churn: make and delete the container over and over, then say so.
churn() {
	for _ in {1..15}; do
		moat run -d -b "$BUNDLE" "$ID" >/dev/null 2>&1
		moat delete -f "$ID"
	done
	: >"$T/done"
}

@test "state: is written whole, so that readers never see half of it" {
	spawn churn
	while [ ! -f "$T/done" ]; do
		attempt moat state "$ID"
		# What runc says while there is no state yet, and what moat says.
		[ "$status" -eq 0 ] || assert_match "$stderr" 'does not exist|no such|state.json|has no record'
		[ "$status" -ne 0 ] || jq -e .status <<<"$output" >/dev/null
	done
}

@test "list: empty, with and without a root" {
	attempt moat list
	assert_status 0
	assert_match "$output" '^ID +PID +STATUS +BUNDLE +CREATED +OWNER *$'
	assert_eq "$(moat list -q)" ""
	assert_match "$(moat list -f json)" '^(null|\[\])$'
}

@test "list: a table" {
	start_container
	ID="${ID}b" create_container
	attempt moat list
	assert_status 0
	assert_eq "$(wc -l <<<"$output")" 3
	assert_match "$output" "$ID +$(container_pid) +running +$(realpath "$BUNDLE") +20[0-9T:.-]+Z +root"
	assert_match "$output" "${ID}b +[0-9]+ +created "
}

@test "list: -q prints ids only" {
	ID="${ID}b" start_container
	ID="${ID}a" start_container
	assert_eq "$(moat list -q | sort)" "${ID}a"$'\n'"${ID}b"
	assert_eq "$(moat list --quiet | wc -l)" 2
}

@test "list: json has all fields" {
	config '.annotations = {"k": "v"}'
	start_container
	attempt moat list --format json
	assert_status 0
	jq -e --arg id "$ID" --arg bundle "$(realpath "$BUNDLE")" --arg rootfs "$(realpath "$BUNDLE/rootfs")" '
		length == 1 and (.[0] | .id == $id and .pid > 1 and .status == "running" and .bundle == $bundle
		and .rootfs == $rootfs and .owner == "root" and .annotations.k == "v" and (.created | length > 10)
		and (.ociVersion | test("^1")))' <<<"$output"
}

@test "list: stopped containers too" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	assert_match "$(moat list)" "$ID +0 +stopped"
}

@test "list: an unknown format is an error" {
	fails 1 'format' moat list --format xml
}

@test "list: a directory in the root that is no container does not stop it" {
	start_container
	mkdir "$ROOT/$ID-other"
	attempt moat list -q
	assert_status 0
	assert_has "$output" "$ID"
	rmdir "$ROOT/$ID-other"
}

@test "ps: json lists the pids of the host" {
	skip_in_vm "its processes are the guest's"
	set_args sh -c 'sleep 500 & wait'
	start_container
	wait_for 5 holds_processes 2
	attempt moat ps --format json "$ID"
	assert_status 0
	assert_eq "$(jq length <<<"$output")" 2
	jq -e --argjson pid "$(container_pid)" 'index($pid) != null' <<<"$output"
}

holds_processes() { [ "$(moat ps -f json "$ID" | jq length)" = "$1" ]; }

@test "ps: a table with a header" {
	start_container
	attempt moat ps "$ID"
	assert_status 0
	assert_match "$output" '^UID +PID '
	assert_has "$output" 'sleep 1000'
	assert_eq "$(wc -l <<<"$output")" 2
}

@test "ps: trailing options go to ps" {
	skip_in_vm "no ps of the host"
	start_container
	attempt moat ps "$ID" -e -o pid,comm
	assert_status 0
	assert_match "$output" 'PID +COMMAND'
	assert_match "$output" "$(container_pid) sleep"
	assert_eq "$(wc -l <<<"$output")" 2
}

@test "ps: a guest's table has the columns that are asked for" {
	requires_vm "the host's ps has them all"
	set_args sh -c 'sleep 500 & wait'
	start_container
	wait_for 5 holds_processes 2
	attempt moat ps "$ID" -e -o pid,ppid,user,args
	assert_status 0
	assert_eq "$output" "    PID    PPID USER     COMMAND
      1       0 0        sh -c sleep 500 & wait
      2       1 0        sleep 500"
	fails 1 'option `aux`' moat ps "$ID" aux
	fails 1 'no column `comm`' moat ps "$ID" -o comm
}

@test "ps: of a created container shows its one process, of a stopped one none" {
	create_container
	assert_eq "$(moat ps -f json "$ID" | jq length)" 1
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	attempt moat ps -f json "$ID"
	[ "$status" -ne 0 ] || assert_match "$output" '^(null|\[\])$'
}

@test "ps: processes of exec are listed" {
	start_container
	moat exec -d "$ID" sleep 777 >/dev/null 2>&1
	assert_has "$(moat ps "$ID")" 'sleep 777'
}

@test "ps: an unknown container or format is an error" {
	fails 1 'does not exist' moat ps "${ID}no"
	start_container
	fails 1 'format' moat ps --format xml "$ID"
}
