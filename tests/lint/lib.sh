# What the lints share. Each lint is a program of its own that looks at the tree in the current
# directory, prints what is wrong as FILE:LINE: MESSAGE, and exits 0 (clean), 1 (faults) or 77 (cannot
# run here; the last line says why). Only sh and awk: a fresh Debian has no more.
# shellcheck shell=sh

folders='base oci-spec cgroups namespaces rootfs process vm-mode runtime tests'

skip()
{
	echo "$*"
	exit 77
}

need()
{
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# Every file of the project, one a line. New files that git does not know yet count; what it ignores
# does not. Outside a git checkout (a release tarball) it is every file that there is, but for what the
# autotools have made.
list_files()
{
	if [ -e .git ] && command -v git >/dev/null; then
		git ls-files --cached --others --exclude-standard
	else
		find . -type f | sed 's,^\./,,' |
			grep -vE '^(build-aux/|autom4te\.cache/|aclocal\.m4$|configure$|config\.|Makefile(\.in)?$)'
	fi | LC_ALL=C sort | while IFS= read -r file; do
		[ -f "$file" ] && printf '%s\n' "$file"
	done
}

# Our C files, those whose name ends in one of the letters given: `list_c ch`.
list_c()
{
	list_files | grep -E "^($(echo "$folders" | tr ' ' '|'))/.*\.[$1]\$"
}

# Every include of one of our own files: INCLUDER LINE INCLUDED, separated by blanks. A quoted name is
# looked up beside the includer, then from the root; one that is neither stays as it was written.
list_includes()
{
	list_c ch | awk '
	function dir(path) { return match(path, /.*\//) ? substr(path, 1, RLENGTH) : "" }
	function tidy(path) {
		while (match(path, /[^\/]+\/\.\.\//))
			path = substr(path, 1, RSTART - 1) substr(path, RSTART + RLENGTH)
		return path
	}
	{ ours[$0]; order[++n] = $0 }
	END {
		for (i = 1; i <= n; i++) {
			file = order[i]
			for (line = 1; (getline text < file) > 0; line++) {
				if (text !~ /^[ \t]*#[ \t]*include[ \t]*["<]/)
					continue
				quoted = text ~ /include[ \t]*"/
				sub(/^[^"<]*["<]/, "", text)
				sub(/[">].*/, "", text)
				beside = tidy(dir(file) text)
				if (quoted && (beside in ours))
					text = beside
				else if (!(text in ours) && !quoted)
					continue
				print file, line, text
			}
			close(file)
		}
	}'
}
