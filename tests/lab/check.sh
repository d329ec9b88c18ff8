# shellcheck shell=bash
# Checks for test payloads. To be sourced. Each check prints one line that begins
# with "ok" or "FAIL"; "finish" closes the suite with its counts and exit status.
lab_passed=0
lab_failed=0
lab_start=$EPOCHREALTIME
: "${LAB_IN:=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}"
: "${LAB_OUT:=/tmp}"

stage() { # stage TEXT: a heading with the time since the start
	printf '\n== %s [%s s]\n' "$*" \
		"$(awk -v a="$lab_start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')"
}

passed() { # passed TEXT
	echo "ok    $1"
	lab_passed=$((lab_passed + 1))
}

failed() { # failed TEXT
	echo "FAIL  $1"
	lab_failed=$((lab_failed + 1))
}

ok() { # ok TEXT COMMAND...: the command must succeed; runs in this shell
	local text=$1 output=$LAB_OUT/.output
	shift
	if "$@" >"$output" 2>&1; then
		passed "$text"
	else
		failed "$text: exit status $?: $(tail -c 2000 "$output")"
	fi
}

fails() { # fails TEXT STATUS COMMAND...: the command must exit with this status
	local text=$1 want=$2 status=0 output=$LAB_OUT/.output
	shift 2
	"$@" >"$output" 2>&1 || status=$?
	if [[ $status == "$want" ]]; then
		passed "$text"
	else
		failed "$text: exit status $status, want $want: $(tail -c 2000 "$output")"
	fi
}

is() { # is TEXT WANTED VALUE: the value must be equal or match as a shell pattern
	# shellcheck disable=SC2053
	if [[ $3 == "$2" || $3 == $2 ]]; then
		passed "$1: ${3:0:100}"
	else
		failed "$1: got '$3', want '$2'"
	fi
}

rust_tests() { # rust_tests PROGRAM [ARGS...]: a test program of cargo's, each test a check
	local output=$LAB_OUT/.rust status=0 name verdict
	"$@" >"$output" 2>&1 || status=$?
	while read -r name verdict; do
		if [[ $verdict == ok ]]; then passed "$name"; else failed "$name: $verdict"; fi
	done < <(sed -n 's/^test \(.*\) \.\.\. \(.*\)$/\1 \2/p' "$output")
	# A test that could not run here proves nothing, whatever its verdict.
	while read -r name; do failed "$name"; done < <(grep -a '^NOT RUN' "$output")
	if ((status)) || ! grep -q '^test result: ok' "$output"; then
		failed "$(basename "$1"): exit status $status"
		sed -n '/^failures:/,$p' "$output"
		grep -q '^failures:' "$output" || tail -n 20 "$output"
	fi
}

eventually() { # eventually SECONDS COMMAND...: retry until the command succeeds
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}

becomes() { # becomes SECONDS TEXT WANTED COMMAND...: until its output matches
	local end=$((SECONDS + $1)) text=$2 want=$3 value
	shift 3
	while true; do
		value=$("$@" 2>&1)
		# shellcheck disable=SC2053
		[[ $value == "$want" || $value == $want ]] && break
		((SECONDS < end)) || break
		sleep 0.2
	done
	is "$text" "$want" "$value"
}

finish() {
	stage "done"
	echo "$lab_passed passed, $lab_failed failed"
	# A suite that checked nothing has not passed.
	exit $((lab_failed > 0 || lab_passed == 0))
}
