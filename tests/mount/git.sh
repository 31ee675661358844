#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A repository that lives in the mount.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null

# The project's sources, committed in a few steps, outside the mount.
origin() {
	rm -rf "$T/origin"
	git init -q -b main "$T/origin"
	(
		cd "$T/origin"
		for part in store fs cli tests; do
			cp -r "$MEMOFS_SOURCE/$part" .
			git add -A
			git commit -q -m "add $part"
		done
		# git knows no empty directories.
		find . -type d -empty -delete
		ln -s store/store.h link
		chmod +x store/store.h
		git add -A
		git commit -q -m 'add a link'
		git tag v1
	)
}

check() {
	is "$(git -C "$1" status --porcelain)" '' 'git status'
	git -C "$1" fsck --full --strict --no-progress
	diff -r --no-dereference --exclude=.git "$T/origin" "$1"
}

test_clone() {
	needs git
	origin
	git clone -q --no-local "$T/origin" repo
	check repo
	is "$(git -C repo rev-list --count HEAD)" 5 commits
	# With files copied, hard links being refused, and with the packs as they are.
	git clone -q "$T/origin" local
	check local
	git clone -q "file://$T/origin" packed
	check packed
	# Out of the mount again.
	git clone -q --no-local repo "$T/back"
	check "$T/back"
	rm -rf "$T/back"
}

test_work() {
	needs git
	origin
	git clone -q --no-local "$T/origin" repo
	cd repo
	echo change >>store/store.h
	is "$(git status --porcelain)" ' M store/store.h'
	git commit -q -a -m change
	is "$(git status --porcelain)" ''
	git checkout -q -b branch HEAD~1
	echo other >new
	git add new
	git commit -q -m new
	git merge -q --no-edit main
	git rebase -q main
	grep -q change store/store.h
	git stash list
	git rm -q -r cli
	git commit -q -m 'remove cli'
	[ ! -e cli ] || fail 'cli is still there'
	git checkout -q main
	[ -e cli ] || fail 'cli did not come back'
	git repack -q -a -d
	git gc -q --prune=now
	git fsck --full --strict --no-progress
	is "$(git status --porcelain)" ''
}

test_init_push_worktree() {
	needs git
	origin
	git init -q -b main --bare bare.git
	git -C "$T/origin" push -q "$PWD/bare.git" main v1
	git -C bare.git fsck --full --strict --no-progress
	is "$(git -C bare.git rev-parse main)" "$(git -C "$T/origin" rev-parse main)"
	git -C bare.git worktree add -q ../tree main
	check tree
}

run_tests "$@"
