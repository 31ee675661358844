/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is computing an entry: the file DIR/.memofs/reservations/KEY.
 *
 * All points in time are of the wall clock. Paths are those of the entries,
 * whether or not they exist; their directories do.
 */
#ifndef MEMOFS_CLI_RESERVATION_H
#define MEMOFS_CLI_RESERVATION_H

#include <stdbool.h>
#include <stdint.h>

struct reservation {
	char *owner; /* NULL: it is free */
	int64_t since_ns;
	int64_t expires_ns; /* DURATION_NONE: while a descriptor is open */
	uint64_t token;
	bool writing;  /* somebody has it open for writing */
	char *writer;  /* who: `pid=… comm=… uid=…`; of several, one; or NULL */
	char *failure; /* why the last attempt came to nothing; or NULL */
	int64_t failure_ns; /* when */
	int64_t expired_ns; /* when the entry that was there did; 0: none has */
};

#define RESERVATION_INIT ((struct reservation){.owner = NULL})
#define CLEANUP_RESERVATION __attribute__((cleanup(reservation_deinit)))

void reservation_deinit(struct reservation *rv);

/*
 * `free` or `held owner=ID since=S expires=S|none token=N`, and after it the lines
 * that the file has: `writing WHO`, `expired TIME` and `failed TIME WHY`. Words that are
 * not known are left out. -EINVAL: it is none.
 */
int reservation_parse(const char *text, struct reservation *ret_rv);

/*
 * As it is now, from the attribute; `whole`: from the file, which tells more.
 * -errno; -ENOENT also when its directory does not exist. A free one is no
 * error.
 */
int reservation_read(const char *path, bool whole, struct reservation *ret_rv);
/* The same of the file of a reservation itself. */
int reservation_read_file(const char *file, struct reservation *ret_rv);

/*
 * Take it, or extend it if `owner` has it. `duration_ns` 0: as long as the
 * directory's policy says. -EBUSY: another has it; else what setxattr(2) says.
 */
int reservation_acquire(const char *path, const char *owner, int64_t duration_ns);
/* Only extend it. -ESTALE: `owner` does not have it (any more). */
int reservation_extend(const char *path, const char *owner, int64_t duration_ns);
/* A success also when `owner` does not have it. */
int reservation_release(const char *path, const char *owner);

/* `path` names something that can be reserved; else CLI_USAGE after a message. */
int reservation_check_path(const char *command, const char *path);
/* Complain that something failed with `r`, -errno. Returns an enum cli_exit. */
int reservation_failed(const char *path, int r);
/* `by ID, 12s ago, for 48s more`, of one that is held. Freed by the caller. */
char *reservation_describe(const struct reservation *rv);
/* Complain that another has it: `PATH: reserved by …`. */
void reservation_say_held(const char *path);
/* `; ID has it now`, `; nobody has it now`; "" when it cannot be told. Freed by
 * the caller. */
char *reservation_holder_text(const char *path);

#endif
