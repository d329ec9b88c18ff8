#!/bin/bash
# The kernel rooms' own tests, compiled on the host, on a kernel that has all they need.
. "$LAB_IN/check.sh"
# What is missing is a failure here.
export KUBE_ROUTER_REQUIRE_NETNS=1 KUBE_ROUTER_REQUIRE_KERNEL=1

# Nothing loads these by itself; our package has them loaded at boot.
modprobe -a fou fou6

shopt -s nullglob
for program in "$LAB_IN"/bin/*_kernel; do
	stage "$(basename "$program")"
	rust_tests "$program"
done
finish
