/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of policies: what policy_get() of "store/internal.h" remembers.
 * Its size is fixed, some 6 MiB of address space of which only what is used is
 * ever touched.
 */
#ifndef MEMOFS_STORE_POLICY_H
#define MEMOFS_STORE_POLICY_H

struct policy_cache;

int policy_cache_new(struct policy_cache **ret_cache);
void policy_cache_free(struct policy_cache *cache); /* NULL is fine */

#endif
