#!/bin/bash
# Every C file is as clang-format would write it; `make format` does so.
cd "$(dirname "$0")/../.." || exit 1
echo "1..1"
bad=$(git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run --Werror 2>&1) && {
	echo "ok 1 - every C file has the house's format"
	exit
}
echo "not ok 1 - every C file has the house's format"
echo "$bad" | grep 'error:' | sed 's/^/# /'
exit 1
