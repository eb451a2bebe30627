#!/bin/sh
# Makes the cluster at the first start, with the account and the database that POSTGRES_USER, POSTGRES_PASSWORD and
# POSTGRES_DB name.
set -eu
made=$PGDATA/cluster.made
if [ ! -e "$made" ]; then
  : "${POSTGRES_PASSWORD:?set it to the password of the account}"
  user=${POSTGRES_USER:-postgres}
  # What a first start that was cut short left behind.
  find "$PGDATA" -mindepth 1 -delete
  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
  initdb --username="$user" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
  rm -f "$password"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  database=${POSTGRES_DB:-$user}
  [ "$database" = postgres ] || printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -j postgres
  touch "$made"
fi
exec "$@"
