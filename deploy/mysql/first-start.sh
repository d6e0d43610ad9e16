#!/usr/bin/env bash
# MySQL's image runs this when it prepares its data: the account that brings the schema up to date.
set -euo pipefail
{
  echo "CREATE USER belay_migrate@'%' IDENTIFIED BY '$MIGRATE_PASSWORD';"
  sed -e 's/{database}/belay/g' -e "s/{user}/belay_migrate@'%'/g" /grants/migrate.sql
} | mysql -u root --password="$MYSQL_ROOT_PASSWORD"
