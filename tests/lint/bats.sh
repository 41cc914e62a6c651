#!/bin/bash
# A line that begins with `!` never fails a bats test unless it is the last one:
# bash's `set -e` looks away from it.  `! cmd || false` does fail.
cd "$(dirname "$0")/../.." || exit 1
found=$(awk '
	FNR == 1 { test = 0; open = "" }
	/^@test/ { test = 1 }
	test && open != "" && !/^}/ { print open; open = "" }
	/^}/ { test = 0; open = "" }
	test && /^\t+! / && !/\|\| false( +#.*)?$/ { open = FILENAME ":" FNR ":" $0 }
' tests/e2e/*.bats)
echo "1..1"
if [ -z "$found" ]; then
	echo "ok 1 - every line of an end-to-end test that begins with ! can fail"
else
	echo "not ok 1 - every line of an end-to-end test that begins with ! can fail"
	echo "$found" | sed 's/^/# /'
fi
