/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as people read them. Each writes into `ret_text` and returns it, so that
 * several fit into one call of printf. What is no number (NAN) is a dash.
 */
#ifndef MEMOFS_CLI_LOOK_WORDS_H
#define MEMOFS_CLI_LOOK_WORDS_H

#define WORD_MAX 64

/* `3d 4h`, `12m`, `2.5s`, `250ms`, `40us`; INFINITY is `more`. */
const char *word_duration(double seconds, char ret_text[WORD_MAX]);
/* `1.5GiB`. */
const char *word_size(double bytes, char ret_text[WORD_MAX]);
/* `1,234,567`. */
const char *word_count(double n, char ret_text[WORD_MAX]);
/* `87.3%` of 0 to 1; what is not all is never shown as `100.0%`. */
const char *word_share(double share, char ret_text[WORD_MAX]);
/* Local time: `21 Nov 17:30`, and `21 Nov 2026`. */
const char *word_minute(double time_s, char ret_text[WORD_MAX]);
const char *word_day(double time_s, char ret_text[WORD_MAX]);

#endif
