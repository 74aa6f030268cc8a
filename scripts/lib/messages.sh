# shellcheck shell=bash
# Messages of the scripts: progress and errors go to stderr, results to stdout.

say() { printf '%s: %s\n' "${program:-sluice}" "$*" >&2; }

die() {
  printf '%s: error: %s\n' "${program:-sluice}" "$*" >&2
  exit 1
}
