#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# F-10: nodes in containers and in user namespaces.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

# container OPTION... COMMAND...: run the command in a container that has this machine's programs,
# and the nodes of its own.
container() {
	systemd-nspawn --quiet --directory=/ --volatile=yes --pipe --register=no --bind=/dev/iostream \
		--bind=/dev/iostreams --bind="$(node pattern)" --property='DeviceAllow=char-iostream rw' "$@" </dev/null
}

container_uses() {
	ready
	container "$use" 2>&1 || wrong 'not in a container'
}

# Root of the container is another user outside.
container_of_another_user() {
	ready
	mapped='--private-users=524288:65536'
	fails 4 'root of this service or container is not root of the machine' \
		container "$mapped" iostreamctl recv /dev/iostream --count 1 --quiet
	chmod 666 /dev/iostream "$(node pattern)"
	container "$mapped" "$use" 2>&1 || wrong 'not in a container of another user'
}

# A user who makes a namespace of his own has no more rights there than before.
namespace() {
	ready
	tester='setpriv --reuid=tester --regid=tester'
	# shellcheck disable=SC2086
	{
		fails 4 'root of this service or container is not root of the machine' \
			$tester --clear-groups unshare --user --map-root-user iostreamctl recv /dev/iostream --count 1 --quiet
		$tester --groups=iostream unshare --user --map-root-user "$use" 2>&1 || wrong 'a member may not'
		fails 4 'only root may set the state of' \
			$tester --groups=iostream unshare --user --map-root-user iostreamctl stop pattern
	}
}

clause F-10/container container_uses
clause F-10/container-of-another-user container_of_another_user
clause F-10/user-namespace namespace
plan
