#!/bin/bash
# Controllers are pure: what they link against is the plan, the snapshot, the
# object model and memory; no clock, no descriptor, no randomness, no global.
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
allowed='^(plan|snapshot|selector|object|resource|schema|pairs|quantity|iors|arena|base64|imageref|buf|hash|ipv4|addr|transports?|map|complain|complaints|manifest|merge|apply|tree|json|yaml|place|time_print|time_parse)_?'
libc='^(mem(cpy|cmp|move|set|chr)|str(len|cmp|ncmp|chr|rchr|str|spn|cspn|pbrk|tol|toll|toul|tok_r|casecmp)|str[a-z]*|snprintf|qsort|bsearch|free|sscanf|__isoc99_sscanf|__isoc23_.*|__snprintf_chk|__memcpy_chk|__stack_chk_fail|__assert_fail|__ctype_[a-z_]*|__(asan|ubsan)_.*|_GLOBAL_OFFSET_TABLE_|abs|labs|xcalloc|xmalloc|xrealloc|xstrdup|inet_pton|inet_ntop|resources|verbs)$'
set -- $(sed -n 's/^CONTROLLER([a-z_]*, *\([a-z]*\)_reconcile).*/\1/p' reconcile/controllers.def | sort -u) garbage controllers apply own dns trouble rules admission
objects=
for noun; do
	for o in "$B"/reconcile/"$noun".o "$B"/reconcile/"$noun"_*.o; do [ -e "$o" ] && objects="$objects $o"; done
done
own=$(nm --defined-only $objects | awk 'NF == 3 {print $3}' | sort -u)
n=0
echo "1..$(echo $objects | wc -w)"
for o in $objects; do
	n=$((n + 1))
	bad=$(nm -u "$o" | awk '{print $NF}' | grep -vE "$allowed" | grep -vE "$libc" | grep -vE '_(kind|reconcile|garbage)$' | grep -vxF "$own")
	data=$(nm "$o" | awk '$2 ~ /^[BbC]$/ {print $3}')
	if [ -z "$bad$data" ]; then
		echo "ok $n - $(basename "$o" .o) is pure"
	else
		echo "not ok $n - $(basename "$o" .o) is pure"
		echo "$bad" "$data" | tr ' ' '\n' | sed '/^$/d;s/^/# uses /'
	fi
done
