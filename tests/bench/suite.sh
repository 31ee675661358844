#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark suite: memofs beside the file system of the disk, tmpfs, libfuse's
# passthrough example, mergerfs, bindfs, a Redis server over its unix socket, and ccache,
# in one run, in rounds that take turns; the targets, and whether they are met.
#
#   suite.sh [--quick|--tiny] [--only ROW,…] [--beside NAME,…] [--rounds N]
#            [--csv FILE] [--plot FILE.svg] [--markdown FILE]
#   suite.sh --rows            what rows there are, and stop
#
#   --only    rows by name, or all below one: `hit`, `read/cold`, `create` (/1, /4, /16)
#   --beside  these alone, of disk, tmpfs, passthrough, mergerfs, bindfs, redis, ccache
#   --quick   smaller, three rounds: some ten minutes
#   --tiny    shows that it works, in seconds; nothing is dropped from any cache
#   --markdown  the medians and targets, for docs/profiles.md
#   --rounds  of which the median is printed; 5 by default. One more comes before them,
#             to warm up, where that is cheap
#
# What is not installed is left out, and said. Cold rows and tmpfs need root: what is cold
# was dropped from the kernel's caches, and the daemon of memofs is a new one. A value is
# always closed; it is fsynced where the row says so. Interrupted, it prints what it has.
# Exits with 1 when something that was to be measured failed, never for a missed target.
#
# Environment: MEMOFS_BUILD (default: build), TMPDIR: the disk to measure.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd)

usage() {
	sed -n '7s/^# */usage: /p; 8,9s/^# */       /p' "$0" >&2
	exit 2
}

# --- what is asked for ----------------------------------------------------------------

# Entries of the growing stores; `ls -l` is of the middle one, `ls -f` of the last. The
# first round is `warm`: with -1, one more than is kept.
drop=1
sizes_full() {
	points=(1000 100000 1000000) rounds=5 operations=4000 small=1000 hits=20000
	publishes=2000 synced=50 mib=1024 waits=20 runs=20 probes=1000 warm=-1
}
sizes_quick() {
	points=(1000 10000 50000) rounds=3 operations=800 small=500 hits=5000
	publishes=300 synced=10 mib=64 waits=5 runs=5 probes=500 warm=-1
}
sizes_tiny() {
	points=(20 40 80) rounds=1 operations=32 small=20 hits=64
	publishes=5 synced=2 mib=1 waits=1 runs=1 probes=10 warm=0 drop=''
}
threads=(1 4 16)
clients=(1 4 16 64)

parse() {
	local size=full asked=''
	only=() beside=() csv='' plot='' markdown='' list_rows=''
	while [ $# -gt 0 ]; do
		case $1 in
		--quick | --tiny) size=${1#--} ;;
		--rows) list_rows=1 ;;
		--only | --beside | --rounds | --csv | --plot | --markdown)
			[ $# -gt 1 ] || usage
			case $1 in
			--only) IFS=, read -ra only <<<"$2" ;;
			--beside) IFS=, read -ra beside <<<"$2" ;;
			--rounds) asked=$2 ;;
			--csv) csv=$(realpath -m "$2") ;;
			--plot) plot=$(realpath -m "$2") ;;
			--markdown) markdown=$(realpath -m "$2") ;;
			esac
			shift
			;;
		*) usage ;;
		esac
		shift
	done
	"sizes_$size"
	rounds=${asked:-$rounds}
	[[ $rounds =~ ^[1-9][0-9]*$ ]] || usage
}

report() {
	python3 "$here/suite_report.py" --points "$(IFS=, && echo "${points[*]}")" \
		--disk "${disk:-ext4}" "$@"
}

# Without a list of rows, all are; with one, those below what it names.
wanted() { # ROW...
	local row name
	[ ${#only[@]} -gt 0 ] || return 0
	for row; do
		for name in "${only[@]}"; do
			[[ $row != "$name" && $row != "$name"/* ]] || return 0
		done
	done
	return 1
}

check_only() {
	local name rows
	rows=$(report --rows)
	for name in "${only[@]}"; do
		grep -q -E "^$name(/| |\$)" <<<"$rows" || {
			say "--only: there is no row $name; suite.sh --rows lists them"
			exit 2
		}
	done
}

names_beside=(disk tmpfs passthrough mergerfs bindfs redis ccache)

check_beside() {
	local name
	for name in "${beside[@]}"; do
		[[ " ${names_beside[*]} " == *" $name "* ]] || {
			say "--beside: there is no $name; there are ${names_beside[*]}"
			exit 2
		}
	done
}

# --- who is there ---------------------------------------------------------------------

# By target: its directory or socket, and the process that serves it.
declare -A base server

left_out() { say "left out: $1"; }

asked_for() { # TARGET
	[ ${#beside[@]} -eq 0 ] || [[ " ${beside[*]} " == *" $1 "* ]]
}

has() { # TARGET PROGRAM PACKAGE
	asked_for "$1" || return 1
	command -v "$2" >/dev/null && return
	left_out "$1: $2 is not installed (apt install $3)"
	return 1
}

start_fuse() { # TARGET COMMAND...: mounts the disk's own directory
	mkdir "$work/$1"
	start "$work/$1" "${@:2}" "$work/$1" || return 0
	base[$1]=$work/$1 server[$1]=${started[-1]}
}

# The example has each file open that the kernel knows, and only who may raise the limit
# can have it do so for any number: `ls -l` is then of no more than that.
fit_open_files() {
	local most
	ulimit -n "$(cat /proc/sys/fs/nr_open)" 2>/dev/null || ulimit -n "$(ulimit -H -n)"
	most=$(ulimit -n)
	[ "$most" != unlimited ] && [ "$most" -lt $((points[1] + 1000)) ] || return 0
	[ "$most" -ge $((points[0] + 3000)) ] || return 0
	points[1]=$(((most - 2000) / 1000 * 1000))
	say "ls -l is of ${points[1]} entries: the passthrough example has each of them open, and $most files may be"
}

start_passthrough() {
	local example
	asked_for passthrough || return 0
	if example=$(passthrough_example); then
		fit_open_files
		start_fuse passthrough "$example" -f -o "source=$work/disk"
		start_fuse cached "$example" -f -o "source=$work/disk,cache=always"
	else
		left_out "passthrough: libfuse's example cannot be had (apt install libfuse3-dev)"
	fi
}

# It raises its priority by itself, and would run before all others; not every version
# has an option against it.
start_mergerfs() {
	local thread
	has mergerfs mergerfs mergerfs || return 0
	start_fuse mergerfs mergerfs -f "$work/disk"
	[ -n "${base[mergerfs]:-}" ] || return 0
	for thread in /proc/"${server[mergerfs]}"/task/*; do
		renice -n 0 -p "${thread##*/}" >/dev/null || :
	done
}

start_redis() {
	has redis redis-server redis-server || return 0
	start "$work/redis.sock" redis-server --port 0 --unixsocket "$work/redis.sock" \
		--save '' --appendonly no --dir "$work" || return 0
	base[redis]=$work/redis.sock server[redis]=${started[-1]}
}

start_others() {
	mkdir "$work/disk"
	! asked_for disk || base[disk]=$work/disk
	disk=$(findmnt -n -o FSTYPE -T "$work/disk")
	if [ -z "$root" ]; then
		left_out 'tmpfs, and all that is cold: needs root'
	elif asked_for tmpfs; then
		mkdir "$work/tmpfs"
		mount -t tmpfs tmpfs "$work/tmpfs"
		base[tmpfs]=$work/tmpfs
	fi
	start_passthrough
	start_mergerfs
	! has bindfs bindfs bindfs || start_fuse bindfs bindfs -f "$work/disk"
	start_redis
	ccache=''
	! has ccache ccache ccache || ccache=1
}

# --- memofs: a store for each number of entries, and one for all else --------------------

# memofs and fast are mounted as MOUNT-STORE, of which fast has a copy of its own.
mount_one() { # memofs|fast STORE
	local options=()
	[ "$1" = memofs ] || options=(--read-only)
	mount_memofs "$work/stores/$1-$2" "$work/$1-$2" "${options[@]}"
}

has_fast() {
	# Not in a pipe: grep would end it early.
	[[ $("$memofs" mount --help) == *--read-only* ]]
}

copy_for_fast() { # STORE: nobody has it open
	! has_fast || cp -a --reflink=auto "$work/stores/memofs-$1" "$work/stores/fast-$1"
}

fill_stores() {
	local n
	mkdir "$work/stores"
	for n in "${points[@]}"; do
		wants_names "$n" || continue
		"$build/tests/bench/fill" "$work/stores/memofs-$n" "$n"
		copy_for_fast "$n"
		mount_one memofs "$n"
		! has_fast || mount_one fast "$n"
	done
}

# Do the rows that are asked for need so many names?
wants_names() { # N
	wanted "lookup/$1" "entry/$1" "publish-in/$1" && return
	[ "$1" != "${points[1]}" ] || ! wanted ls-l/cold ls-l/again || return 0
	[ "$1" = "${points[2]}" ] && wanted ls-f/cold ls-f/again "memory/$1"
}

names_of() { # TARGET N
	case $1 in
	memofs | fast) echo "$work/$1-$2/names" ;;
	*) echo "${base[$1]}/names-$2" ;;
	esac
}

# Is what lies in this directory anybody's to be measured?
is_shown() { # disk|tmpfs
	local target
	[ -z "${base[$1]:-}" ] || return 0
	[ "$1" = disk ] || return 1
	for target in passthrough mergerfs bindfs; do
		[ -z "${base[$target]:-}" ] || return 0
	done
	return 1
}

# The same names for the others, who all but tmpfs show the disk's directory.
fill_others() {
	local target n
	for target in disk tmpfs; do
		is_shown "$target" || continue
		for n in "${points[@]}"; do
			wants_names "$n" || continue
			mkdir "$work/$target/names-$n"
			"$measure" prepare --count 1 --of "$n" --bytes 200 "$work/$target/names-$n"
		done
		prepare_in "$work/$target"
	done
	[ -z "${base[redis]:-}" ] || "$measure" prepare --of "$small" "${base[redis]}"
}

prepare_in() { # DIRECTORY
	mkdir "$1/small"
	"$measure" prepare --of "$small" --count "$small" "$1/small"
	! wanted read/cold read/hot || "$measure" prepare-large --bytes $((mib << 20)) "$1"
}

prepare_memofs() {
	mount_one memofs main
	mkdir "$work/memofs-main/bench"
	prepare_in "$work/memofs-main/bench"
	if has_fast; then
		unmount "$work/memofs-main"
		copy_for_fast main
		mount_one memofs main
		mount_one fast main
		base[fast]=$work/fast-main/bench
	else
		left_out 'fast: this memofs mount has no --read-only'
	fi
	base[memofs]=$work/memofs-main/bench
}

# --- one measurement --------------------------------------------------------------------

status_of() { # MOUNTPOINT KEY
	awk -v key="$2:" '$1 == key { print $2 }' "$1/.memofs/status"
}

# The processes that serve a target: for memofs, its daemon and who holds the mount.
servers() { # TARGET STORE
	local pid
	case $1 in
	memofs | fast)
		status_of "$work/$1-$2" pid
		pid=$(status_of "$work/$1-$2" holder)
		[ "${pid:-0}" = 0 ] || echo "$pid"
		;;
	*) echo "${server[$1]:-}" ;;
	esac
}

# What was measured goes to $work/raw, a line each: row, target, round, seconds,
# operations, processor seconds. Rounds to warm up are not kept.
note() { # ROW TARGET ROUND SECONDS OPERATIONS PROCESSOR
	[ "$3" -ge 0 ] && wanted "$1" || return 0
	(IFS=$'\t' && echo "$*") >>"$work/raw"
}

bind_to() { # CPUS PID: all of its threads
	taskset -apc "$1" "$2" >/dev/null 2>&1 || : # it may have ended one meanwhile
}

# Runs measure, and takes from what it prints what is named. `bound`: on one CPU, with
# the servers.
take() { # TARGET STORE ROUND NAME=ROW... -- WORK [ARGUMENT...] PLACE
	local target=$1 store=$2 round=$3 pids pid status=0 row name seconds ops cpu
	local -A rows=()
	local args=()
	shift 3
	for (( ; $# > 0; )); do
		[ "$1" != -- ] || { shift && break; }
		rows[${1%%=*}]=${1#*=}
		shift
	done
	wanted "${rows[@]}" || return 0
	pids=$(servers "$target" "$store")
	for pid in $pids; do
		args+=(--server "$pid")
		[ -z "${bound:-}" ] || bind_to "$one_cpu" "$pid"
	done
	timeout 900 ${bound:+taskset -c "$one_cpu"} "$measure" "${@:1:$#-1}" "${args[@]}" \
		"${@: -1}" >"$work/out" 2>"$work/err" || status=$?
	[ -z "${bound:-}" ] || for pid in $pids; do bind_to "$all_cpus" "$pid"; done
	# 77: this one has no such thing.
	[ "$status" -ne 77 ] || return 0
	if [ "$status" -ne 0 ]; then
		say "failed: $1 of $target, ${rows[*]} ($status): $(head -n 1 "$work/err")"
		failures=$((failures + 1))
		return
	fi
	while read -r name seconds ops cpu; do
		row=${rows[$name]:-}
		[ -z "$row" ] || note "$row" "$target" "$round" "$seconds" "$ops" "$cpu"
	done <"$work/out"
}

# Nothing is known any more: not to the kernel, nor to a daemon.
make_cold() { # TARGET STORE
	[ "$drop" ] || return 0
	case $1 in
	memofs | fast)
		unmount "$work/$1-$2"
		mount_one "$1" "$2"
		;;
	esac
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# A new daemon counts its entries from ten seconds after its start on, with a tenth of a
# processor and all their rows to read: in the time of another one, if it may.
leave_cold() { # TARGET STORE
	[ "$drop" ] || return 0
	case $1 in
	memofs | fast) unmount "$work/$1-$2" ;;
	esac
}

# Names and inodes alone.
forget_names() {
	[ -z "$root" ] || [ -z "$drop" ] || echo 2 >/proc/sys/vm/drop_caches
}

can_be_cold() { # TARGET
	[ "$root" ] && [ "$1" != tmpfs ] && [ "$1" != redis ]
}

# Every target once a round, each round another one first.
rounds_of() { # FIRST_ROUND GROUP TARGET...
	local first=$1 group=$2 round i targets=() target
	shift 2
	for target; do [ -z "${base[$target]:-}" ] || targets+=("$target"); done
	for ((round = first; round < rounds; round++)); do
		for ((i = 0; i < ${#targets[@]}; i++)); do
			target=${targets[(i + round + 1) % ${#targets[@]}]}
			[ ! -t 2 ] || printf '\r\033[K%s, round %d, %s' "$group" $((round + 1)) \
				"$target" >&2
			"group_$group" "$target" "$round"
		done
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

# --- groups of rows -----------------------------------------------------------------------

group_meta() { # TARGET ROUND
	local n
	for n in "${threads[@]}"; do
		take "$1" main "$2" "create=create/$n" "stat=stat/$n" "open=open/$n" \
			"rename=rename/$n" "unlink=unlink/$n" -- \
			meta --threads "$n" --count $((operations / n)) "${base[$1]}"
	done
}

group_small() {
	local dir=${base[$1]}/small many=$hits
	# What needs no request would be over before much of it was seen.
	case $1 in fast | disk | tmpfs) many=$((hits * 10)) ;; esac
	if [ "$1" = redis ]; then
		take redis main "$2" again=hit -- hit --count "$hits" --of "$small" "${base[redis]}"
		return
	fi
	if can_be_cold "$1" && wanted hit/cold; then
		make_cold "$1" main
		take "$1" main "$2" first=hit/cold -- hit --count "$small" --of "$small" "$dir"
	fi
	take "$1" main "$2" again=hit/hot -- hit --count "$many" --of "$small" "$dir"
	take "$1" main "$2" absent=absent -- absent --count "$hits" "$dir"
	take "$1" main "$2" attr=attr -- attr --count "$hits" --of "$small" "$dir"
}

group_publish() {
	take "$1" main "$2" publish=publish -- publish --count "$publishes" "${base[$1]}"
	take "$1" main "$2" fsync=fsync/8 -- fsync --processes 8 --count "$synced" "${base[$1]}"
	sync
}

group_large() {
	local bytes=$((mib << 20))
	if [ "$1" != fast ]; then
		take "$1" main "$2" write=write/plain -- write --bytes $bytes "${base[$1]}"
		take "$1" main "$2" write=write/fsync -- write-fsync --bytes $bytes "${base[$1]}"
	fi
	wanted read/cold read/hot || return 0
	if can_be_cold "$1"; then
		make_cold "$1" main
		take "$1" main "$2" first=read/cold again=read/hot -- read --bytes $bytes "${base[$1]}"
	else
		take "$1" main "$2" again=read/hot -- read --bytes $bytes "${base[$1]}"
	fi
}

list_rows() { # TARGET ROUND WORK ROW STORE
	local first=none
	wanted "$4/cold" "$4/again" || return 0
	if can_be_cold "$1"; then
		make_cold "$1" "$5"
		first=$4/cold
	fi
	take "$1" "$5" "$2" "first=$first" "again=$4/again" -- "$3" --of "$5" "$(names_of "$1" "$5")"
	[ "$first" = none ] || leave_cold "$1" "$5"
}

group_list() {
	list_rows "$1" "$2" list ls-f "${points[2]}"
	list_rows "$1" "$2" list-stat ls-l "${points[1]}"
}

group_wait() {
	take "$1" main "$2" wait=wait -- wait --count "$waits" "${base[$1]}"
}

group_clients() {
	local n place=${base[$1]}
	[ "$1" = redis ] || place=$place/small
	for n in "${clients[@]}"; do
		take "$1" main "$2" "again=clients/$n" -- \
			hit --processes "$n" --count $((2 * hits / n)) --of "$small" "$place"
	done
}

# A name that the kernel does not know, a hot one, and a new one. What the daemon knows
# of them is left to it. As many different names of each store, so that no more of the
# small one's are hot than of the large one's.
# Client and server on one CPU: where the scheduler puts them makes more of a difference
# than a thousand times as many entries (docs/profiles.md).
group_growth() {
	local n names bound=1
	for n in "${points[@]}"; do
		wants_names "$n" || continue
		names=$(names_of "$1" "$n")
		! wanted "lookup/$n" || forget_names
		take "$1" "$n" "$2" "first=lookup/$n" -- stat --count "$probes" --of "$n" "$names"
		take "$1" "$n" "$2" "again=entry/$n" -- \
			hit --count "$probes" --bytes 200 --of "$n" "$names"
		[ "$1" = fast ] || take "$1" "$n" "$2" "publish=publish-in/$n" -- \
			publish --count "$probes" --bytes 200 "$names"
	done
}

# The most that the processes of a mount have taken, in MiB.
note_memory() { # ROW TARGET ROUND STORE
	local pid kib=0
	for pid in $(servers "$2" "$4"); do
		kib=$((kib + $(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status")))
	done
	note "$1" "$2" "$3" "$(awk "BEGIN { print $kib / 1024 }")" 1 0
}

# Of a mount that nobody has used, and of one that was listed, read and written.
group_memory() {
	local n=${points[2]} names
	if [ "$1" = memofs ] && wanted memory/idle; then
		mount_one memofs idle
		note_memory memory/idle "$1" "$2" idle
		unmount "$work/memofs-idle"
	fi
	wanted "memory/$n" || return 0
	unmount "$work/$1-$n"
	mount_one "$1" "$n"
	names=$(names_of "$1" "$n")
	"$measure" list --of "$n" "$names" >"$work/out"
	"$measure" hit --count $((hits < n ? hits : n)) --bytes 200 --of "$n" "$names" >"$work/out"
	[ "$1" = fast ] || "$measure" publish --count "$probes" --bytes 200 "$names" >"$work/out"
	note_memory "memory/$n" "$1" "$2" "$n"
}

# The commands' own turns are those of spawn; what it prints is a median.
group_run() {
	local commands name median
	cd "$work/run" || return
	commands=(bare cat lines
		--- hit memofs run --quiet -- cat lines
		--- miss memofs run --quiet --overwrite -- cat lines
		--- compile memofs run --quiet --input answer.c --output answer.o -- cc -O2 -c -o answer.o answer.c)
	if [ "$ccache" ]; then
		commands+=(--- ccache ccache cc -O2 -c -o answer.o answer.c)
	fi
	"$build/tests/bench/spawn" --csv --rounds "$runs" "${commands[@]}" >"$work/out"
	while IFS=, read -r name _ median _; do
		median=$(awk "BEGIN { print $median / 1000 }" 2>/dev/null) || continue
		case $name in
		bare) note run/hit bare "$2" "$median" 1 0 && note run/miss bare "$2" "$median" 1 0 ;;
		hit) note run/hit memofs "$2" "$median" 1 0 ;;
		miss) note run/miss memofs "$2" "$median" 1 0 ;;
		compile) note run/compile memofs "$2" "$median" 1 0 ;;
		ccache) note run/compile ccache "$2" "$median" 1 0 ;;
		esac
	done < <(tail -n +2 "$work/out")
	cd /
}

prepare_run() {
	mkdir "$work/run" "$work/xdg" "$work/memofs-main/run"
	seq 20 >"$work/run/lines"
	echo 'int main(void) { return 42; }' >"$work/run/answer.c"
	export XDG_CACHE_HOME=$work/xdg CCACHE_DIR=$work/ccache PATH=$build:$PATH \
		MEMOFS_CACHE=$work/memofs-main/run
	if [ "$ccache" ]; then
		(cd "$work/run" && ccache cc -O2 -c -o answer.o answer.c)
	fi
}

run_all() {
	local writable=(memofs disk tmpfs passthrough cached mergerfs bindfs)
	local all=(memofs fast "${writable[@]:1}")
	! wanted memory || rounds_of 0 memory memofs fast
	rounds_of "$warm" meta "${writable[@]}"
	rounds_of "$warm" small "${all[@]}" redis
	rounds_of "$warm" publish "${writable[@]}"
	rounds_of "$warm" clients "${all[@]}" redis
	rounds_of "$warm" growth memofs fast disk
	rounds_of "$warm" wait memofs disk redis
	if wanted run/hit run/miss run/compile; then
		prepare_run
		rounds_of 0 run memofs
	fi
	rounds_of 0 list "${all[@]}"
	rounds_of 0 large "${all[@]}"
}

describe_machine() {
	echo "$(uname -srm), $(nproc) processors, $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(awk '/^MemTotal/ { printf "%.1f", $2 / 1048576 }' /proc/meminfo) GiB of memory, $disk on the disk"
	build_type
	echo "$(date -u +%F), load $(cut -d' ' -f1-3 /proc/loadavg) before, "
}

tell() {
	{
		head -c -1 "$work/machine"
		echo "$(cut -d' ' -f1-3 /proc/loadavg) after"
	} >"$work/machine.whole"
	report --raw "$work/raw" --machine "$work/machine.whole" \
		${only[0]+--only "$(IFS=, && echo "${only[*]}")"} \
		${csv:+--csv "$csv"} ${plot:+--plot "$plot"} \
		${markdown:+--markdown "$markdown"}
}

parse "$@"
if [ "$list_rows" ]; then
	report --rows
	exit
fi
check_only
check_beside
begin suite
# Who interrupts it wants to see what there is; `finish` comes after that.
trap 'say interrupted; [ ! -s "$work/raw" ] || tell; exit 130' INT TERM
measure=$build/tests/bench/measure
all_cpus=$(taskset -pc $$ | sed 's/.*: //')
one_cpu=${all_cpus##*[,-]}
root=''
[ "$(id -u)" -ne 0 ] || root=1
failures=0
: >"$work/raw"
start_others
describe_machine >"$work/machine"
fill_stores
fill_others
prepare_memofs
run_all
tell
[ "$failures" -eq 0 ]
