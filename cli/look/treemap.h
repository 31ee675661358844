/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the rectangles of a treemap lie: squarified (Bruls, Huizing, van Wijk, 2000),
 * so that they are as near to squares as their sizes let them be.
 */
#ifndef MEMOFS_CLI_LOOK_TREEMAP_H
#define MEMOFS_CLI_LOOK_TREEMAP_H

#include <stddef.h>

struct rect {
	double x, y, width, height;
};

/*
 * Divide `area` among `n` sizes, the largest first, none negative and one at least not
 * 0. ret_rects[i] has the share of sizes[i]; what is 0 has no area.
 */
void treemap_layout(const double *sizes, size_t n, struct rect area,
		    struct rect *ret_rects);

#endif
