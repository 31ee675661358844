/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/show.h"
#include "store/util/duration.h"
#include "store/util/size.h"

/* What is over sooner needs no bar. */
#define FIRST_AFTER_NS (NSEC_PER_SEC / 2)
#define AGAIN_AFTER_NS (NSEC_PER_SEC / 10)
#define BAR_MIN 10
#define BAR_MAX 30
/* Beside its bytes a file costs its making, about as much as so many more of them. */
#define FILE_WEIGHT_BYTES UINT64_C(8192)

const char *progress_count(uint64_t n, char ret_text[PROGRESS_COUNT_MAX])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *to = ret_text;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return ret_text;
}

const char *progress_amount(uint64_t files, uint64_t bytes,
			    char ret_text[PROGRESS_AMOUNT_MAX])
{
	char count[PROGRESS_COUNT_MAX], size[SIZE_TEXT_MAX];

	size_format(bytes, size);
	snprintf(ret_text, PROGRESS_AMOUNT_MAX, "%s file%s, %s",
		 progress_count(files, count), files == 1 ? "" : "s", size);
	return ret_text;
}

/* ---- the line ---------------------------------------------------------------- */

/* Between 0 and 1; negative: how much there is to do is not known. */
static double share_of(const struct progress *p, uint64_t files, uint64_t bytes)
{
	double all = (double)p->total_bytes + (double)p->total_files * FILE_WEIGHT_BYTES;
	double done = (double)bytes + (double)files * FILE_WEIGHT_BYTES;

	if (all <= 0)
		return -1;
	return done < all ? done / all : 1;
}

static void append_head(const struct progress *p, double share, struct buf *out)
{
	must(buf_printf(out, "%s ", p->verb));
	show_printable(out, p->what);
	if (share >= 0)
		must(buf_printf(out, " %3d%%", (int)(share * 100)));
}

static void append_files(const struct progress *p, uint64_t files, struct buf *out)
{
	char count[PROGRESS_COUNT_MAX], total[PROGRESS_COUNT_MAX];
	const char *unit = p->unit ? p->unit : "files";

	progress_count(files, count);
	if (p->total_files)
		must(buf_printf(out, " %s of %s %s", count,
				progress_count(p->total_files, total), unit));
	else
		must(buf_printf(out, " %s %s", count, unit));
}

static void append_rate(uint64_t bytes, int64_t elapsed_ns, struct buf *out)
{
	double seconds = (double)elapsed_ns / (double)NSEC_PER_SEC;
	char size[SIZE_TEXT_MAX];

	size_format(seconds > 0 ? (uint64_t)((double)bytes / seconds) : 0, size);
	must(buf_printf(out, ", %s/s", size));
}

/* Nothing is said before there is something to judge by. */
static void append_left(double share, int64_t elapsed_ns, struct buf *out)
{
	double left_ns = share > 0 ? (double)elapsed_ns * (1 - share) / share : 0;
	char text[DURATION_TEXT_MAX];

	if (share < 0.01 || left_ns > 1e18)
		return;
	/* Whole seconds, since it is a guess. */
	duration_format_short((int64_t)(left_ns / (double)NSEC_PER_SEC) * NSEC_PER_SEC,
			      text);
	must(buf_printf(out, ", %s left", text));
}

static void append_bar(double share, size_t width, struct buf *out)
{
	size_t full = (size_t)(share * (double)width);

	must(buf_append(out, " [", 2));
	for (size_t i = 0; i < width; i++)
		must(buf_append(out, i < full ? "#" : " ", 1));
	must(buf_append(out, "]", 1));
}

static size_t width_of(struct buf *b)
{
	must(buf_append(b, "", 1));
	b->len--;
	return show_width((const char *)b->data);
}

/* Cut to so many columns, between characters. */
static void cut(struct buf *b, size_t columns)
{
	while (width_of(b) > columns) {
		b->len--;
		while (b->len && (b->data[b->len] & 0xc0) == 0x80)
			b->len--;
	}
}

void progress_line(const struct progress *p, uint64_t files, uint64_t bytes,
		   int64_t elapsed_ns, size_t columns, struct buf *ret_line)
{
	CLEANUP_BUF struct buf tail = BUF_INIT, rate = BUF_INIT, left = BUF_INIT;
	double share = share_of(p, files, bytes);
	size_t width, bar;

	append_head(p, share, ret_line);
	append_files(p, files, &tail);
	append_rate(bytes, elapsed_ns, &rate);
	append_left(share, elapsed_ns, &left);
	width = width_of(ret_line) + width_of(&tail);
	bar = share >= 0 ? BAR_MIN + 3 : 0;
	if (width + bar + width_of(&rate) <= columns) {
		must(buf_append(&tail, rate.data, rate.len));
		width += width_of(&rate);
		if (width + bar + width_of(&left) <= columns) {
			must(buf_append(&tail, left.data, left.len));
			width += width_of(&left);
		}
	}
	if (bar && width + bar <= columns) {
		bar = columns - width - 3;
		append_bar(share, bar < BAR_MAX ? bar : BAR_MAX, ret_line);
	}
	must(buf_append(ret_line, tail.data, tail.len));
	cut(ret_line, columns);
}

/* ---- the terminal ------------------------------------------------------------ */

/* The last column stays free: writing there makes some terminals begin a new line. */
static size_t terminal_columns(void)
{
	const char *text = getenv("COLUMNS");
	struct winsize size;
	unsigned long columns = 0;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
		columns = size.ws_col;
	if (!columns && text)
		columns = strtoul(text, NULL, 10);
	return columns > 1 && columns < 10000 ? columns - 1 : 79;
}

static void put(const struct buf *b)
{
	/* A bar that cannot be drawn is not missed. */
	ssize_t n = write(STDERR_FILENO, b->data, b->len);

	(void)n;
}

void progress_begin(struct progress *p, const char *verb, const char *what,
		    uint64_t total_files, uint64_t total_bytes, bool quiet)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
	    .verb = verb,
	    .what = what,
	    .total_files = total_files,
	    .total_bytes = total_bytes,
	    .begun_ns = time_monotonic_ns(),
	    .on = !quiet && isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb")),
	};
	p->shown_ns = p->begun_ns + FIRST_AFTER_NS - AGAIN_AFTER_NS;
}

void progress_show(void *arg, uint64_t files, uint64_t bytes)
{
	CLEANUP_BUF struct buf out = BUF_INIT, line = BUF_INIT;
	struct progress *p = arg;
	int64_t now_ns;

	if (!p->on)
		return;
	now_ns = time_monotonic_ns();
	if (now_ns - p->shown_ns < AGAIN_AFTER_NS)
		return;
	progress_line(p, files, bytes, now_ns - p->begun_ns, terminal_columns(), &line);
	must(buf_append(&out, "\r", 1));
	must(buf_append(&out, line.data, line.len));
	must(buf_append(&out, "\033[K", 3));
	put(&out);
	p->shown_ns = now_ns;
	p->drawn = true;
}

void progress_end(struct progress *p)
{
	struct buf line = {.data = (uint8_t *)"\r\033[K", .len = 4, .cap = 4};

	if (p->drawn)
		put(&line);
	p->on = p->drawn = false;
}
