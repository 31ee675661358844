#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A database made elsewhere, stored as an entry, and read where it is.
# shellcheck source=functions.sh
. "$(dirname "$0")/functions.sh"
setup

make_database() {
	rm -f "$T/db"
	sqlite3 "$T/db" <<-'END'
		CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, data BLOB);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		INSERT INTO t SELECT i, 'name ' || i, randomblob(100) FROM n;
		CREATE INDEX by_name ON t(name);
	END
}

QUERY='SELECT count(*), sum(id), min(name), hex(max(data)) FROM t;'

test_read_only() {
	needs sqlite3
	make_database
	cp "$T/db" db
	is "$(sqlite3 -readonly db 'PRAGMA integrity_check;')" ok
	is "$(sqlite3 -readonly db "$QUERY")" "$(sqlite3 "$T/db" "$QUERY")"
	is "$(sqlite3 "file:db?immutable=1" "$QUERY")" "$(sqlite3 "$T/db" "$QUERY")"
	is "$(sqlite3 -readonly db "SELECT id FROM t WHERE name = 'name 777';")" 777
	is "$(sqlite3 -readonly -cmd 'PRAGMA mmap_size=268435456;' db "$QUERY" | tail -n 1)" \
		"$(sqlite3 "$T/db" "$QUERY")"
	is "$(names .)" db 'what sqlite left'
}

test_reader_keeps_its_database() {
	needs sqlite3
	make_database
	cp "$T/db" db
	coproc SQLITE { sqlite3 -readonly db; }
	echo 'SELECT count(*) FROM t;' >&"${SQLITE[1]}"
	read -r count <&"${SQLITE[0]}"
	is "$count" 20000
	# Another database is published under the name; ours is still the old one.
	sqlite3 "$T/other" 'CREATE TABLE t(id); INSERT INTO t VALUES (1);'
	mv "$T/other" db
	echo 'PRAGMA integrity_check; SELECT count(*) FROM t;' >&"${SQLITE[1]}"
	read -r check <&"${SQLITE[0]}"
	read -r count <&"${SQLITE[0]}"
	eval "exec ${SQLITE[1]}>&-"
	wait "$SQLITE_PID"
	is "$check" ok
	is "$count" 20000
	is "$(sqlite3 -readonly db 'SELECT count(*) FROM t;')" 1
}

test_backup_into_the_mount() {
	needs sqlite3
	make_database
	sqlite3 "$T/db" '.dump' >dump.sql
	is "$(sqlite3 :memory: '.read dump.sql' "$QUERY")" "$(sqlite3 "$T/db" "$QUERY")"
	sqlite3 "$T/db" "VACUUM INTO '$T/copy'"
	mv "$T/copy" copy
	is "$(sqlite3 -readonly copy "$QUERY")" "$(sqlite3 "$T/db" "$QUERY")"
}

run_tests "$@"
