/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is told a number makes it known first and looks at its row second, under `names`;
 * who takes a name away asks whether it is known, and commits, under one hold of it. So
 * either the number was known in time, or its row is seen to be gone.
 *
 * What is handed over is not opened here: opening may find damage, and drops the entry
 * then, under the same lock. Its object keeps what the row said, and gc, which finds it
 * in the table of open generations, leaves the content alone.
 */
#include "store/known.h"

#include <errno.h>
#include <string.h>

#include "store/gen.h"
#include "store/sealed.h"
#include "store/util/log.h"

void store_known_add(struct store *st, struct store_known *known)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);

	known->next = st->known;
	st->known = known;
}

void store_known_remove(struct store *st, struct store_known *known)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	struct store_known **at = &st->known;

	while (*at && *at != known)
		at = &(*at)->next;
	if (*at)
		*at = known->next;
}

int store_known_check(struct store *st, uint64_t ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	CLEANUP_INODE struct inode in = INODE_INIT;

	return inode_load(st, row_ino(ino), &in);
}

/*
 * A change of the names of a branch is told before it is committed, and who takes a name
 * away does both under one hold of `names`. So here nothing is between the two: either
 * the listing is seen to be old, or its names are taken away by who asks from now on.
 */
int store_known_check_listed(struct store *st, const struct store_dir *dir, uint64_t ino)
{
	bool current;

	pthread_mutex_lock(&st->names);
	current = store_dir_is_current(dir);
	pthread_mutex_unlock(&st->names);
	return current ? 0 : store_known_check(st, ino);
}

void store_known_close(struct store_gen *gen)
{
	if (!gen)
		return;
	/* A tree's index in memory would keep the content. */
	sealed_forget(gen->st, gen->ino);
	store_gen_close(gen);
}

void known_hand_over(struct store *st, uint64_t ino)
{
	for (struct store_known *k = st->known; k; k = k->next) {
		struct store_gen *gen;
		int r;

		if (!k->known(k->arg, ino))
			continue;
		r = gen_hold(st, ino, &gen);
		if (!r)
			k->nameless(k->arg, ino, gen);
		else if (r != -EINVAL && r != -ENOENT)
			log_warning("%s: %016llx loses its name, and who reads it cannot "
				    "go on: %s",
				    st->path, (unsigned long long)ino, strerror(-r));
	}
}
