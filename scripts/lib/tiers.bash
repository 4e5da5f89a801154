# shellcheck shell=bash
# The tiers of the test suite: each is a command that ends with a line `N passed, N failed, N skipped`
# and may say `skipped N: REASON` before it. Their sums are kept until report_tiers.

logs=$top/.cache/test/logs
report=()
passed=0 failed=0 skipped=0

# timed NAME COMMAND...: a step that tests nothing but must succeed, or it ends the script.
timed() {
	local name=$1 start=$SECONDS
	shift
	heading "$name"
	"$@"
	note_time "$name" "$start"
}

# run_tier NAME COMMAND...: show what COMMAND says, and count.
run_tier() {
	local name=$1 start=$SECONDS log=$logs/${1//[ ,]/-}.log status=0 counts
	shift
	heading "$name"
	"$@" 2>&1 | tee "$log" | sed -u '/^[0-9]* passed, /d; /^skipped [0-9]*: /d' || status=$?

	read -ra counts < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1) ||
		counts=(0 0 0)
	# A tier that broke down has failed, whatever it has counted.
	[ "$status" -eq 0 ] || [ "${counts[1]}" -gt 0 ] || counts[1]=1
	passed=$((passed + counts[0])) failed=$((failed + counts[1])) skipped=$((skipped + counts[2]))
	note_time "$name" "$start" "${counts[0]} passed, ${counts[1]} failed, ${counts[2]} skipped"
}

note_time() {
	report+=("$(printf '%-24s %4d s  %s' "$1" "$((SECONDS - $2))" "${3-}")")
	echo "${report[-1]}"
}

# report_tiers: what took how long, why tests were skipped, and last the sums. False if a test failed.
report_tiers() {
	heading "in $((SECONDS / 60)) min $((SECONDS % 60)) s"
	printf '%s\n' "${report[@]}"
	awk '
		/^skipped [0-9]+: / { count = $2 + 0; sub(/^skipped [0-9]+: /, ""); sum[$0] += count }
		END { for (reason in sum) printf "skipped %d: %s\n", sum[reason], reason | "sort -k3" }' "$logs"/*.log
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}
