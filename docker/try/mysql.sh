#!/bin/bash
# Entrypoint of the stand-in for the image mysql: as much of the official one's contract as compose.yml uses.
# MYSQL_ROOT_PASSWORD, /docker-entrypoint-initdb.d/*.sql, and the server's options as arguments.
set -euo pipefail

if [ "${1:0:1}" != - ] && [ $# -gt 0 ] && [ "$1" != mysqld ]; then
    exec "$@"
fi
[ "${1:-}" != mysqld ] || shift

data=/var/lib/mysql
socket=/var/run/mysqld/mysqld.sock
mkdir -p "$data" "${socket%/*}"
options=(--user=root --datadir="$data" --socket="$socket" --mysqlx=OFF --secure-file-priv= "$@")

if [ ! -e "$data/mysql" ]; then
    mysqld --user=root --datadir="$data" --initialize-insecure
    mysqld "${options[@]}" --skip-networking &
    server=$!
    until mysqladmin --socket="$socket" -uroot ping >/dev/null 2>&1; do
        kill -0 "$server"
        sleep 0.2
    done
    mysql --socket="$socket" -uroot <<SQL
SET sql_log_bin = 0;
CREATE USER root@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
ALTER USER root@localhost IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
SQL
    export MYSQL_PWD=$MYSQL_ROOT_PASSWORD
    for file in /docker-entrypoint-initdb.d/*.sql; do
        mysql --socket="$socket" -uroot <"$file"
    done
    mysqladmin --socket="$socket" -uroot shutdown
    wait "$server"
    unset MYSQL_PWD
fi
exec mysqld "${options[@]}"
