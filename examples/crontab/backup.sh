#!/bin/sh
# Stands for a backup: it gets {"what":"PATH"} on standard input, and what it prints is the result of the job.
set -eu
what=$(sed -n 's/.*"what": *"\([^"]*\)".*/\1/p')
printf '%s files of %s are safe\n' "$(find "$what" -type f | wc -l | tr -d ' ')" "$what"
