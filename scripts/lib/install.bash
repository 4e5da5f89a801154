# shellcheck shell=bash
# Debian packages, by the groups of the file `packages` in this folder.

# install_packages GROUP...: install what is missing of them, and say so.
install_packages() {
	local missing
	mapfile -t missing < <(list_packages "$@" | missing_packages)
	if [ ${#missing[@]} -eq 0 ]; then
		echo "all packages are there"
		return
	fi
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# list_packages GROUP...: their names, one a line.
list_packages() {
	local group
	for group; do
		sed -n "s/#.*//; s/^$group //p" scripts/lib/packages | xargs -n 1
	done
}

# missing_packages: those of the names on stdin that are not installed.
missing_packages() {
	local package
	while read -r package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
	done
}
