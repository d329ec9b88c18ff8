#!/bin/bash
# Network policy with IPVS in the path, on both backends: who reaches whom, restarts and
# changes of backend under a stream, open connections, what is left behind and by whom.
. "$LAB_IN/check.sh"
. "$LAB_IN/netlab.sh"
. "$LAB_IN/proxylab.sh"
netpol=$LAB_IN/netpol.py
manifests=/run/lab/manifests
# The daemons' own words go with the output.
keep() { cp /run/lab/n1/daemon.log "$LAB_OUT/n1.log"; cp /run/lab/n2/daemon.log "$LAB_OUT/n2.log"; }
trap keep EXIT

configure() { # configure NODE BACKEND [DEFAULT_DENY [ESTABLISHED]]
	proxy_config "$1" $manifests <<-Y
		[netpol]
		enabled = true
		backend = "$2"
		default_deny = ${3:-false}
		established = "${4:-keep}"
	Y
}
reload() { # reload NODE BACKEND [DEFAULT_DENY [ESTABLISHED]]: another configuration while it runs
	local before
	before=$(grep -c 'configuration reloaded' "/run/lab/$1/daemon.log")
	configure "$@"
	kill -HUP "$(<"/run/lab/$1/pid")"
	eventually 20 reloaded "$1" "$before"
}
reloaded() { (($(grep -c 'configuration reloaded' "/run/lab/$1/daemon.log") > $2)); }
filters() { # filters NODE: what the tools show of rules and sets, and of all else that is ours
	proxy_state "$1"
	# Tables of iptables stand from their first use on.
	ns "$1" nft list tables inet | sort
	# The owner of a table is a process; the next one takes it over with its first change.
	ns "$1" nft list table inet kube-router-netpol 2>/dev/null | sed '/^\tflags /d; s/ *# .*//; s/{ *$/{/'
}
held() { # held NODE PATTERN TOOL...: the lines of what a tool shows that are ours; "?" if it fails
	local node=$1 pattern=$2 shown
	shift 2
	if shown=$(ns "$node" "$@"); then grep -E "$pattern" <<<"$shown"; else echo "?"; fi
}
of_iptables() { # of_iptables NODE: what network policy has in iptables and ipset
	local tool
	for tool in iptables ip6tables; do
		held "$1" 'KUBE-(ROUTER-(NETPOL|INPUT|FORWARD|OUTPUT|.N?GRESS)|NWPLCY|POD-FW)' $tool-save
	done
	held "$1" 'KUBE-(SRC|DST)-|kube-router-(local-pods|self)' ipset list -n
}
of_nftables() { held "$1" kube-router nft list tables; } # of_nftables NODE
backend() { # backend NODE: which one is in the kernel
	local both
	both="$(of_nftables "$1")/$(of_iptables "$1")"
	case $both in
	*"?"*) echo unknown ;;
	?*/) echo nftables ;;
	/?*) echo iptables ;;
	/) echo none ;;
	*) echo both ;;
	esac
}
stream() { # stream: begins to ask without pause; every row was asked when it returns
	rm -rf /run/lab/stream && mkdir /run/lab/stream
	python3 "$netpol" stream /run/lab/stream >/run/lab/stream/output 2>&1 &
	streaming=$!
	more_rounds 0
}
more_rounds() { # more_rounds COUNT: until every row was asked more often than that
	eventually 60 rounds_above "$1" || failed "the stream does not get on"
}
rounds_above() { [[ -e /run/lab/stream/rounds ]] && (($(</run/lab/stream/rounds) > $1)); }
streamed() { # ends it after a whole round from now on, and counts what it saw
	more_rounds $(($(</run/lab/stream/rounds) + 1))
	touch /run/lab/stream/stop
	if ! wait $streaming && ! grep -q '^FAIL' /run/lab/stream/output; then failed "the stream broke off"; fi
	counted cat /run/lab/stream/output
}
# One interpreter for all questions: it starts slowly here.
mkfifo /run/lab-questions /run/lab-answers
python3 "$netpol" serve </run/lab-questions >/run/lab-answers &
exec 7>/run/lab-questions 8</run/lab-answers
answers() { # answers CLIENT,ADDRESS,PROTOCOL[,SOURCE]...
	local line=none
	echo "$@" >&7
	read -r -t 60 line <&8
	echo "$line"
}
series() { # series NODE NAME: those of a metric that are not 0, or "none"
	local page
	page=$(ns "$1" curl -sf http://127.0.0.1:8080/metrics) || { echo "no page"; return; }
	grep -q "^# TYPE $2 " <<<"$page" || { echo "no such metric"; return; }
	grep -E "^$2{.* [1-9]" <<<"$page" || echo none
}
no_failures() { # no_failures NODE...
	local node failures
	for node; do
		failures=$(series "$node" kube_router_controller_failures_total)
		is "nothing failed on $node" none "$failures"
		[[ $failures == none ]] || grep -a 'did not work' "/run/lab/$node/daemon.log" | tail -n 20
	done
}
same() { # same TEXT STATE: n1 is as it was
	local now
	now=$(filters n1)
	if [[ $now == "$2" ]]; then passed "$1"; else failed "$1: $(diff <(echo "$2") <(echo "$now"))"; fi
}
upstream_left() { # what kube-router v2 leaves in n1: some chains, jumps and sets of each kind
	local tool set
	for tool in iptables ip6tables; do
		set=KUBE-SRC-ZH7PMEL32QCTUMHX family=inet
		if [[ $tool == ip6tables ]]; then set=inet6:$set family=inet6; fi
		ns n1 ipset create $set hash:ip family $family timeout 0
		ns n1 ipset create "${set%%KUBE*}KUBE-DST-JEB2RTBKBRKVDVXX" hash:ip family $family timeout 0
		ns n1 ipset create "${set%%KUBE*}KUBE-SRC-UPVGDWRM6ZG3642Z" hash:net family $family timeout 0
		ns n1 ipset create "${set%%KUBE*}kube-router-local-pods" hash:ip family $family timeout 0
		ns n1 $tool-restore --noflush <<-Y
			*filter
			:KUBE-ROUTER-INPUT - [0:0]
			:KUBE-ROUTER-FORWARD - [0:0]
			:KUBE-ROUTER-OUTPUT - [0:0]
			:KUBE-NWPLCY-DEFAULT - [0:0]
			:KUBE-NWPLCY-COMMON - [0:0]
			:KUBE-NWPLCY-TAIL - [0:0]
			:KUBE-NWPLCY-VUOBX2QE27PMHWR4 - [0:0]
			:KUBE-POD-FW-SGY2W42HSCF7UEHH - [0:0]
			-I INPUT 1 -m comment --comment "kube-router netpol - 4IA2OSFRMVNDXBVV" -j KUBE-ROUTER-INPUT
			-I FORWARD 1 -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD
			-I OUTPUT 1 -m comment --comment "kube-router netpol - VEAAIY32XVBHCSCY" -j KUBE-ROUTER-OUTPUT
			-A KUBE-ROUTER-INPUT -p tcp -m comment --comment "allow LOCAL TCP traffic to node ports - LR7XO7NXDBGQJD2M" -m addrtype --dst-type LOCAL -m multiport --dports 30000:32767 -j RETURN
			-A KUBE-NWPLCY-COMMON -m comment --comment "rule for stateful firewall for pod" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
			-A KUBE-NWPLCY-DEFAULT -m comment --comment "rule to mark traffic matching a network policy" -j MARK --set-xmark 0x10000/0x10000
			-A KUBE-NWPLCY-VUOBX2QE27PMHWR4 -m comment --comment "rule to ACCEPT traffic" -m set --match-set $set src -m set --match-set ${set%%KUBE*}KUBE-DST-JEB2RTBKBRKVDVXX dst -j MARK --set-xmark 0x10000/0x10000
			-A KUBE-NWPLCY-TAIL -m comment --comment "accept netpol-ok" -m mark --mark 0x20000/0x20000 -j ACCEPT
			-A KUBE-NWPLCY-TAIL -m set ! --match-set ${set%%KUBE*}kube-router-local-pods src -m limit --limit 1/day -j REJECT
			-A KUBE-POD-FW-SGY2W42HSCF7UEHH -m comment --comment "common netpol rules" -j KUBE-NWPLCY-COMMON
			-A KUBE-POD-FW-SGY2W42HSCF7UEHH -m comment --comment "default/nginx reject" -m mark ! --mark 0x10000/0x10000 -j REJECT
			-A KUBE-ROUTER-FORWARD -m comment --comment "jump to POD name:nginx" -m set --match-set $set dst -j KUBE-POD-FW-SGY2W42HSCF7UEHH
			-A KUBE-ROUTER-FORWARD -m comment --comment "rule to explicitly handle traffic" -j KUBE-NWPLCY-TAIL
			COMMIT
		Y
	done
}
upstream_names='SGY2W42HSCF7UEHH|VUOBX2QE27PMHWR4|KUBE-NWPLCY-(DEFAULT|COMMON|TAIL)|kube-router netpol - |ZH7PMEL32QCTUMHX|JEB2RTBKBRKVDVXX|UPVGDWRM6ZG3642Z'
of_upstream() {
	local tool
	for tool in iptables-save ip6tables-save "ipset save"; do
		# shellcheck disable=SC2086 # words of a command
		held n1 "$upstream_names" $tool
	done
}

stage "topology, foreign rules"
ok "nodes, pods, client" proxy_topology
lab_pod n1 n1p3 13 && lab_pod n1 n1p4 14 && lab_pod n1 n1p5 15
ok "pods serve on 8080" lab_serve 8080 n1p1 n1p2 n1p3 n1p4 n1p5 n2p1 n2p2
ok "nodes serve on 9999" lab_serve 9999 n1 n2
ok "n1 serves in the range of NodePorts" lab_serve 31999 n1
for name in n1 n2 n3 n1p{1..5} n2p1 n2p2 n3p1 ext; do
	ns "$name" sysctl -qw net.ipv4.ping_group_range='0 0' net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
done
ns n1 ipset create foreign hash:ip
ns n1 ipset add foreign 192.0.2.9
ns n1 iptables -N FOREIGN
ns n1 iptables -A FOREIGN -m set --match-set foreign src -j DROP
ns n1 iptables -A FORWARD -j FOREIGN
ns n1 ip6tables -A FORWARD -s 2001:db8:9::/64 -j DROP
ns n1 nft add table inet foreign
python3 "$netpol" manifests $manifests
before=$(filters n1)
for rule in '-A FORWARD -j FOREIGN' '-A FORWARD -s 2001:db8:9::/64 -j DROP' 'add foreign 192.0.2.9' 'table inet foreign'; do
	ok "$rule" grep -qF -- "$rule" <<<"$before"
done

stage "the first backend"
for node in n1 n2; do
	configure $node nftables
	ok "$node is ready" proxy_start $node
done

late() { # late: to a pod that is not known, from it to a pod, to its node, to its gateway
	answers n1p1,10.244.1.15,tcp n1p1,fd02:1::15,tcp n1p5,10.244.1.13,tcp n1p5,fd02:1::13,tcp \
		n1p5,10.244.1.1,echo n1p5,10.1.1.1,echo
}
open="n1p5 n1p5 n1p3 n1p3 pong pong" closed="refused refused refused refused refused refused"

for kind in nftables iptables; do
	stage "$kind: packets"
	becomes 10 "backend" $kind backend n1
	becomes 10 "backend of n2" $kind backend n2
	# Neighbours must be found under policies, not remembered from before.
	for name in n1 n2 n1p{1..5} n2p{1,2}; do ip -n "$name" neigh flush all; done
	counted python3 "$netpol" probe
	counted python3 "$netpol" errors
	no_failures n1 n2

	stage "$kind: restarts under a stream"
	full=$(filters n1)
	ok "it shows rules of ours" grep -q KUBE-ROUTER-FORWARD <<<"$full"
	stream
	ok "SIGTERM ends it" proxy_stop n1
	ok "starts" proxy_start n1
	is "changes made" none "$(series n1 kube_router_controller_changes_total)"
	kill -KILL "$(</run/lab/n1/pid)"
	ok "starts after SIGKILL" proxy_start n1
	is "changes made" none "$(series n1 kube_router_controller_changes_total)"
	streamed
	same "the kernel is as before" "$full"

	stage "$kind: a pod that is not known yet, with default_deny"
	is "open without" "$open" "$(late)"
	reload n1 $kind true
	becomes 20 "refused" "$closed" late
	is "its node reaches it" "n1p5 n1p5" "$(answers n1,10.244.1.15,tcp n1,fd02:1::15,tcp)"
	is "known pods reach the gateway" "pong pong" "$(answers n1p1,10.244.1.1,echo n1p1,fd02:1::1,echo)"
	is "the gateway's address reaches pods" "n1p3 n1p3" \
		"$(answers n1,10.244.1.13,tcp,10.244.1.1 n1,fd02:1::13,tcp,fd02:1::1)"
	python3 "$netpol" pod n1p5 late >$manifests/.late
	mv $manifests/.late $manifests/pod-n1p5.yaml
	becomes 20 "its object comes: open" "$open" late
	counted python3 "$netpol" probe 5
	rm $manifests/pod-n1p5.yaml
	becomes 20 "its object goes: refused" "$closed" late

	stage "$kind: open connections"
	reload n1 $kind
	becomes 20 "without default_deny" "$open" late
	counted python3 "$netpol" flows keep $manifests/open.yaml
	reload n1 $kind false recheck
	counted python3 "$netpol" flows recheck $manifests/open.yaml
	counted python3 "$netpol" probe 7

	other=$([[ $kind == nftables ]] && echo iptables || echo nftables)
	stage "from $kind to $other under a stream"
	stream
	reload n1 "$other"
	reload n2 "$other"
	becomes 30 "nothing of the old is left" "$other" backend n1
	streamed
	is "ready" 0 "$(proxy_ready n1; echo $?)"
	no_failures n1 n2
done

stage "cleanup"
for node in n1 n2; do
	ok "$node stops" proxy_stop $node
	ok "cleanup on $node" ns $node "$KR" cleanup --config /run/lab/$node/config.toml
done
same "exactly ours is gone" "$before"

for kind in iptables nftables; do
	stage "after kube-router v2: $kind"
	upstream_left
	ok "upstream's rules are there" test "$(of_upstream | wc -l)" -ge 30
	configure n1 $kind
	ok "n1 is ready" proxy_start n1
	becomes 10 "what it left is gone" "" of_upstream
	is "in use" $kind "$(backend n1)"
	is "allowed, refused" "n1p2 refused" "$(answers n1p1,10.244.1.12,tcp n1p3,10.244.1.12,tcp)"
	no_failures n1
	ok "n1 stops" proxy_stop n1
	ok "cleanup" ns n1 "$KR" cleanup --config /run/lab/n1/config.toml
	same "exactly ours is gone" "$before"
done

stage "without br_netfilter"
modprobe -r br_netfilter
ok "n1 is ready" proxy_start n1
ok "the journal says what is missing" grep -q 'load br_netfilter, or policies' /run/lab/n1/daemon.log
modprobe br_netfilter
finish
