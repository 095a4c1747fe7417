# Sourced by tools/demo and tools/test: checks what a step needs, installs Debian packages when it
# may, and otherwise prints the one line to run.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
BIN=$TARGET/release

say() { printf '%s\n' "$*" >&2; }

# need COMMAND PACKAGE: the command is there afterwards, or the script ends.
need() {
    command -v "$1" >/dev/null 2>&1 && return 0
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

need_rust() {
    if ! command -v cargo >/dev/null 2>&1; then
        say "This needs the Rust toolchain, 1.95 or newer: https://rustup.rs"
        exit 2
    fi
    need cc gcc
}

# The version that the package is built and tested with.
CARGO_DEB_VERSION=3.8.0
CARGO_DEB=$TARGET/tools/bin/cargo-deb

need_cargo_deb() {
    if [[ "$("$CARGO_DEB" --version 2>/dev/null)" != *"$CARGO_DEB_VERSION" ]]; then
        say "Building cargo-deb $CARGO_DEB_VERSION, once."
        cargo install cargo-deb --version "$CARGO_DEB_VERSION" --locked --quiet \
            --root "$TARGET/tools" --target-dir "$TARGET/tools/build"
    fi
}
