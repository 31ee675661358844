#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proof that layers.sh fails when a layer is crossed: a small tree that keeps the
# rules passes, and each way of breaking one is found, by file and line.
#
# usage: tests/layers_proof.sh SOURCE_ROOT
set -eu

layers=${1:?usage: layers_proof.sh SOURCE_ROOT}/tests/layers.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The rules kept, in every way they can be.
make_tree() {
	rm -rf "$tmp/tree"
	mkdir -p "$tmp/tree/cli" "$tmp/tree/fs" "$tmp/tree/store/util"
	cd "$tmp/tree"
	printf '#include <stdio.h>\n#include "cli/table.h"\n#include "store/util/buf.h"\n' >cli/main.c
	printf '#include <fuse3/fuse.h>\n#include "fs/fs.h"\n#include "store/store.h"\n#include "store/lease.h"\n' >fs/main.c
	printf '#include <linux/fuse.h>\n#include "store/util/log.h"\n' >fs/notify.c
	printf '#include "store/backend.h"\n#include "store/util/buf.h"\n' >store/name.c
	printf '#include <rocksdb/c.h>\n#include "store/backend.h"\n' >store/backend_rocksdb.c
	printf '#include <stdlib.h>\n#include "store/util/buf.h"\n' >store/util/buf.c
	cd "$OLDPWD"
}

# FILE gets LINE as its third or later line; layers.sh must name it there.
must_refuse() {
	make_tree
	printf '\n\n\n%s\n' "$2" >>"$tmp/tree/$1"
	line=$(wc -l <"$tmp/tree/$1")
	if "$layers" "$tmp/tree" >"$tmp/out" 2>&1; then
		echo "layers.sh let this pass in $1: $2" >&2
		exit 1
	fi
	if ! grep -q "^$1:$line: " "$tmp/out"; then
		echo "layers.sh did not name $1:$line for: $2" >&2
		cat "$tmp/out" >&2
		exit 1
	fi
}

# An object of FOLDER which calls SYMBOL, without any header.
must_refuse_call() {
	make_tree
	mkdir -p "$tmp/build/$1/x.p"
	printf 'int %s(void);\nint f(void);\nint f(void) { return %s(); }\n' "$2" "$2" |
		${CC:-cc} -x c -c -o "$tmp/build/$1/x.p/x.c.o" -
	if "$layers" "$tmp/tree" "$tmp/build" >"$tmp/out" 2>&1 || ! grep -q "$2" "$tmp/out"; then
		echo "layers.sh let an object of $1/ call $2()" >&2
		exit 1
	fi
	rm -r "$tmp/build"
}

make_tree
"$layers" "$tmp/tree"

must_refuse store/name.c '#include "fs/fs.h"'
must_refuse store/name.c '#include "cli/table.h"'
must_refuse store/name.c '#include <fuse_lowlevel.h>'
must_refuse store/name.c '#include <rocksdb/c.h>'
must_refuse store/util/buf.c '#include "store/store.h"'
must_refuse fs/main.c '#include "cli/table.h"'
must_refuse fs/main.c '#include "store/backend.h"'
must_refuse fs/main.c '#include "store/rows.h"'
must_refuse fs/main.c '  #  include <rocksdb/c.h> /* hidden by its layout */'
must_refuse cli/main.c '#include "store/store.h"'
must_refuse cli/main.c '#include "fs/config.h"'
must_refuse cli/main.c '#include <fuse3/fuse.h>'
must_refuse cli/main.c '#include "../store/store.h"'
must_refuse cli/main.c '#include "cli/../store/store.h"'
must_refuse cli/main.c '#include "table.h"'
must_refuse cli/main.c '#include STORE_HEADER'

must_refuse_call store fuse_reply_err
must_refuse_call store rocksdb_put
must_refuse_call fs rocksdb_put
must_refuse_call fs backend_get
must_refuse_call cli store_lookup
echo 'layers.sh refuses all 21 ways of crossing a layer'
