#!/bin/bash
# Ask a whoami.py server, each time by a new connection, and print how often each
# answer came, one "COUNTx ANSWER" per line. No answer is "refused", "unreachable",
# "timed out" or "closed".
#
#   ask.sh [-u] [-n COUNT] [-t SECONDS] ADDRESS PORT      (-u: UDP)
#
# A shell and not an interpreter, because it starts ten times as fast under emulation.
proto=tcp count=1 limit=3
while getopts un:t: opt; do
	case $opt in
	u) proto=udp ;;
	n) count=$OPTARG ;;
	t) limit=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

# In a process of its own: a connect that hangs can only be killed. dd, because the
# shell's "read" takes single bytes and so loses the rest of a datagram.
# shellcheck disable=SC2016 # expanded by the inner shell
once='exec 3<>"/dev/$1/$2/$3" || exit
[[ $1 == tcp ]] || echo "?" >&3
dd bs=2048 count=1 status=none <&3'

answers=() status=0
for ((i = 0; i < count; i++)); do
	code=0
	answer=$(timeout "$limit" bash -c "$once" ask "$proto" "$1" "$2" 2>&1) || code=$?
	case $code:$answer in
	*refused*) answer=refused status=1 ;;
	*nreachable* | *"No route"*) answer=unreachable status=1 ;;
	124:* | *"timed out"*) answer="timed out" status=1 ;;
	*:) answer=closed status=1 ;;
	esac
	answers+=("$answer")
done
printf '%s\n' "${answers[@]}" | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1x /'
exit $status
