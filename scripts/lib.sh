# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts share. Sourced after `set -euo pipefail`.

TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
# Inside the root folder IOSTREAM_CACHE is the fixed place where env/in-root binds the cache.
CACHE=${IOSTREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/iostream}
IN_ROOT=${IOSTREAM_IN_ROOT:-}
JOBS=$(nproc)
# The stock kernel that is tested, a link that env/kernel-tree makes. KERNEL names one of Debian's.
STOCK=$CACHE/kernels/current-${KERNEL:-cloud-amd64}
export TOP CACHE IN_ROOT JOBS STOCK
# What its architecture decides: Debian's name for it; where what runs in the VM is built; Rust's name
# for its programs; the prefix of its C compiler and binutils.
# shellcheck disable=SC2034 # Other scripts use them.
case ${KERNEL:-} in
*arm64*) DEBIAN_ARCH=arm64 OUT=build/arm64 TARGET=aarch64-unknown-linux-gnu CROSS=aarch64-linux-gnu- ;;
*) DEBIAN_ARCH=amd64 OUT=build TARGET=x86_64-unknown-linux-gnu CROSS=x86_64-linux-gnu- ;;
esac

# An interruption ends the script even if the command that was running turned the signal into an
# ordinary exit: the next command must not start.
trap 'exit 130' INT TERM HUP

# Messages go to standard error: standard output is the result of a script.
say() { printf 'iostream: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# The help text of a script is the comment at its head.
help_if_asked() {
	case ${1:-} in
	-h | --help)
		sed -n '2,/^[^#]/{/^# SPDX/d;s/^# \{0,1\}//p}' "$0" | sed '/./,$!d'
		exit 0
		;;
	esac
}

# Runs the script with Debian 13's tools, as everything that compiles or runs the VM does.
enter_root() {
	local self
	self=$(cd -- "$(dirname -- "$0")" && pwd -P)/${0##*/}
	[[ -n $IN_ROOT ]] || exec "$TOP/scripts/env/in-root" "${self#"$TOP"/}" "$@"
}

# step KIND TEXT COMMAND...: run a long command with its output in a log, and print one line with
# the time it took. KIND is `download` or `build`; the two are added up separately, because the time
# of a download depends on the network. A step that may fail is run by `outcome_of`.
step() {
	local kind=$1 text=$2 start=$EPOCHREALTIME log seconds status=0 condition=$-
	shift 2
	mkdir -p "$CACHE/log"
	log=$(mktemp "$CACHE/log/step.XXXXXX")
	if [[ -t 2 ]]; then printf 'iostream: %s: %s ...' "$kind" "$text" >&2; fi
	# Bash ignores `set -e` in everything that a condition calls (`if`, `while`, `&&`, `||`, `!`), so
	# that a function would go on after a command that failed.
	set +e
	(set -e; false; true)
	status=$?
	if ((status == 0)) && [[ $(type -t "$1") == function ]]; then
		die "$text: this step is part of a condition, which hides the failures in $1; use outcome_of"
	fi
	(set -e; "$@") >"$log" 2>&1 </dev/null
	status=$?
	if [[ $condition == *e* ]]; then set -e; fi
	seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
	if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
	if ((status > 128)); then
		say "$kind: $text: interrupted after $seconds s"
	elif ((status != 0)); then
		say "$kind: $text: FAILED after $seconds s; the end of its output:"
		tail -n 40 "$log" | sed 's/^/    /' >&2
	else
		say "$kind: $text: $seconds s"
		printf '%s %s %s\n' "$(date +%s)" "$kind" "$seconds" >>"$CACHE/times"
	fi
	rm -f "$log"
	return "$status"
}

# outcome_of step...: run a step that may fail, and set OUTCOME to its status.
outcome_of() {
	set +e
	"$@"
	# shellcheck disable=SC2034 # The callers read it.
	OUTCOME=$?
	set -e
}

# times_since EPOCH: the time that the steps took since then, downloads separately.
times_since() {
	[[ -e $CACHE/times ]] || return 0
	awk -v since="$1" '$1 >= since { t[$2] += $3 }
		END { printf "set-up and building took %.0f s, downloads %.0f s\n", t["build"], t["download"] }' "$CACHE/times"
}

# locked NAME COMMAND...: run the command, one at a time among all checkouts that share the cache.
# The lock ends with the process.
locked() {
	local name=$1 fd
	shift
	mkdir -p "$CACHE"
	exec {fd}>"$CACHE/$name.lock"
	if ! flock -n "$fd"; then
		say "waiting for another process that is preparing the $name"
		flock "$fd"
	fi
	"$@"
	exec {fd}>&-
}

# mirror: the address of the Debian mirror in use. apt itself tells it: its configuration has two
# formats, many files, and variables.
mirror() {
	local codename
	if [[ -n ${IOSTREAM_MIRROR:-} ]]; then
		echo "$IOSTREAM_MIRROR"
		return
	fi
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && [[ $ID == debian ]] && echo "${VERSION_CODENAME:-sid}") ||
		die 'this is not a Debian machine, so its package mirror is of no use here: set IOSTREAM_MIRROR to a Debian mirror'
	# shellcheck disable=SC2016
	apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v name="$codename" '$3 == "main" && ($2 == name || $2 ~ /^(oldstable|stable|testing|unstable)$/) \
			{ sub("/$", "", $1); print $1; exit }'
}

# add_packages LIST TEXT: add the packages of scripts/env/LIST, which only TEXT needs, to the root
# folder.
add_packages() {
	local packages get
	mapfile -t packages < <(grep -v '^#' "$TOP/scripts/env/$1")
	# shellcheck disable=SC2016
	[[ $(dpkg-query -W -f '${db:Status-Status}\n' "${packages[@]}" 2>&1 | sort -u) == installed ]] && return
	[[ $(id -u) == 0 ]] || die "these packages are missing: ${packages[*]}"
	# apt does not wait for another apt that uses the same folder of packages.
	get=(flock "$CACHE/debs.lock" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o APT::Sandbox::User=root --no-install-recommends)
	# On a machine that is its own root folder apt keeps its packages at the usual place.
	[[ $IN_ROOT == host ]] || get+=(-o Dir::Cache::archives=/cache/debs -o APT::Keep-Downloaded-Packages=true)
	step download 'package lists' apt-get -q -o APT::Update::Error-Mode=any update ||
		say 'going on with the present package lists'
	step build "packages for $2 (${packages[*]})" "${get[@]}" install "${packages[@]}"
}

# selected NAME: whether ONLY asks for NAME. ONLY holds shell globs, separated by `|`; each is
# matched against the whole name. Without ONLY every name is selected.
selected() {
	local name=$1 pattern patterns
	[[ ${ONLY:-} ]] || return 0
	IFS='|' read -ra patterns <<<"$ONLY"
	for pattern in "${patterns[@]}"; do
		# shellcheck disable=SC2053 # The right-hand side is a glob.
		if [[ $name == $pattern ]]; then return 0; fi
	done
	return 1
}

# each_selects KIND NAME...: fail, and say how a pattern looks, unless each pattern of ONLY matches
# one of the names.
each_selects() {
	local kind=$1 name pattern patterns
	shift
	IFS='|' read -ra patterns <<<"${ONLY:-}"
	for pattern in "${patterns[@]}"; do
		for name in "$@"; do
			# shellcheck disable=SC2053 # The right-hand side is a glob.
			if [[ -z $pattern || $name == $pattern ]]; then continue 2; fi
		done
		say "ONLY=$pattern matches no $kind: a pattern is a shell glob for the whole name, several are" \
			"separated by |; the names are: $*"
		return 1
	done
}

# add_up FILE...: the sum of the files' last lines, each `N passed, N failed, N skipped`.
add_up() {
	local file
	for file in "$@"; do tail -n 1 -- "$file"; done |
		awk '{ p += $1; f += $3; s += $5 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
}

# tracked_files PATTERN...: the files of the checkout, new ones included, relative to its top. Call
# it outside of the root folder: a worktree's repository lies elsewhere.
tracked_files() {
	# Under sudo the checkout belongs to another user, which git refuses by default.
	if git -C "$TOP" -c safe.directory='*' rev-parse 2>/dev/null; then
		git -C "$TOP" -c safe.directory='*' ls-files --cached --others --exclude-standard --deduplicate -- "$@" |
			while IFS= read -r file; do
				if [[ -f $TOP/$file ]]; then printf '%s\n' "$file"; fi
			done
	else
		die 'this is not a git checkout: its files are unknown'
	fi
}
