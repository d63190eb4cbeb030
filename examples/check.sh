#!/bin/sh
# Runs the example ($1) on a request and looks for what must come out.
set -eu
echo '[==========] Running 1 test(s).'
printf '%s' '{"messages":[{"role":"user","content":"Hi"}]}' | "$1" |
    grep -q '"model":"claude-haiku-5-5".*"text":"Hi"'
echo '[  PASSED  ] 1 test(s).'
