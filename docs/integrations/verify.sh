#!/bin/sh
# Creates a release from built artifacts, verifies it, and ends with assay's own exit code:
# 0 allow, 1 deny, 2 usage, 3 input refused, 4 pending, 5 trust broken, 10 the environment failed.
#
# usage: verify.sh RELEASE [ROLE=]PATH...
#
# Environment, all optional:
#   ASSAY            the program (default: assay)
#   ASSAY_BASELINE   an earlier release, whose runs are tried first for carry-over
#   ASSAY_POLICY     a policy file (default: the built-in policy)
#   ASSAY_JUNIT      where the JUnit report goes (default: assay-junit.xml)
#   ASSAY_SARIF      where the SARIF report goes (default: assay.sarif)
# assay itself reads ASSAY_DATA, ASSAY_SERVER and its other variables.
set -u

if [ "$#" -lt 2 ]; then
    echo "usage: verify.sh RELEASE [ROLE=]PATH..." >&2
    exit 2
fi

assay=${ASSAY:-assay}
release=$1
shift

# Turns the artifacts into `--artifact A --artifact B ...` in place; no path is split on spaces.
left=$#
while [ "$left" -gt 0 ]; do
    artifact=$1
    shift
    set -- "$@" --artifact "$artifact"
    left=$((left - 1))
done

"$assay" release create "$release" "$@" >&2
code=$?
[ "$code" -eq 0 ] || exit "$code"

set -- --junit "${ASSAY_JUNIT:-assay-junit.xml}" --sarif "${ASSAY_SARIF:-assay.sarif}"
[ -n "${ASSAY_BASELINE:-}" ] && set -- --baseline "$ASSAY_BASELINE" "$@"
[ -n "${ASSAY_POLICY:-}" ] && set -- --policy "$ASSAY_POLICY" "$@"

"$assay" verify "$release" "$@"
exit $?
