#!/usr/bin/env bash
# Makes the passwords of compose.yaml and the secret of its operator, once: `.env`, and `operator.secret` for BELAY_TOKEN_FILE.
# BELAY is the program that hashes the secret, by default the image's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
read -ra belay <<<"${BELAY:-docker run --rm -i belay:local}"
folder=${1:-.}
[[ ! -e $folder/.env ]] || { echo "secrets.sh: there is an .env already, and MySQL keeps the passwords it began with" >&2; exit 1; }
umask 077
random() { od -vAn -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }
random 32 >"$folder/operator.secret"
hash=$("${belay[@]}" hash-secret <"$folder/operator.secret")
cat >"$folder/.env" <<ENV
MYSQL_ROOT_PASSWORD=$(random 16)
MIGRATE_PASSWORD=$(random 16)
SERVE_PASSWORD=$(random 16)
OPERATOR_HASH=$hash
ENV
