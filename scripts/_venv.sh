# Makes .venv in the checkout and installs what is missing. Sourced by demo and test, from the checkout's root.
# usage: prepare_venv EXTRAS

fail() {
    echo "cars_hw: $*" >&2
    exit 1
}

find_python() {
    for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

prepare_venv() {
    extras=$1
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || fail "needs Python 3.11 or newer; install it, or name it: PYTHON=/path/to/python $0"
        echo "cars_hw: making .venv with $("$python" --version)"
        rm -rf .venv
        "$python" -m venv .venv || {
            rm -rf .venv # half made, the next run would take it for whole
            fail "could not make .venv; on Debian: apt-get install python3-venv"
        }
    fi
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    stamp=".venv/installed-$extras"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "cars_hw: installing (about 1.7 GB on disk; minutes the first time), log in .venv/install-$extras.log"
        .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
            -c constraints.txt -e ".[$extras]" >".venv/install-$extras.log" 2>&1 ||
            fail "installation failed: $(tail -n 1 ".venv/install-$extras.log")"
        echo "$wanted" >"$stamp"
    fi
}
