# Sourced by tools/demo and tools/test: checks what a step needs, installs Debian packages when it
# may, and otherwise prints the one line to run.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
BIN=$TARGET/release

say() { printf '%s\n' "$*" >&2; }

# need COMMAND PACKAGE: the command is there afterwards, or the script ends.
need() {
    command -v "$1" >/dev/null 2>&1 || install_package "$1" "$2"
}

install_package() {
    local sudo=
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            sudo=sudo
        else
            say "This needs '$1'. Run: sudo apt-get install -y $2"
            exit 2
        fi
    fi
    say "Installing $2 for '$1'."
    if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        $sudo apt-get install -y -qq --no-install-recommends "$2" >/dev/null; }; then
        say "Could not install $2. Run: sudo apt-get install -y $2"
        exit 2
    fi
}

# Python with what makes environments of its own: tests read our files with public libraries.
need_venv() {
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        install_package 'python3 -m venv' python3-venv
}

need_rust() {
    if ! command -v cargo >/dev/null 2>&1; then
        say "This needs the Rust toolchain, 1.95 or newer: https://rustup.rs"
        exit 2
    fi
    need cc gcc
}

# need_cargo_tool NAME VERSION: a command of cargo of this version is in $TARGET/tools/bin.
need_cargo_tool() {
    [[ "$("$TARGET/tools/bin/$1" --version 2>/dev/null)" != *"$2" ]] || return 0
    say "Building $1 $2, once."
    CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo install "$1" --version "$2" --locked --quiet --debug \
        --root "$TARGET/tools" --target-dir "$TARGET/tools/build"
    rm -rf "$TARGET/tools/build"
}
