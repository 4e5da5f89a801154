# What all test files share, made once per run: facts about the runtime and the host, the root file
# system template and the compiled helpers. Everything made lies in BATS_SUITE_TMPDIR, or is a
# build product of helpers/.

setup_suite() {
	bats_require_minimum_version 1.5.0
	export SUITE=${BASH_SOURCE[0]%/*}
	[[ $SUITE == /* ]] || SUITE=$PWD/$SUITE
	[ "${MOAT_SUITE_RUN-}" ] || {
		echo "start the suite with tests/integration/run: it needs what that prepares" >&2
		return 1
	}

	export MOAT MOAT_MODE=${MOAT_MODE:-container} RUNTIME CGROUPS
	MOAT=$(realpath "$(command -v "${MOAT:-$SUITE/../../moat}")") || {
		echo "no runtime to test: build moat, or set MOAT or --runtime" >&2
		return 1
	}
	export PATIENCE=1
	[ "$MOAT_MODE" != vm ] || PATIENCE=10
	read -r RUNTIME _ < <("$MOAT" --version)
	case $(stat -f -c %T /sys/fs/cgroup) in
		cgroup2fs) CGROUPS=v2 ;;
		*) CGROUPS=v1 ;;
	esac

	export HELPERS=$SUITE/helpers/build TEMPLATE=$BATS_SUITE_TMPDIR/template
	make_template
}

# make_template: what make_bundle() makes bundles of: in bundle/ what all may share, in own/ what each
# gets a copy of. A root file system of busybox, two users and the helper that runs inside.
make_template() {
	local rootfs=$TEMPLATE/bundle/rootfs own=$TEMPLATE/own
	mkdir -p "$rootfs"/{bin,dev,home/user,lib,proc,root,run,sbin,sys,tmp,usr/local/bin,var} "$own/rootfs/etc"
	chmod 1777 "$rootfs/tmp"
	cp /bin/busybox "$HELPERS/probe" "$rootfs/bin"
	"$rootfs/bin/busybox" --install "$rootfs/bin"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'user:x:1000:1000:user:/home/user:/bin/sh' \
		>"$own/rootfs/etc/passwd"
	printf '%s\n' 'root:x:0:' 'tty:x:5:' 'user:x:1000:' 'extra:x:2000:user' >"$own/rootfs/etc/group"
	cp "$SUITE/default.json" "$own/config.json"
}
