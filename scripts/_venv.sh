# Makes .venv in the checkout and installs what is missing. Sourced by demo and test, from the checkout's root.
# usage: prepare_venv EXTRAS
#
# PyPI's torch for Linux is built for CUDA and brings NVIDIA's libraries. Without an NVIDIA card, torch for the CPU is
# taken where pip finds one. CARS_HW_TORCH=cpu insists on that one, CARS_HW_TORCH=default takes pip's own choice.

torch_cpu_index=https://download.pytorch.org/whl/cpu
torch_probe_s=15 # how long it may take to find out what lies there

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

pip() {
    .venv/bin/python -m pip --disable-pip-version-check "$@"
}

has_nvidia_card() {
    command -v nvidia-smi >/dev/null 2>&1 || [ -e /proc/driver/nvidia ]
}

# Run a command for a limited time where the system can: pip's own limit does not cover slow name servers.
briefly() {
    if command -v timeout >/dev/null 2>&1; then timeout "$torch_probe_s" "$@"; else "$@"; fi
}

installed_torch() {
    .venv/bin/python -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null || true
}

# Whether torch VERSION for the CPU is to be had.
offers_cpu_torch() {
    briefly .venv/bin/python -m pip --disable-pip-version-check index versions torch --index-url "$torch_cpu_index" \
        --timeout 5 --retries 0 2>/dev/null | grep -qE "[ ,]$1(\+cpu)?(,|\$)"
}

# Install torch for the CPU where that is wanted and to be had, and say what is chosen; LOG takes pip's words.
choose_torch() { # choose_torch LOG
    version=$(sed -n 's/^torch==//p' constraints.txt)
    choice=${CARS_HW_TORCH:-}
    case "$choice,$(installed_torch)" in
    ",$version" | ",$version+"* | "cpu,$version+cpu") return ;; # it stays
    ,*) if [ "$(uname -s)" != Linux ] || has_nvidia_card; then choice=default; fi ;;
    cpu,* | default,*) ;;
    *) fail "CARS_HW_TORCH is '$choice'; it is cpu or default" ;;
    esac
    if [ "$choice" = default ]; then
        echo "cars_hw: torch: the build that pip finds; one for CUDA takes about 5 GB with its libraries"
    elif offers_cpu_torch "$version"; then
        echo "cars_hw: torch: $version for the CPU, about 1.7 GB with all else; CARS_HW_TORCH=default takes pip's choice"
        pip install --progress-bar off --no-deps --force-reinstall --index-url "$torch_cpu_index" "torch==$version" >>"$1" 2>&1 ||
            fail "torch for the CPU could not be installed: $(tail -n 1 "$1"); CARS_HW_TORCH=default takes pip's choice"
    elif [ "$choice" = cpu ]; then
        fail "torch $version for the CPU is not to be had from $torch_cpu_index; CARS_HW_TORCH=default takes pip's choice"
    else
        echo "cars_hw: torch: no NVIDIA card here, but $torch_cpu_index offers no torch $version;" \
            "the build that pip finds may be one for CUDA, of about 5 GB"
    fi
}

# Say how large .venv is, and for what its torch is built.
describe_venv() {
    build=$(.venv/bin/python -c 'import torch
print(torch.__version__, "for", f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU")' 2>/dev/null) ||
        fail "torch was installed but does not load; try: .venv/bin/python -c 'import torch'"
    echo "cars_hw: installed: .venv is $(du -sh .venv | cut -f 1), torch $build"
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
    wanted=$( (cat pyproject.toml constraints.txt && echo "torch: ${CARS_HW_TORCH:-}") | cksum)
    stamp=".venv/installed-$extras"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        log=".venv/install-$extras.log"
        echo "cars_hw: installing (minutes the first time), log in $log"
        : >"$log"
        choose_torch "$log"
        pip install --progress-bar off -c constraints.txt -e ".[$extras]" >>"$log" 2>&1 ||
            fail "installation failed: $(tail -n 1 "$log")"
        describe_venv
        echo "$wanted" >"$stamp"
    fi
}
