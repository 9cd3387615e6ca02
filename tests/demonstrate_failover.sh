#!/usr/bin/env bash
# Shows what happens when a region's backends die, and proves it: clients of the region go on reading and writing,
# answered by the other region, and what they wrote meanwhile is there when their own region returns.
#
#   bash tests/demonstrate_failover.sh           kills the backends of region us (SIGKILL)
#   bash tests/demonstrate_failover.sh stop      stops them in an orderly way (SIGTERM) instead
#
# Needs a running system (docker-compose up -d, or npm start), bash, curl and Node 18 or newer. BASE_URL says where it
# answers (http://localhost:8080); MODE=compose or MODE=local decides if both are found. Exit code 0: everything held.
# However it ends, it starts again what it stopped. It can be run as often as you like.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

region=us
other=eu
how=${1:-kill}
start_timeout_s=60
failover_timeout_s=5
return_timeout_s=60
replication_timeout_s=15

http_port=$(sed -n 's/^HTTP_PORT=\([0-9]*\).*/\1/p' .env 2>/dev/null || true)
base_url=${BASE_URL:-http://localhost:${http_port:-8080}}
base_url=${base_url%/}

# Not property 1: the examples of the documentation write to it at version 1.
property=$((2 + RANDOM % 499))
stream_property=$((501 + RANDOM % 500))

work=$(mktemp -d)
backends=()
stream_pid=
stopped=no
passed=no

# ---- Telling and checking ---------------------------------------------------------------------------------------------

title() { printf '\n%s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
fail() {
  say "✗ $1"
  [ -z "${2-}" ] || say "  found: $2"
  exit 1
}
check_equal() { # claim, found, expected
  [ "$2" = "$3" ] || fail "$1" "'$2' where '$3' was expected"
  say "✓ $1"
}

# Reads JSON from standard input and prints what the expression makes of it, $ being the document.
json() { node -e 'const $ = JSON.parse(require("fs").readFileSync(0, "utf8")); console.log(eval(process.argv[1]))' "$1"; }

# One request; fills status, served_by, failover and body. No answer at all is status 000.
http() { # method, path[, body]
  local data=()
  [ $# -lt 3 ] || data=(-H 'Content-Type: application/json' -H "X-Request-ID: failover-$$-$RANDOM-$RANDOM-$RANDOM" --data "$3")
  : >"$work/headers"
  : >"$work/body"
  status=$(curl -s -m 5 -X "$1" ${data[@]+"${data[@]}"} -D "$work/headers" -o "$work/body" -w '%{http_code}' "$base_url$2" || true)
  served_by=$(header x-served-by)
  failover=$(header x-failover)
  body=$(cat "$work/body")
}
header() { tr -d '\r' <"$work/headers" | { grep -i "^$1:" || true; } | tail -n 1 | sed 's/^[^:]*: *//'; }

# Repeats a request until a condition holds, for a bounded time.
wait_until() { # claim, seconds, path, condition
  local deadline=$((SECONDS + $2))
  until http GET "$3" && eval "$4"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$1 within $2 s" "$status, served by '$served_by': ${body:0:300}"
    sleep 0.1
  done
}

milliseconds() { node -p 'Date.now()'; }

# ---- The system: compose or local run ---------------------------------------------------------------------------------

names_of_region() { grep -oE "backend-$region(-[0-9]+)?" | sort -u; }

find_system() {
  if [ "${MODE:-compose}" = compose ] && command -v docker >/dev/null &&
    [ -n "$(docker ps --quiet --filter name='^nginx_proxy$' 2>/dev/null)" ]; then
    mode=compose
    backends=($(docker ps --format '{{.Names}}' | names_of_region || true))
  elif [ "${MODE:-local}" = local ] && npm run --silent local -- status >"$work/status" 2>&1; then
    mode=local
    backends=($(names_of_region <"$work/status" || true))
  else
    fail 'a running system is found (start it with: docker-compose up -d, or npm start)'
  fi
  [ ${#backends[@]} -gt 0 ] || fail "a backend of region $region runs"
}

act() { # action: kill, stop or start
  local backend
  for backend in "${backends[@]}"; do
    say "$ $([ $mode = compose ] && echo "docker $1 $backend" || echo "npm run local -- $1 $backend")"
    if [ $mode = compose ]; then docker "$1" "$backend" >/dev/null; else npm run --silent local -- "$1" "$backend" >"$work/act" 2>&1; fi ||
      fail "$1 $backend" "$(cat "$work/act" 2>/dev/null)"
  done
}

restore() {
  local code=$?
  trap - EXIT
  set +e
  [ -z "$stream_pid" ] || kill "$stream_pid" 2>/dev/null
  if [ $stopped = yes ]; then
    title 'Restoring: the stopped backends are started again'
    (act start)
  fi
  rm -rf "$work"
  [ $passed = yes ] && [ "$code" = 0 ] || printf '\nFAILED\n'
  exit "$code"
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- A small stream of clients of the region, all the time ------------------------------------------------------------
# One reads, one writes; each answer becomes a line: time, method, outcome, who answered, failover, duration.

start_stream() {
  node --input-type=module - "$base_url/$region/properties/$stream_property" >"$work/stream" 2>"$work/stream.err" <<'JS' &
import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'

const url = process.argv[2]
let running = true
process.on('SIGTERM', () => (running = false))
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const send = async (method, write) => {
  const began = Date.now()
  const headers = write ? { 'Content-Type': 'application/json', 'X-Request-ID': randomUUID() } : {}
  const options = { method, headers, body: write && JSON.stringify(write), signal: AbortSignal.timeout(5_000) }
  let outcome, servedBy, failover, body
  try {
    const response = await fetch(url, options)
    body = await response.json()
    servedBy = response.headers.get('x-served-by')
    failover = response.headers.get('x-failover') === 'true' ? 'away' : 'home'
    // A proxy that repeated a request whose answer was lost gets 422 and the original outcome: that is a success.
    const accepted = response.status === 200 || body.code === 'duplicate_request'
    outcome = accepted ? 'ok' : response.status === 409 ? 'conflict' : `failed:${response.status}`
  } catch (error) {
    outcome = `failed:${error.cause?.code ?? error.name}`
  }
  const now = Date.now()
  writeSync(1, `${now} ${method} ${outcome} ${servedBy ?? '-'} ${failover ?? '-'} ${now - began}\n`)
  return body
}

const readAllTheTime = async () => {
  for (; running; await pause(20)) await send('GET')
}
const writeAllTheTime = async () => {
  let property = await send('GET')
  for (; running; await pause(40)) {
    const price = (Math.round(property.price * 100) + 1) / 100
    const answer = await send('PUT', { price, etag: property.etag })
    property = answer?.current ?? (answer?.etag ? answer : await send('GET')) ?? property
  }
}
await Promise.all([readAllTheTime(), writeAllTheTime()])
JS
  stream_pid=$!
}

stop_stream() {
  kill "$stream_pid" && wait "$stream_pid" || fail 'the stream of requests ran to its end' "$(tail -n 5 "$work/stream.err")"
  stream_pid=
}

# Answers of the stream so far whose line matches the pattern.
streamed() { grep -cE "$1" "$work/stream" || true; }

await_stream() { # claim, pattern, more than this many, seconds
  local deadline=$((SECONDS + $4))
  until [ "$(streamed "$2")" -gt "$3" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$1 within $4 s" "$(tail -n 3 "$work/stream" "$work/stream.err")"
    sleep 0.05
  done
}

# ---- The demonstration ------------------------------------------------------------------------------------------------

case $how in kill | stop) ;; *) fail "usage: bash tests/demonstrate_failover.sh [kill|stop]" ;; esac
for tool in curl node; do command -v $tool >/dev/null || fail "$tool is installed"; done

title "Failover of region $region at $base_url"
find_system
say "found: ${mode/local/the local run}, with ${backends[*]}"

title "1. Everything is well: each region answers for itself"
for name in $region $other; do
  wait_until "region $name answers for itself" $start_timeout_s "/$name/properties/$property" \
    "[ \"\$status\" = 200 ] && [ \"\$served_by\" = $name ]"
  say "✓ GET /$name/properties/$property → $status, X-Served-By: $served_by"
done
http GET "/$region/properties/$property"
first_price=$(json '$.price' <<<"$body")
say "“$(json '$.title' <<<"$body")”, price $first_price, version $(json '$.version' <<<"$body")"
http GET "/$region/properties/$stream_property"
stream_start=$(json '$.version' <<<"$body")
stream_price=$(json '$.price' <<<"$body")
start_stream
await_stream "clients are answered by $region" " ok $region home " 30 10
say "✓ a client reads and another writes property $stream_property all the time, answered by $region"

title "2. The backends of $region go down ($how)"
stopped=yes
act "$how"
await_stream "clients of $region are answered by $other" " ok $other away " 30 $failover_timeout_s
last_home=$(grep -E " ok $region home " "$work/stream" | tail -n 1 | cut -d ' ' -f 1)
first_away=$(grep -m 1 -E " ok $other away " "$work/stream" | cut -d ' ' -f 1)
gap=$((first_away - last_home)) # negative while an orderly stop still finishes what it had begun
say "✓ first answer from $other $((gap > 0 ? gap : 0)) ms after the last one from $region"

title "3. Clients of $region read and write as before"
http GET "/$region/properties/$property"
check_equal "GET /$region/properties/$property → 200" "$status" 200
check_equal "X-Served-By: $other" "$served_by" $other
check_equal 'X-Failover: true' "$failover" true
outage_price=$(json '(Math.round($.price * 100) + 250000) / 100' <<<"$body")
http PUT "/$region/properties/$property" "$(json "JSON.stringify({ price: $outage_price, version: \$.version, etag: \$.etag })" <<<"$body")"
check_equal "PUT /$region/properties/$property, price $outage_price → 200" "$status" 200
check_equal "X-Served-By: $other, X-Failover: true" "$served_by $failover" "$other true"
outage_version=$(json '$.version' <<<"$body")
outage_etag=$(json '$.etag' <<<"$body")
http GET "/$region/properties/$property"
check_equal "reading it again gives price $outage_price at version $outage_version" \
  "$(json '`${$.price} ${$.version} ${$.etag}`' <<<"$body")" "$outage_price $outage_version $outage_etag"
http GET "/$region/health"
check_equal "GET /$region/health says which region answered: $other" "$status $(json '$.region' <<<"$body")" "200 $other"
http GET "/$other/properties/$property"
check_equal "clients of $other notice nothing: 200, X-Served-By: $other" "$status $served_by" "200 $other"
[ "$failover" != true ] || fail "no X-Failover: true for them" "$failover"

title "4. The backends of $region return"
began=$(milliseconds)
act start
stopped=no
wait_until "clients of $region are answered by $region again" $return_timeout_s "/$region/properties/$property" \
  "[ \"\$status\" = 200 ] && [ \"\$served_by\" = $region ] && [ \"\$failover\" != true ]"
say "✓ clients of $region are answered by $region again, $(($(milliseconds) - began)) ms after the start command"

title "5. What was written meanwhile is there"
wait_until "$region has the write made during its outage" $replication_timeout_s "/$region/properties/$property" \
  "[ \"\$served_by\" = $region ] && [ \"\$(json '\`\${\$.price} \${\$.version} \${\$.etag}\`' <<<\"\$body\")\" = '$outage_price $outage_version $outage_etag' ]"
say "✓ read from $region: price $outage_price at version $outage_version, the same ETag"
http PUT "/$region/properties/$property" "$(json "JSON.stringify({ price: $first_price, version: \$.version, etag: \$.etag })" <<<"$body")"
check_equal "a write on top of it is accepted by $region (and puts the first price back)" "$status $served_by" "200 $region"
restored_etag=$(json '$.etag' <<<"$body")
wait_until "$other has that one too" $replication_timeout_s "/$other/properties/$property" \
  "[ \"\$served_by\" = $other ] && [ \"\$(json '\$.etag' <<<\"\$body\")\" = '$restored_etag' ]"
say "✓ and it has reached $other"

title "6. What the clients saw all the time"
returned=$(streamed " ok $region home ")
await_stream "the stream is answered by $region again" " ok $region home " $((returned + 20)) $return_timeout_s
stop_stream
reads=$(streamed ' GET ok ')
accepted=$(streamed ' PUT ok ')
slowest=$(cut -d ' ' -f 6 "$work/stream" | sort -n | tail -n 1)
say "$reads reads and $accepted writes succeeded, $(streamed ' PUT conflict ') writes were redone on a newer version; $(streamed " $other away ") answers came from $other"
say "the slowest answer took $slowest ms"
check_equal 'no request failed' "$(streamed ' failed:')$(grep -m 3 ' failed:' "$work/stream" || true)" 0
wait_equal() { # both regions show the same ETag
  local deadline=$((SECONDS + replication_timeout_s)) ours
  while :; do
    http GET "/$region/properties/$stream_property"
    ours="$served_by $(json '$.etag' <<<"$body")"
    http GET "/$other/properties/$stream_property"
    [ "$ours" != "$region $(json '$.etag' <<<"$body")" ] || return 0
    [ "$SECONDS" -lt "$deadline" ] || fail "both regions hold the same property within $replication_timeout_s s" "$ours; ${body:0:300}"
    sleep 0.1
  done
}
wait_equal
say "✓ both regions hold the same state of property $stream_property"
final=$(json '$.version' <<<"$body")
[ "$final" -ge $((stream_start + accepted)) ] || fail 'every acknowledged write is in it' "version $final after $stream_start + $accepted writes"
say "✓ every acknowledged write is in it: version $stream_start, $accepted acknowledged writes, now version $final"
http PUT "/$region/properties/$stream_property" "$(json "JSON.stringify({ price: $stream_price, etag: \$.etag })" <<<"$body")"
check_equal 'its first price is put back' "$status" 200

passed=yes
printf '\nPASSED\n'
