#!/usr/bin/env bash
# What cargo does with `strip` in a profile when a package has an override in the same profile.
#
# The manual says that an override cannot have `strip`, so one expects it to leave the profile's `strip` alone. It does not: for a package
# with an override of its own, or one that matches `"*"`, cargo falls back to what it does without a `strip`, which is to strip debug
# information only. A binary whose profile says `strip = "symbols"` then keeps its symbol table, without a word.
#
# Seen with cargo 1.95.0. The way around it: put the setting into the profile, and the opposite into `[profile.X.package."*"]`, which does
# not match packages of the workspace.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
echo 'fn main() { println!("hello"); }' > src/main.rs

# The value of `strip` that cargo gives rustc for a manifest that ends with these lines.
strip_of() {
  printf '[package]\nname = "probe"\nversion = "0.1.0"\nedition = "2021"\n\n[profile.release]\nstrip = "symbols"\n\n%s\n' "$1" > Cargo.toml
  rm -rf target
  cargo build --release --offline -v 2>&1 | grep -o 'strip=[a-z]*' | head -n 1
}

cargo --version
plain=$(strip_of '')
own=$(strip_of $'[profile.release.package.probe]\ncodegen-units = 2')
others=$(strip_of $'[profile.release.package."*"]\ncodegen-units = 2')
echo "no override:             $plain"
echo "override for itself:     $own"
echo "override for all others: $others"
[[ $plain == strip=symbols && $own == strip=debuginfo && $others == strip=symbols ]] || { echo "this has changed" >&2; exit 1; }
