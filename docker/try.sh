#!/usr/bin/env bash
# Builds the image and tries it out: docker/compose.yml and docker/compose.sidecar.yml with real servers.
#
#   docker/try.sh [--keep]  needs root, Debian's docker.io (dockerd running), docker-compose and debootstrap
#
# With --keep the image `highwater` is taken as it is there. Where no image registry is within reach, base images are
# made locally under the names that the files use: Debian by debootstrap, Rust from this machine's toolchain, MySQL
# from the server that `highwater demo` keeps in its cache, Prometheus from Debian's package. An image that is there
# already is taken as it is. Grafana is not a package of Debian: without its image that service is left out, and the
# end says so.
set -euo pipefail
cd "$(dirname "$0")/.."

work=${HIGHWATER_TRY:-/var/tmp/highwater-try}
mysql_tree=${HIGHWATER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/highwater}/mysql
project=highwatertry
export DOCKER_BUILDKIT=0 COMPOSE_PROJECT_NAME=$project
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
mkdir -p "$work"

say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
# until_true SECONDS WHAT COMMAND…: waits for a condition.
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$what: not within time; last: $("$@" 2>&1 | tail -5)"
        sleep 0.5
    done
    echo "ok: $what"
}
is() { [ "$2" = "$3" ] || fail "$1: expected $3, found $2"; echo "ok: $1: $2"; }
has() { docker image inspect "$1" >/dev/null 2>&1; }

# --- base images -------------------------------------------------------------------------------------

debian() {
    has debian:bookworm-slim && return
    say "debian:bookworm-slim"
    [ -e "$work/bookworm/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$work/bookworm" >"$work/debootstrap.log"
    tar -C "$work/bookworm" -c . | docker import - debian:bookworm-slim >/dev/null
}

# commit NAME IMAGE CHANGE…: makes an image of the container NAME, and removes that.
commit() {
    local name=$1 image=$2 changes=()
    shift 2
    for change in "$@"; do changes+=(--change "$change"); done
    docker commit "${changes[@]}" "$name" "$image" >/dev/null
    docker rm -f "$name" >/dev/null
}

# in_debian NAME OPTIONS… -- SCRIPT: runs a script in a new container of Debian.
in_debian() {
    local name=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    docker rm -f "$name" >/dev/null 2>&1 || true
    docker run --name "$name" "${options[@]}" debian:bookworm-slim sh -ec "$2" >"$work/$name.log" 2>&1 ||
        fail "$name: $(tail -5 "$work/$name.log")"
}

rust() {
    local image
    image=$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' docker/Dockerfile)
    has "$image" && return
    say "$image from this machine's toolchain"
    local registry=${CARGO_HOME:-$HOME/.cargo}/registry
    cargo fetch --locked --quiet
    in_debian "$project-rust" -v "$(rustc --print sysroot):/toolchain:ro" -v "$registry:/registry:ro" -- '
        apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev
        mkdir -p /usr/local/rust /usr/local/cargo/registry
        cp -a /toolchain/bin /toolchain/lib /usr/local/rust/
        cp -a /registry/index /registry/cache /usr/local/cargo/registry/'
    commit "$project-rust" "$image" 'ENV CARGO_HOME=/usr/local/cargo' 'ENV CARGO_NET_OFFLINE=true' \
        'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

mysql_image() {
    local image
    image=$(sed -n 's/^ *image: \(mysql:.*\)/\1/p' docker/compose.yml | head -1)
    has "$image" && return
    [ -d "$mysql_tree" ] || fail "no MySQL in $mysql_tree: run highwater demo --once first"
    say "$image from $mysql_tree"
    in_debian "$project-mysql" -v "$mysql_tree:/tree:ro" -v "$PWD/docker/try/mysql.sh:/entrypoint:ro" -- '
        mkdir -p /opt/mysql && cp -a /tree/. /opt/mysql/ && install -m 755 /entrypoint /usr/local/bin/docker-entrypoint.sh
        : >/etc/my.cnf
        for program in mysqld mysql mysqladmin; do
            options=--no-defaults
            [ $program != mysqld ] || options="--defaults-file=/etc/my.cnf --basedir=/opt/mysql/usr --lc-messages-dir=/opt/mysql/usr/share/mysql --character-sets-dir=/opt/mysql/usr/share/mysql/charsets --plugin-dir=/opt/mysql/usr/lib/mysql/plugin"
            for folder in bin sbin; do
                file=/opt/mysql/usr/$folder/$program
                [ ! -x $file ] || printf "#!/bin/sh\nexec /opt/mysql/usr/lib64/ld-linux-x86-64.so.2 --library-path /opt/mysql/usr/lib/x86_64-linux-gnu --argv0 $file $file $options \"\$@\"\n" >/usr/local/bin/$program
            done
            chmod 755 /usr/local/bin/$program
        done'
    commit "$project-mysql" "$image" 'ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]' 'CMD ["mysqld"]' 'EXPOSE 3306'
}

prometheus_image() {
    local image
    image=$(sed -n 's/^ *image: \(prom\/.*\)/\1/p' docker/compose.yml)
    has "$image" && return
    say "$image from Debian's package"
    in_debian "$project-prometheus" -- '
        apt-get update -q && apt-get install -q -y --no-install-recommends prometheus
        install -d -o nobody /prometheus'
    commit "$project-prometheus" "$image" 'USER nobody' 'WORKDIR /prometheus' 'ENTRYPOINT ["/usr/bin/prometheus"]' \
        'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
}

# --- the image ---------------------------------------------------------------------------------------

files=(-f docker/compose.yml)
sidecar=(-f docker/compose.yml -f docker/compose.sidecar.yml)
stop() { "${compose[@]}" "${sidecar[@]}" down --volumes --timeout 15 >"$work/down.log" 2>&1 || true; }
# Statements of a client in the primary's container; its host is the first argument.
query() {
    local host=$1
    shift
    "${compose[@]}" "${files[@]}" exec -T primary mysql -N -h "$host" -P 6033 -u app -papp shop -e "$*" 2>"$work/query.log"
}
operate() {
    "${compose[@]}" "${files[@]}" exec -T primary mysql -N -h highwater -P 6032 -u admin -phighwater -e "$*" 2>"$work/query.log"
}
health() { docker inspect -f '{{.State.Health.Status}}' "$1"; }
container() { "${compose[@]}" "${sidecar[@]}" ps -q "$1"; }

debian
rust
mysql_image
prometheus_image

say "compose files"
"${compose[@]}" "${files[@]}" config >"$work/config.yml"
"${compose[@]}" -f docker/compose.sidecar.yml config >"$work/config.sidecar.yml"
echo "ok: $("${compose[@]}" version --short 2>/dev/null) reads them"

say "the image"
if [ "${1:-}" != --keep ] || ! has highwater; then
    docker build -t highwater -f docker/Dockerfile . >"$work/build.log" 2>&1 || fail "$(tail -20 "$work/build.log")"
fi
size=$(docker image inspect -f '{{.Size}}' highwater)
[ "$size" -lt 40000000 ] || fail "the image has $size bytes, 40 MB or more"
echo "ok: image size: $((size / 1000)) kB"
is "user of the image" "$(docker image inspect -f '{{.Config.User}}' highwater)" 65532:65532
docker run --rm highwater --version

say "compose up"
trap stop EXIT
stop
services=(primary replica1 replica2 highwater prometheus)
left_out="grafana (no image of that name here)"
if has "$(sed -n 's/^ *image: \(grafana\/.*\)/\1/p' docker/compose.yml)"; then
    services+=(grafana)
    left_out=
fi
"${compose[@]}" "${files[@]}" up -d "${services[@]}" >"$work/up.log" 2>&1 || fail "$(tail -5 "$work/up.log")"
begin=$SECONDS
proxy=$(container highwater)
healthy() { [ "$(health "$proxy")" = healthy ]; }
until_true 180 "highwater is healthy" healthy
ups() { [ "$(operate "SELECT COUNT(*) FROM backends WHERE health = 'up'")" = 3 ]; }
until_true 180 "three servers are up" ups
echo "ok: ready $((SECONDS - begin)) s after compose up"
is "user of the process" "$(ps -o uid= -p "$(docker inspect -f '{{.State.Pid}}' "$proxy")" | tr -d ' ')" 65532
table() { query highwater "SELECT COUNT(*) FROM notes"; }
until_true 60 "the table is there" table

say "read your writes"
for i in $(seq 20); do
    seen=$(query highwater "INSERT INTO notes (text) VALUES ('try $i'); SELECT COUNT(*) FROM notes WHERE text = 'try $i'")
    [ "$seen" = 1 ] || fail "a session did not see its own write: $seen"
done
echo "ok: 20 of 20 sessions saw their own write"
hosts=$(for i in $(seq 20); do query highwater "SELECT COUNT(*) FROM notes; SHOW HIGHWATER ROUTE"; done | grep -o 'replica[12]:3306' | sort | uniq -c | xargs)
[[ "$hosts" == *replica1* && "$hosts" == *replica2* ]] || fail "reads of 20 sessions went to: ${hosts:-no replica}"
echo "ok: reads went to $hosts"

say "the live page"
page=http://127.0.0.1:6034
answers() { curl -s -o "$work/page.out" -w '%{http_code}' "$@"; }
is "the page without a password" "$(answers $page/)" 401
is "the page with a wrong one" "$(answers -u admin:wrong $page/)" 401
is "its data without a password" "$(answers $page/api/status)" 401
is "the page with the password" "$(answers -u "admin:$(cat docker/operator.password)" $page/)" 200
grep -qi '<title>[^<]*highwater' "$work/page.out" || fail "that is not the page: $(head -c 200 "$work/page.out")"
is "its data with the password" "$(answers -u "admin:$(cat docker/operator.password)" $page/api/status)" 200
is "servers in its data that are up" "$(grep -o '"health":"up"' "$work/page.out" | wc -l)" 3
is "readiness, which needs no password" "$(answers $page/readyz)" 200

say "a reload"
docker kill -s HUP "$proxy" >/dev/null
reloaded() { curl -sf $page/metrics | grep -q '^highwater_config_reloads_total{outcome="done"} 1$'; }
until_true 30 "SIGHUP has the configuration read again" reloaded

say "prometheus"
target() { curl -sf 'http://127.0.0.1:9090/api/v1/query?query=up%7Bjob%3D%22highwater%22%7D' | grep -q '"1"\]'; }
until_true 60 "prometheus scrapes highwater" target
curl -sf 'http://127.0.0.1:9090/api/v1/rules' | grep -q HighwaterNoPrimary || fail "prometheus has no alerts"
echo "ok: prometheus has the alerts"

say "sidecar"
"${compose[@]}" "${sidecar[@]}" up -d app sidecar >>"$work/up.log" 2>&1 || fail "$(tail -5 "$work/up.log")"
beside() { "${compose[@]}" "${sidecar[@]}" exec -T app mysql -N -h 127.0.0.1 -P 6033 -u app -papp shop -e "$*" 2>"$work/query.log"; }
until_true 60 "the application reaches its sidecar" beside "SELECT 1"
is "a session's own write, beside" "$(beside "INSERT INTO notes (text) VALUES ('beside'); SELECT COUNT(*) FROM notes WHERE text = 'beside'")" 1

say "a lost replica and the end"
docker kill "$(container replica1)" >/dev/null
is "reads go on" "$(query highwater "SELECT COUNT(*) FROM notes WHERE text = 'beside'")" 1
docker stop -t 15 "$proxy" >/dev/null
is "exit code after SIGTERM" "$(docker inspect -f '{{.State.ExitCode}}' "$proxy")" 0

echo "== everything held${left_out:+; not run: $left_out}"
