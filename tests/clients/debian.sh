# Sourced by runners of programs that Debian packages: `unpack NAME PACKAGE...` puts them, and what they need that is not
# installed, into a directory outside the clone and sets ROOT to it. Nothing is installed, nothing of the system changes,
# and packages that conflict with each other can be tested side by side. Wants WORK.

unpack() { # unpack NAME PACKAGE...
  local name=$1 cache=${XDG_CACHE_HOME:-$HOME/.cache}/onrush-ci debs
  shift
  ROOT=$cache/$name
  [ -e "$ROOT/complete" ] && return
  debs=$(mktemp -d)
  mkdir "$debs/partial"
  as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
  # apt finds the dependencies. A second try with fresh lists: old ones name versions that mirrors no longer have.
  local get=(apt-get -qq -y --no-install-recommends --download-only -o "Dir::Cache::archives=$debs" -o APT::Sandbox::User=root install --reinstall)
  { as_root "${get[@]}" "$@" || { as_root apt-get -qq update && as_root "${get[@]}" "$@"; }; } > "$WORK/unpack.log" 2>&1 || { tail -5 "$WORK/unpack.log"; echo "apt cannot fetch $*"; return 1; }
  as_root chmod -R a+rX "$debs"
  rm -rf "$ROOT.new"
  mkdir -p "$ROOT.new"
  for deb in "$debs"/*.deb; do dpkg -x "$deb" "$ROOT.new"; done
  touch "$ROOT.new/complete"
  rm -rf "$ROOT"
  mv "$ROOT.new" "$ROOT"
  as_root rm -r "$debs"
}

# unpacked COMMAND...: runs it with the libraries that were unpacked before those of the system; exec, so that $! is its pid.
unpacked() {
  local dir path=$ROOT/usr/lib
  for dir in "$ROOT"/usr/lib/*-linux-gnu "$ROOT"/lib/*-linux-gnu "$ROOT"/usr/lib/syslog-ng; do path=$path:$dir; done
  exec env "LD_LIBRARY_PATH=$path" "$@"
}
