#!/usr/bin/env bash
# Builds the real servers that tests and demo run against: etcd, kube-apiserver, kube-controller-manager, kubectl.
#
# The last line on stdout is the folder that holds the four binaries; everything else goes to stderr. Repeating costs
# nothing: what is there is not built again. Their versions stand in one place, the go.mod files beside this script.
#
#   KUBERNETES_MINOR    1.33: an API server and a controller manager of that minor, from the folder kubernetes-1.33
#   CARGO_TARGET_DIR    the binaries go to $CARGO_TARGET_DIR/servers/<kubernetes version>-etcd-<etcd version>
#   KUBEBUILDER_ASSETS  a folder with ready-made etcd and kube-apiserver (and perhaps the two others), used instead
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

version_of() { # module, go.mod
  sed -n "s|^[[:space:]]*\(require[[:space:]]\)\{0,1\}$1[[:space:]]\(v[^[:space:]]*\).*|\2|p" "$2" | head -n 1
}
newest=kubernetes
modules=$newest${KUBERNETES_MINOR:+-$KUBERNETES_MINOR}
if [ ! -f "$here/$modules/go.mod" ]; then
  printf '%s\n' "error: KUBERNETES_MINOR is $KUBERNETES_MINOR, and there is no $here/$modules/go.mod" >&2
  exit 1
fi
kubernetes=$(version_of k8s.io/kubernetes "$here/$modules/go.mod")
etcd=$(version_of go.etcd.io/etcd/server/v3 "$here/etcd/go.mod")
cache="${CARGO_TARGET_DIR:-$root/target}/servers"
out="$cache/$kubernetes-etcd-$etcd"
mkdir -p "$out"
out=$(cd "$out" && pwd)

say() { printf '%s\n' "$*" >&2; }

require_go() {
  command -v go >/dev/null 2>&1 && return
  say "error: Go is missing, and without it $1 of the test servers cannot be built"
  say "hint: install Go 1.24 or newer (https://go.dev/dl/) and put \`go\` into PATH,"
  say "hint: or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl"
  exit 1
}

build() { # folder of the module, package, name, expected time, linker flags
  [ -x "$out/$3" ] && return
  require_go "$3"
  say "building $3 ($4 on two cores, once; into $out)"
  # A half-written binary must never look like a finished one, so the name appears only at the end.
  (cd "$here/$1" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -ldflags "$5" -o "$out/.$3.$$" "$2" 9>&-)
  mv "$out/.$3.$$" "$out/$3"
}

build_etcd() {
  build etcd go.etcd.io/etcd/server/v3 etcd "about 1 minute" "-s -w"
}
build_kubernetes() {
  local minor=${kubernetes#v1.}
  local version=k8s.io/component-base/version
  # Without these the server calls itself v0.0.0-master, and clients that compare versions go wrong.
  local flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
  build "$modules" "k8s.io/kubernetes/cmd/$1" "$1" "$2" "$flags"
}

# Two builds at once would compile everything twice.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$out/.lock"
  flock 9
fi

if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  if [ ! -x "$out/kube-apiserver" ]; then
    say "test servers: etcd $etcd and Kubernetes $kubernetes are built once from their Go modules: 5 to 10 minutes"
  fi
  if [ "$modules" = "$newest" ]; then
    build_etcd
  else
    # Only what has a minor is built again. A client is newer than the oldest server wherever people use it.
    others=$(env -u KUBERNETES_MINOR "$0" 9>&- | tail -n 1)
    ln -sf "../$(basename "$others")/etcd" "../$(basename "$others")/kubectl" "$out/"
  fi
  build_kubernetes kube-apiserver "3 to 6 minutes"
  build_kubernetes kube-controller-manager "1 to 2 minutes"
  if [ "$modules" = "$newest" ]; then
    build_kubernetes kubectl "about 1 minute"
  fi
  printf '%s\n' "$out"
  exit 0
fi

for name in etcd kube-apiserver; do
  if [ ! -x "$KUBEBUILDER_ASSETS/$name" ]; then
    say "error: KUBEBUILDER_ASSETS is set to $KUBEBUILDER_ASSETS, and there is no executable $name in it"
    say "hint: unset KUBEBUILDER_ASSETS to build all test servers with Go"
    exit 1
  fi
done
assets=$(cd "$KUBEBUILDER_ASSETS" && pwd)
mixed="$cache/assets-$(printf '%s' "$assets" | cksum | cut -d ' ' -f 1)"
mkdir -p "$mixed"
say "test servers: etcd and kube-apiserver from KUBEBUILDER_ASSETS=$assets"
ln -sf "$assets/etcd" "$assets/kube-apiserver" "$mixed/"
for name in kube-controller-manager kubectl; do
  if [ -x "$assets/$name" ]; then
    ln -sf "$assets/$name" "$mixed/$name"
  else
    say "test servers: $name is not in KUBEBUILDER_ASSETS; our own build of $kubernetes is used"
    build_kubernetes "$name" "2 to 6 minutes"
    ln -sf "$out/$name" "$mixed/$name"
  fi
done
(cd "$mixed" && pwd)
