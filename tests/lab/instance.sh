# shellcheck shell=bash
# The installed package's daemon as one systemd instance per node, and an API server
# for them. To be sourced after check.sh and netlab.sh.

LAB_API=10.1.2.200

lab_install() { # lab_install: the oldest of our packages in the payload
	local debs
	mapfile -t debs < <(find "$LAB_IN/packages" -name '*.deb' | sort -V)
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${debs[0]}" \
		>/run/lab-install.log 2>&1 || { cat /run/lab-install.log; return 1; }
	# The packaged unit with a node's namespace and folders; program, user, capabilities
	# and confinement stay the packaged ones.
	sed -e 's|/etc/kube-router/config.toml|/etc/kube-router/%i/config.toml|' \
		-e 's|^\(Runtime\|State\|Configuration\)Directory=kube-router$|&/%i|' \
		-e '/^\[Service\]/a NetworkNamespacePath=/run/netns/%i' \
		"$(systemctl show -p FragmentPath --value kube-router.service)" \
		>/run/systemd/system/kube-router@.service
	systemctl daemon-reload
}

lab_api() { # lab_api MANIFESTS [ARGS...]: the test API server, a machine of its own at $LAB_API
	local folder=$1
	shift
	lab_client api 2 200
	mkdir -p /run/lab/api
	ns api "$LAB_IN/bin/test-apiserver" --listen "$LAB_API:6443" --name "$LAB_API" --tls \
		--auth cert --credentials cert --control 127.0.0.1:8081 \
		--manifests "$folder" --kubeconfig-out /run/lab/api/kubeconfig "$@" >/run/lab/api/log 2>&1 &
	echo $! >/run/lab/api/pid
	eventually 30 grep -q '^ready' /run/lab/api/log || { cat /run/lab/api/log; return 1; }
}

lab_apply() { # lab_apply: YAML from standard input into the API server
	ns api curl -sSf -X POST --data-binary @- http://127.0.0.1:8081/apply
}

lab_configure() { # lab_configure NODE: its configuration; more keys on standard input
	local dir=/etc/kube-router/$1
	mkdir -p "$dir/config.d"
	cat >"$dir/config.toml" <<-X
		[node]
		name = "$1"
		enable_ipv6 = true

		[cluster]
		kubeconfig = "$dir/kubeconfig"
		service_cluster_ip_range = ["10.96.0.0/16", "fd96::/112"]
		service_external_ip_range = ["203.0.113.0/24", "2001:db8::/64"]
		loadbalancer_ip_range = ["198.51.100.0/24"]

		[control]
		socket = "/run/kube-router/$1/control.sock"
	X
	cat >"$dir/config.d/50-lab.toml"
	install -m 640 -g kube-router /run/lab/api/kubeconfig "$dir/kubeconfig"
}

lab_log() { # lab_log NODE [ARGS...]: its journal
	journalctl -u "kube-router@$1" --no-pager -o cat "${@:2}"
}
