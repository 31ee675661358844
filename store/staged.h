/* SPDX-License-Identifier: Apache-2.0 */
/* A value being written: what staged.c, publish.c and staged_attr.c share. */
#ifndef MEMOFS_STORE_STAGED_H
#define MEMOFS_STORE_STAGED_H

#include "store/content.h"
#include "store/internal.h"

/* What is on disk of a value that was fsynced and closed, but not published. */
struct intent {
	bool recorded; /* there may be rows of it */
	bool durable;  /* there are, and they are synced: the fields below are set */
	uint64_t writes, attr_changes; /* as they were then */
	uint64_t branch;
	struct buf name;
	struct row_core core; /* says which rows there are */
};

struct seal_source;

struct store_staged {
	struct store *st;
	uint64_t ino;	    /* fixed */
	uint64_t branch;    /* fixed: where it was begun */
	uint64_t base_ino;  /* fixed; 0: none */
	bool base_replaced; /* fixed: begun with the content cut off */

	pthread_mutex_t lock; /* of all below; taken before `names` */
	/* The base while its content has not been copied: then it is the content. */
	struct store_gen *base;
	struct content content;
	pthread_mutex_t sums_lock; /* a leaf, to wait for `summed`: a sum is not to wait
				      for the next write, which holds `lock` */
	pthread_cond_t summed;	   /* content.summed has become more */
	/* Borrows ttl_text and xattrs; size, layout and hash are set when sealed. */
	struct inode_row row;
	struct buf ttl_text, xattrs;
	bool cost_given;  /* else it is measured */
	int64_t begun_ns; /* fixed: time_monotonic_ns() */
	/* store_staged_complete(), wall clock and monotonic; 0: with the publish */
	int64_t completed_ns, completed_mono_ns;
	int64_t inherited_ttl_ns; /* for the attributes shown */
	uint64_t writes;	  /* changes of the content */
	bool synced;		  /* fsync was called */
	uint64_t synced_writes;	  /* how many of them are on disk */
	uint64_t attr_changes;
	struct intent intent;
	struct room_hold hold;	      /* for the publish */
	struct usage_promise promise; /* the same, of quotas */
	/* Fixed: "store/staged_limits.h"; the directory it is set on, 0: the option */
	uint64_t max_entry_bytes, max_entry_dir;
	bool max_entry_given; /* fixed: by somebody */
	bool told_too_large;
	const struct seal_source *source; /* a directory that goes with the publish */
	bool published;
	/* store_staged_check(), of a sealed tree: it is whole, as of `checked_writes` */
	bool checked;
	uint64_t checked_writes;
	mode_t root_mode;  /* permissions of the root of the pack */
	struct kept *kept; /* KEEP_STAGED; NULL: it is not kept */
};

/* An empty shell, for store_staged_free(). NULL: no memory. */
struct store_staged *staged_new(struct store *st);
struct content_limits staged_content_limits(struct store *st);

/* Keep what is known of it but its bytes, whenever that was changed. Under the lock. */
int staged_keep(struct store_staged *sg);
/* It was written to. */
void staged_keep_write(struct store_staged *sg);

/* To be called under the lock whenever an attribute was changed. */
static inline int staged_attr_changed(struct store_staged *sg)
{
	sg->attr_changes++;
	sg->row.core.ctime_ns = time_now_ns();
	return staged_keep(sg);
}

/* What is to be told at the next close, and to fail the publish. Under the lock. */
static inline void staged_fail(struct store_staged *sg, int r)
{
	if (!r || sg->content.error)
		return;
	sg->content.error = r;
	content_keep_error(&sg->content);
}

static inline bool staged_content_changed(const struct store_staged *sg)
{
	return !sg->base_ino || sg->base_replaced || sg->writes;
}

/* Wait until nobody owes store_staged_sum(). Under the lock, so that nobody writes on. */
void staged_await_sums(struct store_staged *sg);

/* -EBADMSG: a sealed tree that was not checked as it is now. Under the lock. */
int staged_require_check(const struct store_staged *sg);

/* Delete the intent from the disk, synced with `sync`. Under the lock. */
int staged_withdraw(struct store_staged *sg, bool sync);

#endif
