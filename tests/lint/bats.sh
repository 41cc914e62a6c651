#!/bin/bash
# Two lines that never fail a bats test unless they are the last one of their
# function, since bash's `set -e` looks away from them:
#   ! cmd            `! cmd || false` does fail
#   [ a ] && b       where a is not so; `[ a ]` and `b` on lines of their own do fail
# Control flow may be written so: `[ a ] && break`, && return, && exit, && x=...
# And a function that is called before || or && has no `set -e` in all its lines, which is
# why kit.bash's every() calls what it is given plainly.
cd "$(dirname "$0")/../.." || exit 1
awk=$(
	cat <<'A'
# The line without what is quoted, substituted, tested or run in brackets
function bare(s) {
	gsub(/\\./, "_", s)
	gsub(/'[^']*'/, "q", s)
	while (gsub(/\$\([^()]*\)/, "q", s)) ;
	gsub(/"[^"]*"/, "q", s)
	while (gsub(/\$?\([^()]*\)/, "q", s)) ;
	gsub(/\[\[ [^\]]*\]\]/, "q", s)
	gsub(/[{] [^{}]*(return|exit|break)[^{}]*; [}]/, "return", s)
	gsub(/[{] [^{}]*; [}]/, "q", s)
	return s
}
function plain_list(s) {
	s = bare(s)
	sub(/ +#.*/, "", s)
	if (s ~ /['"`]|\|\||;;|<<|\$\(|^(if|elif|while|until|for) /)
		return 0
	if (s !~ / && / || s ~ / && (break|continue|return|exit|exec|skip|local |[A-Za-z_]+=)[^&]*$/)
		return 0
	return 1
}
FNR == 1 { infn = 0; open = "" ; part = "" }
/^(@test .*|[a-z_]+\(\)) *[{]( *#.*)?$/ { infn = 1 }
/^[ \t]*(#|$)/ { next }
open != "" && !/^\t*[}]/ { print open; }
{ open = "" }
/^[}]/ { infn = 0 }
!infn { next }
/(&&|\\)$/ { part = part $0 " "; next }
{
	line = part $0; part = ""
	sub(/^\t+/, "", line)
	if (line ~ /^! / && line !~ /\|\| (false|return 1)( +#.*)?$/ || plain_list(line))
		open = FILENAME ":" FNR ": " line
}
A
)
found=$(awk "$awk" tests/e2e/*.bats tests/e2e/*.bash)
echo "1..1"
if [ -z "$found" ]; then
	echo "ok 1 - every line of an end-to-end test that begins with ! or says && can fail"
else
	echo "not ok 1 - every line of an end-to-end test that begins with ! or says && can fail"
	echo "$found" | sed 's/^/# /'
fi
