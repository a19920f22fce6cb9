#!/usr/bin/env bash
# Builds commands, and says on standard error how far that is:
#
#   build.sh MODULE OUT FLAG… PACKAGE…
#
# On a terminal one line is written over each second. Elsewhere there is a line every 5
# seconds, so nobody takes minutes of compiling for a program that hangs.
set -euo pipefail
cd "$1"
export CGO_ENABLED=0
out=$2
shift 2

if [ -t 2 ]; then pause=1 end='\r' clear='\033[K'; else pause=5 end='\n' clear=''; fi
begin=$SECONDS shown=0 started=0 package='' part='' what=''
for what; do :; done # The last one.
what=${what##*/}
[ "$what" != ... ] || what='Onefire' # All commands of the folder.

[ ! -t 2 ] || printf '%b' "building $what: looking at what there is to do …$end" >&2
todo=$(go list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "$@" | grep -c . || true)
say() {
	shown=$SECONDS
	local at="$started of $todo packages, ${package}"
	[ "$started" -lt "$todo" ] || at='linking'
	# shellcheck disable=SC2059 # The ending and the clearing are formats.
	printf "building $what: %s (%d s)$clear$end" "$at" $((SECONDS - begin)) >&2
}

# Names of packages come as their compilation begins. The exit code is there when no more
# comes.
code=$(mktemp)
trap 'rm -f "$code"' EXIT
while :; do
	if IFS= read -r -t 1 line; then
		line=$part$line part=''
		case $line in
		*[\ :]* | '') printf '%b%s\n' "$clear" "$line" >&2 ;;
		*) started=$((started + 1)) package=$line ;;
		esac
	elif [ -s "$code" ]; then
		break
	else
		part=$part$line # The time was over within a line.
	fi
	[ $((SECONDS - shown)) -lt "$pause" ] || [ $((SECONDS - begin)) -lt 2 ] || say
done < <(
	go build -v -o "$out" "$@" 2>&1 && echo 0 >"$code" || echo 1 >"$code"
)
[ ! -t 2 ] || printf '%b' "$clear" >&2
exit "$(cat "$code")"
