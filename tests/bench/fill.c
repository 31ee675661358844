/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill STORE ENTRIES
 *
 * Makes a store with that many entries of FILLING_BYTES in one directory "names", in
 * the way of tests/bench/million, which is the fastest: by the engine alone. Nobody may
 * have the store open.
 */
#include <err.h>
#include <stdlib.h>

#include "filling.h"

int main(int argc, char **argv)
{
	unsigned long entries = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct store *st;
	uint64_t branch;

	if (!entries || entries > 99999999)
		errx(2, "usage: fill STORE ENTRIES");
	st = filling_open(argv[1], "names", &branch);
	for (unsigned int i = 0; i < entries; i++)
		filling_publish(st, branch, i);
	store_close(st);
	return 0;
}
