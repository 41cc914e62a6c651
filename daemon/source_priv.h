/* source_priv.h -- the brain's side of sources, shared by source.c (reading the
 * worker) and source_set.c (trees to manifests). */
#ifndef KEDGE_SOURCE_PRIV_H
#define KEDGE_SOURCE_PRIV_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/map.h"
#include "mirror.h"
#include "source.h"
#include "source_frame.h"

struct sources {
	struct mirror *mirror;
	char *remotes;      /* beside it: a folder for each remote source's worker */
	struct map watches; /* name -> struct watch */
};

struct watch {
	char *name;
	struct arena arena; /* args live here */
	struct watch_args *args;
	int fd;
	struct frame_reader in;
	struct mirror_pack pack; /* one may be coming */
	struct source_head head;
	bool has_head;
	char *error, *answer, *note, *unwritable;
	struct arena written_arena;
	struct written_seen *written; /* the last one */
	char *shown;                  /* three texts, each with its NUL */
	int64_t asked, answered;      /* syncs and reverts, counted */
	bool writable;
	bool asked_all;      /* for this head; once is enough */
	struct folder *last; /* source_set.c: what the next set is built from */
	bool last_clean;     /* no object was in it twice */
};

struct watch *source_watch(struct sources *, const char *name); /* asserts that it exists */

void folder_drop(struct folder *); /* source_set.c; takes NULL */
/* source_commit.c */
char *text_clean(const char *,
		 size_t); /* valid UTF-8 without control characters; caller frees */
#endif
