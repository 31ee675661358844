#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A page a week on what a cache has saved, and a line for the chat. From cron:
#   0 6 * * 1  weekly-report.sh /srv/cache /srv/www/reports
#
#   weekly-report.sh [PATH [DIRECTORY]]
#
# PATH is any path in a mount (the current directory), DIRECTORY where pages are kept.
set -eu

path=${1:-.} page=${2:-.}/memofs-$(date +%G-W%V).html

memofs report -o "$page" "$path"
# The second line of stats: time saved, which stands first.
printf 'Cache: %s\n%s\n' "$(memofs stats "$path" | sed -n '2{s/^ *//;s/  */ /g;p;}')" "$page"
