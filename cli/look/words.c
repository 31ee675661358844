/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/words.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/tree/progress.h"
#include "store/util/duration.h"
#include "store/util/size.h"

/* More is written as this much. */
#define LARGEST 9e18

_Static_assert(WORD_MAX >= DURATION_TEXT_MAX && WORD_MAX >= SIZE_TEXT_MAX &&
		   WORD_MAX >= PROGRESS_COUNT_MAX,
	       "the words of others fit");

static const char *no_number(char ret_text[WORD_MAX])
{
	return strcpy(ret_text, "-");
}

const char *word_duration(double seconds, char ret_text[WORD_MAX])
{
	if (isnan(seconds))
		return no_number(ret_text);
	if (isinf(seconds))
		return strcpy(ret_text, "more");
	if (seconds > 0 && seconds < 0.9995) {
		bool small = seconds < 0.0009995;

		snprintf(ret_text, WORD_MAX, "%.0f%s", seconds * (small ? 1e6 : 1e3),
			 small ? "us" : "ms");
		return ret_text;
	}
	/* Just below what "never" is: 292 years. */
	duration_format_short(
	    (int64_t)(fmin(fmax(seconds, -LARGEST / 1e9), LARGEST / 1e9) * 1e9),
	    ret_text);
	return ret_text;
}

const char *word_size(double bytes, char ret_text[WORD_MAX])
{
	if (isnan(bytes))
		return no_number(ret_text);
	size_format((uint64_t)fmin(fmax(bytes, 0), LARGEST), ret_text);
	return ret_text;
}

const char *word_count(double n, char ret_text[WORD_MAX])
{
	if (isnan(n))
		return no_number(ret_text);
	return progress_count((uint64_t)fmin(fmax(n, 0), LARGEST), ret_text);
}

const char *word_share(double share, char ret_text[WORD_MAX])
{
	if (isnan(share))
		return no_number(ret_text);
	share = fmin(fmax(share, 0), 1);
	if (share < 1)
		share = fmin(share, 0.999);
	snprintf(ret_text, WORD_MAX, share == 1 ? "%.0f%%" : "%.1f%%", share * 100);
	return ret_text;
}

static const char *word_time(double time_s, const char *format, char ret_text[WORD_MAX])
{
	time_t t = (time_t)fmin(fmax(time_s, 0), 1e11);
	struct tm tm;

	if (isnan(time_s) || !localtime_r(&t, &tm) ||
	    !strftime(ret_text, WORD_MAX, format, &tm))
		return no_number(ret_text);
	return ret_text;
}

const char *word_minute(double time_s, char ret_text[WORD_MAX])
{
	return word_time(time_s, "%-d %b %H:%M", ret_text);
}

const char *word_day(double time_s, char ret_text[WORD_MAX])
{
	return word_time(time_s, "%-d %b %Y", ret_text);
}
