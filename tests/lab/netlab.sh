# shellcheck shell=bash
# A small cluster network made of network namespaces. To be sourced; needs root.
#
#               fabric (switches br1, br2; routes between the subnets)
#     10.1.1.0/24 fd01:1::/64 |          | 10.1.2.0/24 fd01:2::/64
#             nodes           |          | nodes, outside clients
#
# Node nK has eth0 (10.1.S.K, fd01:S::K) and the pod ranges 10.244.K.0/24 and
# fd02:K::/64. A pod is a namespace attached by the real CNI plugins "bridge" and
# "host-local" with the configuration that the package ships, plus the node's ranges.
# Nothing here knows Services: those are the daemon's work.

LAB_CNI_BIN=${LAB_CNI_BIN:-/usr/lib/cni}
if [[ -z ${LAB_CNI_CONF:-} ]]; then
	LAB_CNI_CONF=/etc/cni/net.d/10-kuberouter.conflist
	[[ -e $LAB_CNI_CONF ]] || LAB_CNI_CONF=$LAB_IN/10-kuberouter.conflist
fi

ns() { # ns NAME COMMAND...: run a command in a namespace
	local name=$1
	shift
	ip netns exec "$name" "$@"
}

lab_netns() { # lab_netns NAME
	ip netns add "$1" && ip -n "$1" link set lo up
	# Addresses are usable at once; nobody else is on these links.
	ns "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
}

lab_fabric() {
	# Nothing loads these by itself when only a namespace asks for them.
	modprobe -a br_netfilter dummy
	lab_netns fabric
	ns fabric sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	local s
	for s in 1 2; do
		ip -n fabric -batch - <<-X
			link add br$s type bridge
			addr add 10.1.$s.254/24 dev br$s
			addr add fd01:$s::254/64 dev br$s nodad
			link set br$s up
		X
	done
}

lab_attach() { # lab_attach NAME SUBNET HOST: eth0 on the fabric, default route
	ip link add eth0 netns "$1" type veth peer name "$1" netns fabric
	ip -n fabric link set "$1" master "br$2" up
	ip -n "$1" -batch - <<-X
		addr add 10.1.$2.$3/24 dev eth0
		addr add fd01:$2::$3/64 dev eth0 nodad
		link set eth0 up
		route add default via 10.1.$2.254
		route add default via fd01:$2::254
	X
}

lab_client() { # lab_client NAME SUBNET HOST: a machine that is no node
	lab_netns "$1"
	lab_attach "$1" "$2" "$3"
}

lab_node() { # lab_node K SUBNET: node nK, its CNI file, the fabric's routes to its pods
	lab_netns "n$1"
	ns "n$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	lab_attach "n$1" "$2" "$1"
	mkdir -p "/run/lab/n$1"
	jq --arg k "$1" '.plugins[0] + {cniVersion, name} | .ipam += {
		dataDir: "/run/lab/n\($k)/ipam",
		ranges: [[{subnet: "10.244.\($k).0/24"}], [{subnet: "fd02:\($k)::/64"}]]}' \
		"$LAB_CNI_CONF" >"/run/lab/n$1/cni.json"
	# The routes that a routing daemon would teach the fabric.
	ip -n fabric route add "10.244.$1.0/24" via "10.1.$2.$1"
	ip -n fabric route add "fd02:$1::/64" via "fd01:$2::$1"
}

lab_mesh() { # lab_mesh: nodes of one subnet reach each other's pods directly
	local a b k s addresses
	addresses=$(ip netns list | awk '$1 ~ /^n[0-9]+$/ { print $1 }')
	for a in $addresses; do
		for b in $addresses; do
			k=${b#n}
			for s in 1 2; do
				[[ $a != "$b" && -n $(ip -n "$a" -4 addr show to "10.1.$s.0/24") &&
					-n $(ip -n "$b" -4 addr show to "10.1.$s.0/24") ]] || continue
				ip -n "$a" route replace "10.244.$k.0/24" via "10.1.$s.$k"
				ip -n "$a" route replace "fd02:$k::/64" via "fd01:$s::$k"
			done
		done
	done
}

lab_cni() { # lab_cni COMMAND NODE NAME [CONFIG]: call the bridge plugin as a runtime does
	ns "$2" env CNI_COMMAND="$1" CNI_CONTAINERID="$3" CNI_NETNS="/run/netns/$3" \
		CNI_IFNAME=eth0 CNI_PATH="$LAB_CNI_BIN" "$LAB_CNI_BIN/bridge" <"${4:-/run/lab/$2/cni.json}"
}

lab_pod() { # lab_pod NODE NAME [HOST]: a pod, with 10.244.K.HOST and fd02:K::HOST if given
	local node=$1 pod=$2 k=${1#n} conf=/run/lab/$1/$2.json
	lab_netns "$pod" || return
	if [[ ${3:-} ]]; then
		jq --arg a "10.244.$k.$3/24" --arg b "fd02:$k::$3/64" \
			'.args.cni.ips = [$a, $b]' "/run/lab/$node/cni.json" >"$conf"
	else
		cp "/run/lab/$node/cni.json" "$conf"
	fi
	if ! lab_cni ADD "$node" "$pod" "$conf" >"/run/lab/$node/$pod.result"; then
		echo "CNI ADD $pod on $node:" >&2
		cat "/run/lab/$node/$pod.result" >&2
		return 1
	fi
}

lab_unpod() { # lab_unpod NODE NAME: what the runtime does when a pod goes
	lab_cni DEL "$1" "$2" "/run/lab/$1/$2.json"
	ip netns del "$2"
}

lab_address() { # lab_address FAMILY NAME: the address of a pod; FAMILY 4 or 6
	ip -n "$2" -"$1" -o addr show dev eth0 scope global | awk '{ sub("/.*", "", $4); print $4; exit }'
}

lab_serve() { # lab_serve PORT NAME...: one process that answers for all these namespaces
	python3 "$LAB_IN/whoami.py" "$@" >"/run/lab/whoami-$1.out" 2>&1 &
	eventually 30 grep -q ready "/run/lab/whoami-$1.out"
}

ask() { # ask NAMESPACE ARGS...: the answers on one line, "COUNTx WHO CLIENT ADDRESS ..."
	ns "$1" bash "$LAB_IN/ask.sh" "${@:2}" | paste -sd' '
}
