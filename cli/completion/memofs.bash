# SPDX-License-Identifier: Apache-2.0
# Completion of memofs for bash. Words come from the tables below; mount points
# from /proc/self/mountinfo, so that a mount that does not answer is no obstacle.
# shellcheck shell=bash

# The options that make a key, of run, key and explain.
_memofs_key_options() {
	echo '--name --input --input-hash --param --env --output --ignore --version' \
		'--version-from --strip-comments --salt --stdin --key --validate --validate-on'
}

# The options of a command, as `memofs COMMAND --help` lists them.
_memofs_options() {
	case $1 in
	mount) echo '--foreground --debug --read-only --attach --option --config --log' ;;
	umount) echo '--lazy --timeout' ;;
	upgrade) echo '--binary --quiet' ;;
	status | stats | stat | 'ns list') echo '--json' ;;
	top) echo '--interval --once' ;;
	report) echo '--output' ;;
	check) echo '--repair --fast --database --quiet' ;;
	backup) echo '--quiet' ;;
	restore-backup) echo '--copy --quiet' ;;
	get) echo '--output --wait' ;;
	put) echo '--input --ttl --mode --parents --fsync' ;;
	ls) echo '--all --recursive --directory --sort --reverse --bytes --json --null' ;;
	rm) echo '--recursive --force' ;;
	reserve) echo '--owner --lease --wait --unless-hit --exec --kill-on-loss --quiet' ;;
	extend) echo '--owner --lease' ;;
	release) echo '--owner --verbose' ;;
	restore) echo '--directory --exact --link --force --list --mtime --max-age --since --stale --wait --cache --quiet' ;;
	save)
		echo '--directory --ttl --cost --force --if-missing --allow-empty --skip-special' \
			'--fsync --cache --quiet --json'
		;;
	run)
		_memofs_key_options
		echo '--ttl --max-age --since --overwrite --cache-exit --wait --no-wait' \
			'--on-leader-failure --stale-while-refresh --mtime --cache --dry-run' \
			'--strict --status-file --status-fd --quiet --verbose'
		;;
	key)
		_memofs_key_options
		echo '--id --path --json'
		;;
	explain)
		_memofs_key_options
		echo '--max-age --since --cache-exit --cache --json'
		;;
	cache) echo '--cache --no-start' ;;
	clear) echo '--older-than --match --version --dry-run --yes --quiet --cache' ;;
	gc) echo '--quiet' ;;
	export) echo '--output --current --quiet' ;;
	import) echo '--input --keep --numeric-owner --quiet' ;;
	wait) echo '--timeout' ;;
	reservations) echo '--recursive --json' ;;
	'ns create') echo '--ttl --version --mode --lease --wait --publish --mountpoint' ;;
	'ns set') echo '--mountpoint' ;;
	esac
	echo '--help'
}

_memofs_mountpoints() {
	awk '{ for (i = 7; $i != "-"; i++); if ($(i + 1) == "fuse.memofs") print $5 }' \
		/proc/self/mountinfo 2>/dev/null |
		while IFS= read -r point; do printf '%b\n' "${point//\\/\\0}"; done
}

# Lines on stdin that begin with $1 become COMPREPLY, quoted where needed.
_memofs_reply() {
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		[[ $line != "$1"* ]] || COMPREPLY+=("$(printf '%q' "$line")")
	done
}

_memofs_paths() { # [compgen's action] WORD
	local IFS=$'\n'
	compopt -o filenames
	mapfile -t COMPREPLY < <(compgen "${1:--f}" -- "$2")
}

# What may follow an option that takes an argument. False: nothing special.
_memofs_argument() { # COMMAND OPTION WORD
	case $1:$2 in
	ls:--sort | ls:-s) _memofs_reply "$3" < <(printf '%s\n' name size age expires hits) ;;
	*:--mountpoint | *:-M) _memofs_reply "$3" < <(_memofs_mountpoints) ;;
	mount:--config | mount:--log | get:--output | get:-o | report:--output | report:-o | export:--output | export:-o | import:--input | import:-i | put:--input | put:-i)
		_memofs_paths -f "$3"
		;;
	'ns create:--publish' | 'ns create:-p')
		_memofs_reply "$3" < <(printf '%s\n' inherit on-success always)
		;;
	run:--on-leader-failure) _memofs_reply "$3" < <(printf '%s\n' takeover share) ;;
	run:--cache-exit | explain:--cache-exit) _memofs_reply "$3" < <(printf '%s\n' any) ;;
	run:--status-file) _memofs_paths -f "$3" ;;
	run:--mtime | run:-m) _memofs_reply "$3" < <(printf '%s\n' keep now) ;;
	run:--cache | run:-c | explain:--cache | explain:-c) _memofs_paths -d "$3" ;;
	run:--validate | key:--validate | explain:--validate)
		_memofs_reply "$3" < <(printf '%s\n' default duration_only all_inputs \
			all_parameters partial_inputs_only partial_parameters_only never_use all_parts)
		;;
	run:--version-from | key:--version-from | explain:--version-from)
		_memofs_reply "$3" < <(printf '%s\n' file: exe command: git: env:)
		;;
	restore:--mtime) _memofs_reply "$3" < <(printf '%s\n' keep now) ;;
	restore:--directory | restore:-C | restore:--cache | cache:--cache | clear:--cache | save:--directory | save:-C | save:--cache) _memofs_paths -d "$3" ;;
	get:--wait | restore:--wait) return 1 ;; # only --wait=DURATION has one
	top:--interval | top:-i)
		_memofs_reply "$3" < <(printf '%s\n' 1s 5s 1m)
		;;
	clear:--older-than | *:--ttl | *:-t | *:--timeout | *:--wait | *:-w | *:--lease | *:-l | restore:--max-age | restore:-a | run:--max-age | run:-a | explain:--max-age | explain:-a)
		_memofs_reply "$3" < <(printf '%s\n' none 90s 1h 7d)
		;;
	*:--mode | 'ns create:--version' | put:-m | 'ns create:-'[mv] | mount:-o | mount:--option | \
		*:--owner | reserve:-o | extend:-o | release:-o | save:--cost)
		COMPREPLY=()
		;;
	*) return 1 ;;
	esac
	return 0
}

_memofs_operand() { # COMMAND WORD
	case $1 in
	mount) _memofs_paths -d "$2" ;;
	umount | upgrade | 'ns list') _memofs_reply "$2" < <(_memofs_mountpoints) ;;
	help) _memofs_reply "$2" < <(printf '%s\n' "${commands[@]}") ;;
	'ns set') _memofs_reply "$2" < <(printf '%s\n' ttl= version= mode= lease= wait= publish= quota= max-entry= pin=) ;;
	reservations | clear | gc | import) _memofs_paths -d "$2" ;;
	version | cache) COMPREPLY=() ;;
	*) _memofs_paths -f "$2" ;;
	esac
}

_memofs() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local commands=(mount umount status stats top report check backup restore-backup get put ls stat rm ns
		reserve extend release wait reservations restore run save key explain
		pin unpin gc upgrade export import
		cache clear help version)
	local command=${COMP_WORDS[1]} first=2
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		_memofs_reply "$word" < <(printf '%s\n' "${commands[@]}" --help --version)
		return
	fi
	if [ "$command" = ns ]; then
		if [ "$COMP_CWORD" -eq 2 ]; then
			_memofs_reply "$word" < <(printf '%s\n' list create set --help)
			return
		fi
		command="ns ${COMP_WORDS[2]}" first=3
	fi
	if [[ $word == -* ]]; then
		_memofs_reply "$word" < <(_memofs_options "$command" | tr ' ' '\n')
	elif [ "$COMP_CWORD" -gt "$first" ] && _memofs_argument "$command" "$before" "$word"; then
		return
	elif [ "$command" = 'ns set' ] && [ "$COMP_CWORD" -gt 3 ]; then
		compopt -o nospace
		_memofs_operand "$command" "$word"
	elif [[ $command == 'ns '[cs]* ]]; then
		_memofs_paths -d "$word"
	else
		_memofs_operand "$command" "$word"
	fi
}

complete -F _memofs memofs
