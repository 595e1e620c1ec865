# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What makes a folder with a Debian 13 in it. Sourced after lib.sh, outside of the root folder.

SUITE=trixie
# All suites from which packages can be installed.
SUITES=("$SUITE" "$SUITE-updates" "$SUITE-backports")
# Of which architectures packages can be installed, separated by commas: the machine's own first.
ARCHITECTURES=amd64

# listed FILE...: the packages of lists in scripts/env, without their comments.
listed() { (cd "$TOP/scripts/env" && grep -hv '^#' -- "$@"); }

need_bootstrapper() {
	command -v mmdebstrap >/dev/null && [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] && return
	[[ $(id -u) == 0 ]] || die 'mmdebstrap is missing: apt-get install mmdebstrap debian-archive-keyring uidmap'
	command -v apt-get >/dev/null || die 'there is neither mmdebstrap nor apt-get: install mmdebstrap by hand'
	step download 'list of this machine'\''s packages' apt-get -q update ||
		say 'going on with the present package lists'
	DEBIAN_FRONTEND=noninteractive step build 'mmdebstrap on this machine' \
		apt-get -q -y install --no-install-recommends mmdebstrap debian-archive-keyring
}

# The folder's apt needs the same options as the host's to reach the mirror.
host_apt_options() { apt-config dump | grep -E '^Acquire::(https?::|ftp::)?(Proxy|CA|Verify)' || true; }

# The lists of stable suites do not expire, those of the others do within days; a mirror may lag behind.
may_be_old() { [[ $SUITE == trixie ]] || echo 'Acquire::Check-Valid-Until "false";'; }

# make_debian FOLDER TEXT PACKAGE...: make a Debian with these packages in FOLDER.new. Nothing is
# done with it yet: the caller renames it.
make_debian() {
	local folder=$1.new text=$2 url mode=root get suite lines=()
	shift 2
	need_bootstrapper
	url=$(mirror)
	[[ -n $url ]] || die 'no Debian mirror found in the apt configuration: set IOSTREAM_MIRROR to one'
	[[ $(id -u) == 0 ]] || mode=unshare
	"$TOP/scripts/env/remove-tree" "$folder"
	for suite in "${SUITES[@]}"; do lines+=("deb $url $suite main"); done
	# Packages stay in the cache: after an interrupted set-up they are not fetched again.
	mkdir -p "$CACHE/debs"
	{ host_apt_options; may_be_old; } >"$CACHE/apt-host.conf"
	step build "Debian $SUITE base system, fetched and unpacked" \
		mmdebstrap --mode="$mode" --variant=apt --architectures="$ARCHITECTURES" --aptopt="$CACHE/apt-host.conf" \
		--aptopt='APT::Install-Recommends "false"' --include=ca-certificates \
		"$SUITE" "$folder" "${lines[@]}"
	# apt does not wait for another apt that uses the same folder of packages.
	get=(flock /cache/debs.lock env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dir::Cache::archives=/cache/debs
		-o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true --no-install-recommends install)
	step download 'package lists' in_debian "$folder" apt-get -q -o APT::Update::Error-Mode=any update
	step download "$text ($# packages and what they need)" in_debian "$folder" "${get[@]}" --download-only "$@"
	step build "$text installed" in_debian "$folder" "${get[@]}" "$@"
}

# in_debian FOLDER COMMAND...: run a command in such a folder.
in_debian() { IOSTREAM_ENTER=$1 "$TOP/scripts/env/in-root" "${@:2}"; }
