#!/usr/bin/env bash
# The account that serves and prunes, with what `belay grants serve` and `belay grants retention` print and nothing else.
set -euo pipefail
{
  echo "CREATE USER IF NOT EXISTS belay_serve@'%' IDENTIFIED BY '$SERVE_PASSWORD';"
  sed -e 's/{database}/belay/g' -e "s/{user}/belay_serve@'%'/g" /grants/serve.sql /grants/retention.sql
} | mysql --host=mysql --user=root --password="$MYSQL_ROOT_PASSWORD"
