#!/usr/bin/python3
"""The proxy's truth table, packet by packet.

A row is: kind of address x traffic policy x where the endpoints are x where the client is x
family x protocol. Each row says who may answer and which source address the pod must see; the
rows are worked out here from the API's text, not from the daemon.

usage: truth.py manifests DIR     write the cluster as YAML files
       truth.py probe             try every row and compare; exit status 1 if one differs
       truth.py guard             no port of the node answers at a Service's address
       truth.py affinity          each client address keeps its endpoint, and clients spread
       truth.py ranges            loadBalancerSourceRanges admit whom they name
       truth.py first ADDRESS PORT FILE
                                  ask without pause from outside until FILE is there; the node
                                  must never answer
"""
import concurrent.futures
import ctypes
import os
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000

# Node n1 is the one that is asked; n2 stands beside it, n3 in another subnet.
NODES = {"n1": 1, "n2": 1, "n3": 2}
# Pods by node: the host part of their addresses. Pod n3p1 is only ever a client.
PODS = {"n1p1": 11, "n1p2": 12, "n2p1": 11, "n2p2": 12, "n3p1": 11}
ENDPOINTS = {"local": ["n1p2"], "remote": ["n2p1", "n2p2"], "both": ["n1p2", "n2p1"], "none": []}
POLICIES = ("Cluster", "Local")
KINDS = ("cluster", "nodeport", "external", "balancer")
CLIENTS = ("pod", "node", "outside", "farpod")
TIMEOUT = 2.0


def pod_address(pod, family):
    node = pod[1]
    return f"10.244.{node}.{PODS[pod]}" if family == 4 else f"fd02:{node}::{PODS[pod]}"


def node_address(node, family):
    subnet, number = NODES[node], node[1]
    return f"10.1.{subnet}.{number}" if family == 4 else f"fd01:{subnet}::{number}"


def services():
    number = 0
    for policy in POLICIES:
        for place in ENDPOINTS:
            number += 1
            yield number, policy, place


def vip(number, kind, family):
    if kind == "nodeport":
        return node_address("n1", family), 30000 + number
    v4, v6 = {
        "cluster": ("10.96.0.", "fd96::"),
        "external": ("203.0.113.", "2001:db8:1::"),
        "balancer": ("198.51.100.", "2001:db8:2::"),
    }[kind]
    return (v4 if family == 4 else v6) + str(number), 80


def node_manifests(folder):
    os.makedirs(folder, exist_ok=True)
    for node in NODES:
        addresses = "".join(
            f"  - {{type: InternalIP, address: '{node_address(node, f)}'}}\n" for f in (4, 6)
        )
        with open(f"{folder}/node-{node}.yaml", "w") as out:
            out.write(
                f"apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n"
                f"spec:\n  podCIDRs: ['10.244.{node[1]}.0/24', 'fd02:{node[1]}::/64']\n"
                f"status:\n  addresses:\n{addresses}"
            )


def manifests(folder):
    node_manifests(folder)
    for number, policy, place in services():
        with open(f"{folder}/svc-{number}.yaml", "w") as out:
            out.write(service_text(number, policy, place))
    with open(f"{folder}/svc-{STICKY}.yaml", "w") as out:
        out.write(service_text(STICKY, "Cluster", "both", "  sessionAffinity: ClientIP\n"))
    with open(f"{folder}/svc-{LIMITED}.yaml", "w") as out:
        allowed = [f"{outside_address(4)}/32", f"{outside_address(6)}/128"]
        extra = f"  loadBalancerSourceRanges: {allowed}\n"
        out.write(service_text(LIMITED, "Cluster", "both", extra))


# Numbers of Services beside the table's.
STICKY, LIMITED = 30, 31


def service_text(number, policy, place, extra=""):
    ips = {k: [vip(number, k, f)[0] for f in (4, 6)] for k in ("cluster", "external", "balancer")}
    text = f"""apiVersion: v1
kind: Service
metadata: {{name: s{number}, namespace: truth, creationTimestamp: "2024-01-01T00:00:00Z"}}
spec:
  type: LoadBalancer
  clusterIP: "{ips['cluster'][0]}"
  clusterIPs: {ips['cluster']}
  externalIPs: {ips['external']}
  internalTrafficPolicy: {policy}
  externalTrafficPolicy: {policy}
{extra}  ports:
  - {{name: web, protocol: TCP, port: 80, targetPort: 8080, nodePort: {30000 + number}}}
  - {{name: dgram, protocol: UDP, port: 80, targetPort: 8080, nodePort: {30000 + number}}}
status:
  loadBalancer:
    ingress: [{{ip: "{ips['balancer'][0]}"}}, {{ip: "{ips['balancer'][1]}"}}]
"""
    for family in (4, 6):
        rows = "".join(
            f"- {{addresses: ['{pod_address(p, family)}'], nodeName: {p[:2]}, conditions: {{ready: true}}}}\n"
            for p in ENDPOINTS[place]
        )
        text += f"""---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s{number}-v{family}, namespace: truth, labels: {{kubernetes.io/service-name: s{number}}}}}
addressType: IPv{family}
ports:
- {{name: web, protocol: TCP, port: 8080}}
- {{name: dgram, protocol: UDP, port: 8080}}
endpoints:{' []' if not rows else ''}
{rows}"""
    return text


# --- what must happen ---------------------------------------------------------------------

CLIENT_NAMESPACE = {"pod": "n1p1", "node": "n1", "outside": "ext", "farpod": "n3p1"}


def expected(kind, policy, place, client):
    """(who may answer, or "refused", or "silent")."""
    everyone = ENDPOINTS[place]
    near = [p for p in everyone if p.startswith("n1")]
    inside = client in ("pod", "node")
    if not everyone:
        return "refused"
    if policy == "Cluster":
        return everyone
    if kind == "cluster":
        # The node itself is told at once; a pod's packet is dropped.
        return near or ("refused" if client == "node" else "silent")
    if near:
        return near
    return everyone if inside else "silent"


def source_seen(pod, client, family):
    """Local pods and this node keep their address, and so does whoever speaks to a local pod."""
    if client == "pod":
        return pod_address("n1p1", family)
    if client == "node" or not pod.startswith("n1"):
        return node_address("n1", family)
    return pod_address("n3p1", family) if client == "farpod" else outside_address(family)


def outside_address(family):
    return "10.1.2.100" if family == 4 else "fd01:2::100"


def rows():
    for number, policy, place in services():
        for kind in KINDS:
            for client in CLIENTS:
                # Another node's pod asks its own node for the Service's addresses; of n1 it can
                # ask the NodePort.
                if client == "farpod" and kind != "nodeport":
                    continue
                for family in (4, 6):
                    for protocol in ("tcp", "udp"):
                        yield number, policy, place, kind, client, family, protocol


# --- what does happen ---------------------------------------------------------------------


def enter(name):
    fd = os.open("/run/netns/" + name, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns " + name)
    os.close(fd)


def ask(address, port, family, protocol, timeout=TIMEOUT, source=None, from_port=0):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    s = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    s.settimeout(timeout)
    try:
        if source or from_port:
            s.bind((source or "", from_port))
        s.connect((address, port))
        if protocol == "udp":
            s.send(b"?")
        return s.recv(2048).decode().strip()
    except (ConnectionRefusedError, PermissionError):
        # The second is what the node's own datagrams get when IPVS refuses them.
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return f"error: {error}"
    finally:
        s.close()


ONLY = "answered only by"


def try_row(row):
    number, policy, place, kind, client, family, protocol = row
    enter(CLIENT_NAMESPACE[client])
    want = expected(kind, policy, place, client)
    address, port = vip(number, kind, family)
    source = outside_address(family) if client == "outside" else None
    seen = set()
    # Rows run side by side, so that turns are taken among them: a dozen tries find everybody.
    for _ in range(12):
        answer = ask(address, port, family, protocol, TIMEOUT, source)
        if answer.count(" ") < 1 or answer.startswith("error"):
            seen.add(answer)
            break
        who, shown = answer.split()[:2]
        seen.add(who)
        if who in PODS and shown != source_seen(who, client, family):
            return f"{who} saw {shown}, not {source_seen(who, client, family)}"
        if isinstance(want, str) or seen >= set(want):
            break
    if isinstance(want, str):
        return None if seen == {want} else f"{sorted(seen)}, not {want}"
    if seen and seen < set(want):
        return f"{ONLY} {sorted(seen)}, not {sorted(want)}"
    return None if seen == set(want) else f"answered by {sorted(seen)}, not {sorted(want)}"


def probe():
    failed = 0
    table = list(rows())
    # Threads: setns moves the calling thread alone.
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        faults = list(zip(table, pool.map(try_row, table)))
    # Two rows that take turns at one Service in lockstep meet the same pod each time: by itself a
    # row finds everybody.
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        for row, fault in faults:
            if fault and fault.startswith(ONLY):
                fault = pool.submit(try_row, row).result()
            if fault:
                failed += 1
                print("FAIL  row", *row, ":", fault, flush=True)
    print(f"{'FAIL ' if failed else 'ok   '} truth table: {len(table)} rows, {failed} wrong")
    return failed


def guard():
    """Ports that only the node listens on, asked at every Service address from everywhere."""
    failed = tried = 0
    for number, _, _ in services():
        for kind in ("cluster", "external", "balancer"):
            for client in ("pod", "node", "outside"):
                for family in (4, 6):
                    def one():
                        enter(CLIENT_NAMESPACE[client])
                        return ask(vip(number, kind, family)[0], 9999, family, "tcp")
                    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
                        answer = pool.submit(one).result()
                    tried += 1
                    if answer not in ("refused", "silent"):
                        failed += 1
                        print("FAIL  port of the node at", kind, number, client, family, ":", answer)
    print(f"{'FAIL ' if failed else 'ok   '} no port of the node at a Service's address: {tried} tries, {failed} open")
    return failed


def from_outside(function, *arguments):
    """Runs a function in the outside client's namespace, on a thread of its own."""
    def run():
        enter("ext")
        return function(*arguments)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(run).result()


def verdict(text, faults):
    print(f"{'FAIL ' if faults else 'ok   '} {text}", *faults, sep="\n      " if faults else "")
    return len(faults)


def more_clients(family):
    return [f"10.1.2.{n}" if family == 4 else f"fd01:2::{n}" for n in range(101, 109)]


def affinity():
    failed = 0
    for family in (4, 6):
        address, port = vip(STICKY, "external", family)
        faults, chosen = [], set()
        for client in more_clients(family):
            seen = {
                from_outside(ask, address, port, family, "tcp", TIMEOUT, client).split()[0]
                for _ in range(4)
            }
            chosen |= seen
            if len(seen) != 1:
                faults.append(f"{client} was answered by {sorted(seen)}")
        if chosen != set(ENDPOINTS["both"]):
            faults.append(f"eight clients were all answered by {sorted(chosen)}")
        failed += verdict(f"affinity per client address, IPv{family}", faults)
    return failed


def ranges():
    failed = 0
    for family in (4, 6):
        address, port = vip(LIMITED, "balancer", family)
        named = from_outside(ask, address, port, family, "tcp", TIMEOUT, outside_address(family))
        other = from_outside(ask, address, port, family, "tcp", TIMEOUT, more_clients(family)[0])
        faults = []
        if named.split()[0] not in ENDPOINTS["both"]:
            faults.append(f"a client inside the ranges got {named!r}")
        if other != "silent":
            faults.append(f"a client outside the ranges got {other!r}")
        failed += verdict(f"loadBalancerSourceRanges, IPv{family}", faults)
    return failed


def first(address, port, stop):
    """Connects over and over while a Service appears or goes: only its pods may ever answer."""
    family = 6 if ":" in address else 4
    seen = {}

    def run():
        while not os.path.exists(stop):
            answer = ask(address, port, family, "tcp", 0.5)
            who = answer.split()[0]
            seen[who] = seen.get(who, 0) + 1

    from_outside(run)
    faults = [f"{who} answered {count} times" for who, count in seen.items() if who in NODES]
    tries = ", ".join(f"{who} {count}" for who, count in sorted(seen.items()))
    return verdict(f"asked without pause: {tries}", faults)


if __name__ == "__main__":
    start = time.monotonic()
    if sys.argv[1] == "manifests":
        manifests(sys.argv[2])
        sys.exit(0)
    if sys.argv[1] == "first":
        sys.exit(1 if first(sys.argv[2], int(sys.argv[3]), sys.argv[4]) else 0)
    actions = {"probe": probe, "guard": guard, "affinity": affinity, "ranges": ranges}
    status = actions[sys.argv[1]]()
    print(f"      ({time.monotonic() - start:.0f} s)")
    sys.exit(1 if status else 0)
