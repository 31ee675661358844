/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/treemap.h"

#include <math.h>
#include <stdbool.h>

static double sum_of(const double *sizes, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += sizes[i];
	return sum;
}

/*
 * The worst of the aspect ratios when these lie in one row along a side: with the sum
 * s, the row is s / side deep, and size a takes a / (s / side) of the side.
 */
static double worst(double largest, double smallest, double sum, double side)
{
	if (smallest <= 0)
		return INFINITY;
	return fmax(side * side * largest / (sum * sum),
		    sum * sum / (side * side * smallest));
}

/* How many of the sizes, already scaled to areas, the next row takes. */
static size_t row_length(const double *areas, size_t n, double side)
{
	double sum = areas[0], ratio = worst(areas[0], areas[0], sum, side);
	size_t len = 1;

	while (len < n) {
		double more = sum + areas[len];
		double next = worst(areas[0], areas[len], more, side);

		if (next > ratio)
			break;
		ratio = next;
		sum = more;
		len++;
	}
	return len;
}

/* Along the shorter side of what is left, which becomes smaller by the row. */
static void place_row(const double *areas, size_t n, struct rect *left, struct rect *ret)
{
	bool upright = left->width >= left->height; /* a column at the left */
	double side = upright ? left->height : left->width, sum = sum_of(areas, n);
	double depth = side > 0 ? sum / side : 0, at = upright ? left->y : left->x;

	for (size_t i = 0; i < n; i++) {
		double along = depth > 0 ? areas[i] / depth : 0;

		ret[i] = upright ? (struct rect){left->x, at, depth, along}
				 : (struct rect){at, left->y, along, depth};
		at += along;
	}
	if (upright) {
		left->x += depth;
		left->width = fmax(left->width - depth, 0);
	} else {
		left->y += depth;
		left->height = fmax(left->height - depth, 0);
	}
}

void treemap_layout(const double *sizes, size_t n, struct rect area,
		    struct rect *ret_rects)
{
	double scale = area.width * area.height / sum_of(sizes, n);
	size_t i = 0, len;

	/* The results are not needed before they are written: areas go there first. */
	for (size_t k = 0; k < n; k++)
		ret_rects[k].x = sizes[k] * scale;
	while (i < n) {
		double areas[64], side = fmin(area.width, area.height);
		size_t some = n - i < 64 ? n - i : 64;

		for (size_t k = 0; k < some; k++)
			areas[k] = ret_rects[i + k].x;
		len = row_length(areas, some, side);
		place_row(areas, len, &area, ret_rects + i);
		i += len;
	}
}
