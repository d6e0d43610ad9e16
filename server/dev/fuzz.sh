#!/usr/bin/env bash
# Fuzzes one of the targets in fuzz/, led by what its inputs reach of the code: `make fuzz ARGS='requests --seconds 60'`. It
# begins with fuzz/corpus/ and with what runs before found, which stays below target/fuzz/. It ends with exit code 0 when the
# time is over, and otherwise with the input that breaks a promise in fuzz/artifacts/. With --keep, nothing is fuzzed: of all
# that was found, the smallest inputs that reach what fuzz/corpus/ does not are added to it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

usage() {
    echo "usage: fuzz.sh TARGET [--seconds SECONDS | --keep], with a TARGET of: $(ls fuzz/corpus | xargs)" >&2
    exit 2
}
# The longest input, in bytes: what is added to the corpus is small, and each input is quick.
bytes_max=4096
target=${1:-} seconds=60 keep=''
[[ -n $target && -d fuzz/corpus/$target ]] || usage
shift
while (($#)); do
    case $1 in
        --seconds) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage; seconds=$2; shift 2 ;;
        --keep) keep=1; shift ;;
        *) usage ;;
    esac
done

build=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
mkdir -p "$build/corpus/$target"
fuzzer=$("$here/tools.sh" cargo-fuzz)
# The same dependencies as the program.
cp Cargo.lock fuzz/Cargo.lock
# No sanitizer: those want a nightly compiler, and there is no unsafe code to watch over. What is counted of the code that an
# input reaches, the stable compiler counts as well. Unwrapped options and overflows still panic.
fuzz() {
    local run=("$fuzzer" run --dev --sanitizer none --target-dir "$build")
    # It alone needs the server, which is long to build.
    [[ $target != key_files ]] || run+=(--features server)
    "${run[@]}" "$target" "$@"
}
if [[ -n $keep ]]; then
    fuzz "fuzz/corpus/$target" "$build/corpus/$target" -- -set_cover_merge=1 -use_counters=0 -max_len=$bytes_max
else
    fuzz "$build/corpus/$target" "fuzz/corpus/$target" -- -max_total_time="$seconds" -max_len=$bytes_max -print_final_stats=1
fi
