# The words of the tests of podman and of docker, whose command lines are alike. $CLI is the command,
# $RUN_FLAGS are what each container gets.

load lib

IMAGE=localhost/busybox:latest

# run_image [FLAGS...] IMAGE COMMAND...: `run --rm` of the container $ID.
run_image() { "$CLI" run --rm --name "$ID" $RUN_FLAGS "$@"; }

# start_image: the same in the background, with `run --detach`.
start_image() { "$CLI" run --detach --name "$ID" $RUN_FLAGS "$@" >"$T/$ID.out"; }

# inspect FIELD [ID]: a field of `inspect`, such as .State.Status.
inspect() { "$CLI" inspect --format "{{$1}}" "${2:-$ID}"; }

container_pid() { inspect .State.Pid "${1:-$ID}"; }
status_is() { [ "$(inspect .State.Status)" = "$1" ]; }
log_has() { "$CLI" logs "$ID" 2>&1 | grep -q "$1"; }
top_has() { "$CLI" top "$ID" -o pid,args | grep -q " $1$"; }

# has_runs COUNT: so many lines are in the container's /runs.
has_runs() { [ "$("$CLI" exec "$ID" cat /runs | wc -l)" -eq "$1" ]; }
