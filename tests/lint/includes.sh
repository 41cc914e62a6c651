#!/bin/bash
# Includes point one way: daemon -> reconcile -> reconcile/base; only the hand's
# files -> runtime, netproxy -> reconcile/base; base includes nothing of ours.  And a header that
# is included is read: its guard is its own.
cd "$(dirname "$0")/../.." || exit 1

# Every "..." include of the files of a folder, as FILE INCLUDED (a path from the root).
includes() {
	for f in $(git ls-files "$@" | grep -E '\.(c|h|def)$'); do
		sed -n 's/^#include "\(.*\)"/\1/p' "$f" | while read -r i; do
			for d in "$(dirname "$f")" . reconcile; do
				[ -e "$d/$i" ] && { echo "$f $(realpath --relative-to=. "$d/$i")"; break; }
			done
		done
	done
}
n=0
# check NAME FORBIDDEN-REGEX FOLDER...
check() {
	local name=$1 bad=$2 out
	shift 2
	n=$((n + 1))
	out=$(includes "$@" | awk -v bad="$bad" '$2 ~ bad')
	[ -z "$out" ] && echo "ok $n - $name" || { echo "not ok $n - $name"; echo "$out" | sed 's/^/# /'; }
}
echo "1..6"
check "base includes nothing of ours but base" '^(daemon|runtime|netproxy)/|^reconcile/[^/]*$' reconcile/base
check "reconcile includes neither daemon nor runtime nor netproxy" '^(daemon|runtime|netproxy)/' reconcile
check "runtime includes only itself and base" '^(daemon|netproxy)/|^reconcile/[^/]*$' runtime
check "netproxy includes only itself and base" '^(daemon|runtime)/|^reconcile/[^/]*$' netproxy
check "in daemon only the hand's files include runtime and netproxy" '^(runtime|netproxy)/' \
	$(git ls-files daemon | grep -v '^daemon/hand')

# Two headers with one guard: whoever includes both has only the first.
twice=$(git grep -h '^#ifndef KEDGE_[A-Z0-9_]*_H$' -- '*.h' | sort | uniq -d)
[ -z "$twice" ] && echo "ok 6 - no two headers have the same guard" ||
	{ echo "not ok 6 - no two headers have the same guard"; echo "$twice" | sed 's/^/# /'; }
