# shellcheck shell=bash
# The cluster that the proxy's suites run against. To be sourced after netlab.sh.

KR=/usr/sbin/kube-router
if compgen -G "$LAB_IN/packages/*.deb" >/dev/null; then
	dpkg -i "$LAB_IN"/packages/*.deb >/run/dpkg.log 2>&1 || { cat /run/dpkg.log; exit 1; }
else
	KR=$LAB_IN/bin/kube-router
fi

proxy_topology() { # three nodes, five pods, a client with several addresses
	lab_fabric && lab_node 1 1 && lab_node 2 1 && lab_node 3 2 || return
	lab_client ext 2 100
	local n
	for n in {101..108}; do
		ip -n ext addr add "10.1.2.$n/24" dev eth0
		ip -n ext addr add "fd01:2::$n/64" dev eth0 nodad
	done
	lab_mesh
	lab_pod n1 n1p1 11 && lab_pod n1 n1p2 12 && lab_pod n2 n2p1 11 && lab_pod n2 n2p2 12 &&
		lab_pod n3 n3p1 11 || return
	local prefix
	for prefix in 10.96.0.0/16 203.0.113.0/24 198.51.100.0/24; do
		ip -n fabric route add $prefix via 10.1.1.1
	done
	for prefix in fd96::/64 2001:db8:1::/64 2001:db8:2::/64; do
		ip -n fabric route add $prefix via fd01:1::1
	done
}

proxy_config() { # proxy_config NODE MANIFESTS: a configuration file; more keys on standard input
	mkdir -p "/run/lab/$1"
	cat >"/run/lab/$1/config.toml" <<-X
		[node]
		name = "$1"
		enable_ipv6 = true
		[cluster]
		manifests = "$2"
		service_cluster_ip_range = ["10.96.0.0/16", "fd96::/108"]
		service_external_ip_range = ["203.0.113.0/24", "2001:db8:1::/64"]
		loadbalancer_ip_range = ["198.51.100.0/24", "2001:db8:2::/64"]
		[metrics]
		listen = "127.0.0.1:8080"
	X
	cat >>"/run/lab/$1/config.toml"
}

proxy_start() { # proxy_start NODE: the daemon in the node's namespace
	# Not by ns: a function in the background is a shell of its own, and $! would be that.
	ip netns exec "$1" "$KR" run --config "/run/lab/$1/config.toml" >>"/run/lab/$1/daemon.log" 2>&1 &
	echo $! >"/run/lab/$1/pid"
	eventually 120 proxy_ready "$1" || { tail -n 30 "/run/lab/$1/daemon.log"; return 1; }
}

proxy_ready() { ns "$1" curl -sf -o /dev/null http://127.0.0.1:20244/readyz; }

proxy_stop() { # proxy_stop NODE: SIGTERM, and wait for its end
	local pid
	pid=$(<"/run/lab/$1/pid")
	kill "$pid"
	wait "$pid"
}

proxy_metric() { # proxy_metric NODE NAME: the sum of a metric's series
	ns "$1" curl -sf http://127.0.0.1:8080/metrics | awk -v n="$2" '
		index($1, n) == 1 { sum += $2 } END { print sum + 0 }'
}

proxy_state() { # proxy_state NODE: what the tools show of services, addresses, sets and rules
	ns "$1" ipvsadm -S -n | sort
	# A link's own IPv6 address follows its hardware address, which is new with the link.
	ip -n "$1" -o addr show dev kube-dummy-if 2>/dev/null | awk '$4 !~ /^fe80:/ { print $4 }' | sort
	ns "$1" ipset save | sed 's/initval [^ ]*//; s/hashsize [^ ]*//' | sort
	# Built-in chains stand from the first use of a table on, and say nothing.
	local tool
	for tool in iptables ip6tables; do
		ns "$1" $tool-save | grep -E '^-A|^:KUBE' | sed 's/ \[[0-9:]*\]$//' | sort
	done
}

counted() { # counted COMMAND...: a program that prints "ok" and "FAIL" lines of its own
	local output=$LAB_OUT/.counted status=0
	"$@" >"$output" 2>&1 || status=$?
	cat "$output"
	lab_passed=$((lab_passed + $(grep -c '^ok ' "$output")))
	lab_failed=$((lab_failed + $(grep -c '^FAIL ' "$output")))
	# A program that broke has failed, whatever it had printed, and so has one that checked nothing.
	if ((status)) && ! grep -q '^FAIL ' "$output"; then failed "$*: exit status $status"; fi
	if ! ((status)) && ! grep -qE '^(ok|FAIL) ' "$output"; then failed "$*: nothing was checked"; fi
}
