#!/bin/sh
# Counts the words of its input, a JSON string as in "one two three".
set -eu
words=$(tr -cs '[:alnum:]' '\n' | grep -c . || :)
printf '{"words": %s}\n' "$words"
