#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# I-01, I-02: the packages are installed, and used.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

built() {
	dkms status iostream | grep -q ", $release, .*: installed" || wrong "$(dkms status)"
	# Neither the tests' modules nor those of the benchmarks, nor one that QEMU's card would load.
	equal "$(modules_for "$release")" "$all_modules"
}

loads() {
	modprobe iostream_ticker
	udevadm settle
	[ -e /dev/iostreams/by-name/ticker ]
	[ "$(numbers)" -ge 1 ]
}

locked() {
	grep -q '\[integrity\]' /sys/kernel/security/lockdown || wrong "$(cat /sys/kernel/security/lockdown)"
	modprobe iostream
	for module in $all_modules; do
		equal "$(modinfo -F signer "$module")" 'owner of the iostream test machine'
	done
}

doctor() {
	# As doc/system.md says.
	echo options iostream mode=0660 >/etc/modprobe.d/iostream.conf
	modprobe iostream_ticker
	udevadm settle
	iostreamctl doctor
	member 'iostreamctl doctor'
	rm /etc/modprobe.d/iostream.conf
}

group() {
	modprobe iostream_ticker
	udevadm settle
	member 'iostreamctl recv ticker --count 1 --quiet >/dev/null'
	fails 4 'join the group iostream' stranger 'iostreamctl recv ticker --count 1 --quiet'
}

manual() {
	for page in $(man iostreamctl | grep -o 'iostreamctl-[a-z]*(1)' | sed 's/(1)//' | sort -u); do
		man "$page" >"$work/page"
		grep -q SYNOPSIS "$work/page" || wrong "no page $page"
	done
	man 8 iostream-kernel-tree | grep -q linux-source
}

completions() {
	for file in bash-completion/completions/iostreamctl fish/vendor_completions.d/iostreamctl.fish zsh/vendor-completions/_iostreamctl; do
		grep -q recv "/usr/share/$file" || wrong "$file"
	done
}

# The first driver, as an ordinary user, with nothing but the packages.
driver() {
	rm -rf /tmp/my_driver
	stranger 'cp -r /usr/share/iostream/template /tmp/my_driver && make -C /tmp/my_driver'
	modprobe iostream
	! insmod /tmp/my_driver/iostream_example.ko 2>/dev/null || wrong 'it is loaded without a signature'
	"/usr/lib/modules/$release/build/scripts/sign-file" sha256 /var/lib/dkms/mok.key /var/lib/dkms/mok.pub /tmp/my_driver/iostream_example.ko
	insmod /tmp/my_driver/iostream_example.ko
	udevadm settle
	equal "$(od -A n -t u8 -N 32 /dev/iostreams/by-name/squares | xargs)" '0 1 4 9'
	rmmod iostream_example
}

header() {
	printf '#include <linux/iostream.h>\nint main(void) { return IOSTREAM_VERSION != IOSTREAM_VERSION; }\n' >"$work/c.c"
	gcc -Wall -Werror -o "$work/c" "$work/c.c"
	"$work/c"
}

tree() {
	equal "$(iostream-kernel-tree --check)" "/var/lib/iostream/kernel/$release"
	stranger "iostream-kernel-tree $release" >/dev/null
	fails 1 'only root can make it' stranger "iostream-kernel-tree --keep /var/lib/nowhere $release"
	fails 1 "install linux-headers-7.0.0" iostream-kernel-tree 7.0.0
	fails 2 'unknown option --fly' iostream-kernel-tree --fly
}

# Each thing that may be missing is named, with what to install.
missing() {
	mkdir "$work/bin"
	printf '#!/bin/sh\necho "rustc 1.96.1"\n' >"$work/bin/rustc"
	chmod +x "$work/bin/rustc"
	fails 1 'only the same compiler gives the same symbols' env RUSTC="$work/bin/rustc" iostream-kernel-tree
	fails 1 'install rustc' env RUSTC=/nowhere iostream-kernel-tree
	fails 1 'install bindgen' env BINDGEN=/nowhere iostream-kernel-tree
	mkdir -p "$work/root/usr" "$work/old/usr/lib/modules/6.12.0/build"
	ln -s /usr/lib "$work/root/usr/lib"
	fails 1 'install linux-source-7.3' iostream-kernel-tree --root "$work/root" --keep "$work/kept"
	echo CONFIG_MODULES=y >"$work/old/usr/lib/modules/6.12.0/build/.config"
	fails 1 'built without Rust' iostream-kernel-tree --root "$work/old" 6.12.0
	# shellcheck disable=SC2016
	printf '#!/bin/sh\ncase "$*" in *linux-source*) printf 7.3.9-1 ;; *) printf 7.3.4-1 ;; esac\n' >"$work/bin/dpkg-query"
	chmod +x "$work/bin/dpkg-query"
	rm "$work/bin/rustc"
	fails 1 'install the same version of both' env PATH="$work/bin:$PATH" iostream-kernel-tree --keep "$work/kept"
}

clause I-02/modules-of-the-running-kernel built
clause I-02/loads-and-works loads
clause I-02/signed-for-a-locked-down-kernel locked
clause I-02/tree-is-found tree
clause I-02/missing-is-named missing
clause I-01/doctor doctor
clause I-01/group group
clause I-01/manual manual
clause I-01/completions completions
clause I-01/header-is-found header
clause I-01/first-driver driver
plan
