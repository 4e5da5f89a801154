# pause and resume: by the cgroup freezer.

load lib

setup() {
	set_up
	requires_controller freezer
}

# start_counter: a container that counts in $T/count.
start_counter() {
	mkdir "$T/shared"
	config --arg dir "$T/shared" '.mounts += [{destination: "/shared", source: $dir, options: ["bind"]}]'
	set_args sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/shared/new; mv /shared/new /shared/count; sleep 0.01; done'
	start_container
	wait_for 5 test -s "$T/shared/count"
}

count() { cat "$T/shared/count"; }
count_passes() { [ "$(count)" -gt "$1" ]; }

@test "pause: stops every process, resume lets them go on" {
	start_counter
	moat pause "$ID"
	assert_eq "$(container_status)" paused
	local before
	before=$(count)
	# Twenty times as long as a step: a process that runs shows.
	sleep 0.2
	assert_eq "$(count)" "$before"
	moat resume "$ID"
	assert_eq "$(container_status)" running
	wait_for 5 count_passes "$before"
}

@test "pause: a paused container cannot be paused, a running one not resumed" {
	start_container
	fails 1 'not paused' moat resume "$ID"
	moat pause "$ID"
	fails 1 'not running|paused' moat pause "$ID"
	assert_eq "$(container_status)" paused
}

@test "pause: what can't be asked of a paused VM is refused at once" {
	requires_vm "only a process can't be executed"
	start_container
	moat pause "$ID"
	fails 1 'is paused' moat ps "$ID"
	fails 1 'is paused' moat ps --format json "$ID"
	fails 1 'is paused' moat events --stats "$ID"
	fails 1 'is paused' moat update --pids-limit 9 "$ID"
	fails 255 'paused' moat exec "$ID" true
	assert_eq "$(container_status)" paused
	moat resume "$ID"
	in_exec true
}

@test "pause: a paused container can be killed, and deleted by force" {
	start_container
	moat pause "$ID"
	moat kill "$ID" KILL
	wait_for 5 has_status stopped
	moat delete "$ID"
	start_container
	moat pause "$ID"
	moat delete --force "$ID"
	fails 1 'does not exist' moat state "$ID"
}

@test "pause: a stopped or unknown container cannot be paused or resumed" {
	set_args true
	start_container
	wait_for 5 has_status stopped
	fails 1 'not running|stopped' moat pause "$ID"
	fails 1 'not paused|stopped' moat resume "$ID"
	fails 1 'does not exist' moat pause "${ID}no"
	fails 1 'does not exist' moat resume "${ID}no"
}

@test "pause: a created container can be paused and resumed" {
	create_container
	moat pause "$ID"
	assert_eq "$(container_status)" paused
	moat resume "$ID"
	assert_eq "$(container_status)" created
}

@test "pause: a signal sent meanwhile arrives after resume" {
	set_args sh -c 'trap "echo got" USR1; echo ready; while :; do sleep 0.02; done'
	start_container
	wait_for 5 grep -q ready "$T/$ID.out"
	moat pause "$ID"
	moat kill "$ID" USR1
	refute grep -q got "$T/$ID.out"
	moat resume "$ID"
	wait_for 5 grep -q got "$T/$ID.out"
}
