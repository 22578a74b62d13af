# What the scripts in this directory share; they source it.
#
# Not a script of its own. Whoever sources it gets `set -Eeuo pipefail`, and a PATH with the daemons.
set -Eeuo pipefail
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# need COMMAND PACKAGE [COMMAND PACKAGE]…: installs the packages of the commands that are missing.
need() {
    local packages=() sudo=() lock
    # One at a time: apt does not wait for the lock of its lists.
    exec {lock}<"${BASH_SOURCE[0]}"
    flock "$lock"
    while (($# > 1)); do
        command -v "$1" >/dev/null || packages+=("$2")
        shift 2
    done
    if ((${#packages[@]})); then
        [[ $(id -u) == 0 ]] || sudo=(sudo)
        echo "${0##*/}: installing ${packages[*]}" >&2
        local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
        # A service that starts with its package must not keep the lock.
        "${apt[@]}" update >&2 {lock}<&-
        "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >&2 {lock}<&-
    fi
    exec {lock}<&-
}

# within SECONDS COMMAND…: tries the command until it succeeds; false if it never does.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# A process and all below it, the youngest generation last.
family() {
    local child
    echo "$1"
    for child in $(pgrep -P "$1"); do family "$child"; done
}

# alive PIDFILE: prints the process id in the file if that process still runs; else it is false.
alive() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [[ -n $pid ]] && ! all_gone "$pid" && echo "$pid"
}

# Whether none of the processes is left, zombies aside: those belong to whoever is to wait for them.
all_gone() {
    local pid
    for pid in "$@"; do
        [[ ! -e /proc/$pid ]] || grep -q '^State:\sZ' "/proc/$pid/status" 2>/dev/null || return 1
    done
}

# end PIDFILE…: ends the processes of the files, and all that they have started.
end() {
    local file pid everyone=()
    for file in "$@"; do
        pid=$(alive "$file") || continue
        mapfile -t -O "${#everyone[@]}" everyone < <(family "$pid")
    done
    ((${#everyone[@]})) || return 0
    kill -TERM "${everyone[@]}" 2>/dev/null || true # some end meanwhile
    within 5 all_gone "${everyone[@]}" || kill -KILL "${everyone[@]}" 2>/dev/null || true
    within 5 all_gone "${everyone[@]}" || fail "these processes don't end: ${everyone[*]}"
}
