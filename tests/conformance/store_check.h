/* SPDX-License-Identifier: Apache-2.0 */
/* Do the rows of a store fit together? */
#ifndef MEMOFS_TESTS_STORE_CHECK_H
#define MEMOFS_TESTS_STORE_CHECK_H

#include "store/store.h"

/*
 * Fails the test unless every name leads to an inode that knows it and has the
 * same attributes, every inode but the root has its name in a branch that
 * exists, branches and versions lead to each other, and the counters are what
 * is there. Nobody may change the store meanwhile.
 */
void check_rows(struct store *st);

/* All that was put off is done, and nothing is left to delete. check_rows(). */
void check_settled(struct store *st);

unsigned int count_rows(struct store *st, int table);

#endif
