# Sourced by scripts that take programs out of the Debian archive without installing anything and without root.
# shellcheck shell=bash
# shellcheck disable=SC2016 # $(…) in single quotes is for apt to expand

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The machine's own mirrors: first those whose package lists say Debian, then, as a new machine has no lists yet, all
# that are configured. A mirror of something else is told apart by the signature: Debian's keys do not verify it.
debian_mirrors() {
  local info
  for info in --release-info --no-release-info; do
    apt-get indextargets "$info" --format '$(CREATED_BY)|$(RELEASE)|$(ORIGIN)|$(REPO_URI)'
  done | awk -F'|' '$1 == "Packages" && $2 !~ /security|updates|backports/ && ($3 == "Debian" || $3 ~ /^[$]/) && !seen[$4]++ { print $4 }'
}

# debian_download STATE MIRROR SUITE STATUS LOG PACKAGE…: packages and what they need beyond the package status STATUS, into
# STATE/archives. apt has its own sources and lists here: it verifies the signatures and leaves the system's state alone.
# Proxies and credentials of the system's configuration stay valid.
debian_download() {
  local state=$1 mirror=$2 suite=$3 status=$4 log=$5 apt
  shift 5
  rm -rf "$state"
  mkdir -p "$state/lists/partial" "$state/archives/partial"
  echo "deb [arch=$(dpkg --print-architecture) target=Packages signed-by=$debian_keyring] $mirror $suite main" >"$state/sources.list"
  cat >"$state/apt.conf" <<CONF
#clear APT::Default-Release;
#clear APT::Update;
#clear APT::Install;
#clear AptCli::Hooks;
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$status";
Dir::Cache "$state";
Dir::Cache::archives "$state/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "$state";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Install-Recommends "false";
CONF
  # Root's apt downloads as the user _apt, which may not look into the cache folder.
  ((EUID)) || echo 'APT::Sandbox::User "root";' >>"$state/apt.conf"
  apt=(apt-get -c "$state/apt.conf" -qy)
  "${apt[@]}" update >>"$log" 2>&1 && "${apt[@]}" --download-only install "$@" >>"$log" 2>&1
}
