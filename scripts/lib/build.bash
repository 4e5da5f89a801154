# shellcheck shell=bash
# Building, here or in a copy of the tree.

# build [CONFIGURE OPTIONS...]: build the tree in the current directory; what is up to date is not made
# again, and a tree that is configured keeps its options. Only $target, if that is set.
build() {
	if [ ! -e config.status ]; then
		quietly ./autogen.sh
		quietly ./configure "$@"
	fi
	make -s -j "$(nproc)" ${target:+"$target"} | without_rules
}

# without_rules: drop the lines that say which file is being made, such as `  CC       base/err.o`.
without_rules() { sed -u '/^  [A-Z]\{2,\} /d'; }

# quietly COMMAND...: show what it says only if it fails.
quietly() {
	local output
	output=$("$@" 2>&1) || {
		printf '%s\n' "$output"
		return 1
	}
}

# copy_tree DIR: make DIR a copy of the source files in the current directory (those that git knows, or
# would add), in a repository of its own. What is built in DIR stays; times are kept, so that `make`
# builds what has changed.
copy_tree() {
	local dir=$1
	mkdir -p "$dir"
	[ -e "$dir/.git" ] || git -C "$dir" init -q
	source_files "$dir" | LC_ALL=C comm -23 - <(source_files .) | (cd "$dir" && xargs -r -d '\n' rm --)
	source_files . | tar -c --files-from - | tar -C "$dir" -x
}

source_files() {
	local file
	git -C "$1" ls-files --cached --others --exclude-standard | LC_ALL=C sort | while read -r file; do
		[ ! -e "$1/$file" ] || printf '%s\n' "$file"
	done
}
