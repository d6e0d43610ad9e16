#!/usr/bin/env bash
# A real MySQL for development and tests: nothing installed, no root, no container. Usage: mysql.sh -h
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: mysql.sh COMMAND

  find                               make a mysqld ready (fetches it once if there is none); prints nothing
  start DIR [--port N] [-- ARGS...]  start the instance in DIR, or reuse the one that runs there; prints its URL.
                                     ARGS go to mysqld as they are
  stop DIR                           clean shutdown
  kill DIR                           kill -9, for fault tests; the next start recovers
  status DIR                         says whether it runs (exit code 0) or not (1)
  client DIR [ARGS...]               open the mysql client on it
  tools                              print the folder that has mysql, mysqldump and mysqlbinlog

Which mysqld: one on PATH if it is MySQL 8.4 or newer, else a private copy from the Debian archive, kept in the
cache folder. Exit codes: 1 it failed, 2 wrong usage, 3 something is missing (the message has the line to install it).

environment:
  BELAY_CACHE_DIR                 cache folder [${XDG_CACHE_HOME:-~/.cache}/belay]
  BELAY_ALLOW_MARIADB=1           take a MariaDB found on PATH as well
  BELAY_MYSQL_BUFFER_POOL         InnoDB buffer pool [256M]
  BELAY_MYSQL_REDO_LOG            redo log capacity [256M]
  BELAY_MYSQL_PERFORMANCE_SCHEMA  ON or OFF [ON]
  (BELAY_DATABASE_URL, a server of your own, is handled by the callers: they do not come here then.)
USAGE
}

say() { printf 'mysql.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
bad_usage() { say "$* (mysql.sh -h shows the usage)"; exit 2; }

cache=${BELAY_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/belay}
mysqld='' version='' prefix='' # set by find_mysqld; prefix stays empty for a mysqld of the system
flavour=mysql

# ---- which mysqld -------------------------------------------------------------------------------------------------

find_mysqld() {
  # Debian keeps daemons in sbin, which ordinary users often do not have on PATH.
  if mysqld=$(PATH="$PATH:/usr/local/sbin:/usr/sbin" command -v mysqld) && acceptable; then return; fi
  find_private || {
    mkdir -p "$cache"
    locked fetch_unless_there
    find_private || die "${prefix:-the MySQL in $cache} does not run; remove that folder and try again"
  }
}

# Ver 9.7.4-2 for Linux …  →  9.7.4-2
read_version() { version=$("$mysqld" --no-defaults --version 2>/dev/null | sed -n 's/.* Ver \([^ ]*\).*/\1/p') && [[ -n $version ]]; }

acceptable() {
  read_version || return 1
  if [[ $version == *MariaDB* ]]; then
    flavour=mariadb
    [[ ${BELAY_ALLOW_MARIADB:-} == 1 ]] && return
    flavour=mysql
    return 1
  fi
  local major=${version%%.*} rest=${version#*.}
  ((major > 8 || (major == 8 && ${rest%%.*} >= 4)))
}

find_private() {
  prefix=$(find "$cache" -maxdepth 1 -name 'mysql-[0-9]*' 2>/dev/null | sort -V | tail -n 1)
  [[ -n $prefix ]] && mysqld=$prefix/bin/mysqld && read_version
}

# A second caller waits for the first one's download and then finds it done.
fetch_unless_there() { find_private || "$(dirname "$0")/mysql-fetch.sh" "$cache"; }

locked() { (flock 9 && "$@") 9>>"$cache/lock"; }

# ---- a data folder ------------------------------------------------------------------------------------------------

# Initialising takes seconds, copying an initialised folder does not: one template per version of mysqld.
make_template() {
  [[ ! -d $1 ]] || return 0
  local tmp=$1.tmp
  rm -rf "$tmp"
  mkdir "$tmp"
  say "preparing an empty data folder for MySQL $version, once"
  if [[ $flavour == mariadb ]]; then
    mariadb-install-db --no-defaults --datadir="$tmp" --auth-root-authentication-method=normal --skip-test-db "${as_user[@]}" >"$tmp.log" 2>&1
  else
    "$mysqld" --no-defaults --initialize-insecure --datadir="$tmp" --innodb-redo-log-capacity=8M "${as_user[@]}" >"$tmp.log" 2>&1
  fi || die "cannot initialise a data folder: $(tail -n 5 "$tmp.log")"
  rm -f "$tmp/auto.cnf" "$tmp.log" # auto.cnf is the server's identity; each copy makes its own
  mv "$tmp" "$1"
}

make_data() {
  [[ ! -d $data ]] || return 0
  local template=$cache/datadir-$version
  mkdir -p "$cache"
  [[ -d $template ]] || locked make_template "$template"
  rm -rf "$data.new"
  cp -a --reflink=auto "$template" "$data.new"
  mv "$data.new" "$data"
}

# ---- an instance --------------------------------------------------------------------------------------------------

# DIR holds: data/, mysqld.pid (written here, at the launch), mysqld.ready (written by mysqld once it has bound its
# port), port, mysqld.log, lock.
use_dir() {
  [[ -n ${1:-} ]] || bad_usage "which DIR?"
  dir=$(realpath -m -- "$1") data=$dir/data
}

# Sets pid if the process in the pid file lives and is the mysqld of this data folder: pids are reused, and a signal
# to a stranger is worse than none. (The name may be an argument: the private mysqld runs under its loader.)
running() {
  pid=$(cat "$dir/mysqld.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] &&
    grep -zqxF -- "--datadir=$data" "/proc/$pid/cmdline" 2>/dev/null &&
    grep -zqE '(^|/)(mysqld|mariadbd)$' "/proc/$pid/cmdline" 2>/dev/null
}

# A process that was killed looks dead at once, but its last threads hold port and files for a moment longer. (A zombie
# alone has let go of them; it stays where no init collects it.)
exited() {
  [[ ! -d /proc/$pid ]] || { [[ $(echo "/proc/$pid/task/"*) == "/proc/$pid/task/$pid" ]] && grep -q '^State:.*Z' "/proc/$pid/status"; } 2>/dev/null
}

# Waits for that, at most $1 seconds.
gone_within() {
  local deadline=$((SECONDS + $1))
  while running || ! exited; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

port_taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first packet of a server that is ready: 3 bytes length, number 0, protocol version 10 (or 255, an error packet).
greets() {
  local greeting
  greeting=$({ timeout 2 head -c 5 <"/dev/tcp/127.0.0.1/$1" | od -An -tu1; } 2>/dev/null) && [[ $greeting =~ \ 0\ +(10|255)$ ]]
}

# A port below the range from which outgoing connections take theirs.
free_port() {
  local try port
  for try in {1..200}; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    port_taken "$port" || { echo "$port"; return; }
  done
  die "no free port found after $try attempts"
}

launch() {
  local options=(
    --no-defaults --datadir="$data" --port="$port" --bind-address=127.0.0.1
    --socket=mysqld.sock # in the data folder: a full path may be longer than a socket's name can be
    --pid-file="$dir/mysqld.ready" --log-error="$dir/mysqld.log" --server-id=1
    --log-bin=binlog --sync-binlog=1 --innodb-flush-log-at-trx-commit=1 # an acknowledged commit is on the disk, as in production
    --character-set-server=utf8mb4 --default-time-zone=+00:00 --lc-messages=en_US
    --innodb-buffer-pool-size="${BELAY_MYSQL_BUFFER_POOL:-256M}"
    --performance-schema="${BELAY_MYSQL_PERFORMANCE_SCHEMA:-ON}"
  )
  if [[ $flavour == mariadb ]]; then
    options+=(--binlog-format=ROW --innodb-log-file-size="${BELAY_MYSQL_REDO_LOG:-256M}")
  else
    options+=(--secure-file-priv=NULL --mysqlx=OFF --innodb-redo-log-capacity="${BELAY_MYSQL_REDO_LOG:-256M}")
  fi
  # A socket lock left by a kill names a pid that may be somebody else's by now.
  rm -f "$dir/mysqld.ready" "$data"/mysqld.sock{,.lock}
  # In a session of its own, so that Ctrl-C in the terminal reaches the caller, who then stops it in order.
  setsid "$mysqld" "${options[@]}" "${as_user[@]}" "$@" </dev/null >>"$dir/mysqld.log" 2>&1 9>&- &
  pid=$!
  echo "$pid" >"$dir/mysqld.pid"
  echo "$port" >"$dir/port"
}

# 0: it answers. 1: it has exited. 2: neither within 60 s. Its ready file comes first: until then it might be another
# server that answers on the port.
await() {
  local deadline=$((SECONDS + 60))
  while ((SECONDS < deadline)); do
    ! exited || return 1
    [[ $(cat "$dir/mysqld.ready" 2>/dev/null) != "$pid" ]] || ! greets "$port" || return 0
    sleep 0.05
  done
  return 2
}

start() {
  local want='' port='' state log_size log
  use_dir "${1:-}"
  shift
  if [[ ${1:-} == --port ]]; then
    want=${2:-}
    [[ $want =~ ^[0-9]+$ ]] || bad_usage "--port wants a number"
    shift 2
  fi
  if (($#)); then
    [[ $1 == -- ]] || bad_usage "unknown argument $1"
    shift
  fi
  mkdir -p "$dir"
  exec 9>>"$dir/lock"
  flock 9 # two starts at the same time: the second finds the instance of the first

  if running; then
    port=$(<"$dir/port")
    [[ -z $want || $want == "$port" ]] || die "already running in $dir on port $port, not $want"
    await || die "mysqld (pid $pid) runs in $dir but does not answer; see $dir/mysqld.log"
    echo "mysql://root@127.0.0.1:$port"
    return
  fi

  [[ -z $pid ]] || gone_within 2 || true # just killed: its port is free in a moment

  find_mysqld
  as_user=()
  ((EUID)) || as_user=(--user=root)
  make_data
  port=${want:-$(cat "$dir/port" 2>/dev/null || true)}
  for _ in 1 2 3; do
    if [[ -z $port ]] || port_taken "$port"; then
      [[ -z $want ]] || die "port $want is taken"
      port=$(free_port)
    fi
    log_size=$(stat -c %s "$dir/mysqld.log" 2>/dev/null || echo 0)
    launch "$@"
    state=0
    await || state=$?
    case $state in
      0) echo "mysql://root@127.0.0.1:$port" && return ;;
      2) die "mysqld (pid $pid) runs in $dir but did not answer within 60 s; see $dir/mysqld.log" ;;
    esac
    # Between the look and the bind somebody else may have taken the port.
    log=$(tail -c "+$((log_size + 1))" "$dir/mysqld.log")
    [[ $log == *'Address already in use'* && -z $want ]] || break
    port=''
  done
  grep -E 'ERROR|unknown' <<<"$log" | tail -n 5 >&2 || true
  die "mysqld did not start; see $dir/mysqld.log"
}

stop() {
  use_dir "${1:-}"
  running || return 0
  kill -TERM "$pid" 2>/dev/null || true
  gone_within 60 && return
  say "mysqld (pid $pid) did not stop within 60 s; killing it (its data recovers at the next start)"
  kill_hard "$dir"
}

kill_hard() {
  use_dir "${1:-}"
  running || return 0
  kill -KILL "$pid" 2>/dev/null || true
  gone_within 10 || die "mysqld (pid $pid) survives kill -9"
}

status() {
  use_dir "${1:-}"
  running || { echo "stopped"; return 1; }
  echo "running mysql://root@127.0.0.1:$(<"$dir/port") pid $pid"
}

client() {
  use_dir "${1:-}"
  shift
  running || die "no mysqld runs in $dir"
  find_mysqld
  local program
  if [[ -n $prefix ]]; then
    program=$prefix/bin/mysql
  else
    program=$(command -v mysql || command -v mariadb) || { say "no mysql client here. Install one: apt-get install -y default-mysql-client"; exit 3; }
  fi
  exec "$program" --no-defaults --host=127.0.0.1 --port="$(<"$dir/port")" --user=root "$@"
}

tools() {
  find_mysqld
  local program folder=$prefix/bin
  if [[ -z $prefix ]]; then
    for program in mysql mysqldump mysqlbinlog; do
      folder=$(command -v "$program") || { say "no $program here. Install it: apt-get install -y default-mysql-client"; exit 3; }
    done
    folder=${folder%/*}
  fi
  echo "$folder"
}

case ${1:-} in
  find) find_mysqld ;;
  start | stop | status | client | tools) "$@" ;;
  kill) shift && kill_hard "$@" ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
