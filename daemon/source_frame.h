/* source_frame.h -- what a source's worker and the brain say to each other.
 *
 * A stream of frames: eight bytes of head (length of the body, type) and the
 * body.  Both ends are on one machine, so numbers are in its own byte order.
 * Each length is checked against FRAME_MAX before a byte is kept, each body
 * against its type by whoever takes it; ids are 20 bytes.
 */
#ifndef KEDGE_SOURCE_FRAME_H
#define KEDGE_SOURCE_FRAME_H
#include "../reconcile/base/buf.h"
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct error;

enum frame_type {
	/* brain -> worker */
	FRAME_START = 1, /* watch_args as JSON */
	FRAME_SYNC,      /* one byte: 1 = forget what the brain has, send everything */
	FRAME_REVERT,    /* commit NUL author NUL message NUL */
	/* worker -> brain */
	FRAME_OBJECT,   /* one byte of git_object_t, the object's bytes */
	FRAME_PACK,     /* a piece of a pack file */
	FRAME_PACK_END, /* (empty) the pack is whole */
	FRAME_COMMIT,   /* the head is: id, one byte: 1 = forced */
	FRAME_TREE,     /* a directory's content is: id of a tree */
	FRAME_FINE,     /* (empty) looked, and nothing is new or wrong */
	FRAME_FAILED,   /* text: why the source cannot be read */
	FRAME_NOTE,     /* text: what works less well than it should */
	FRAME_WRITABLE, /* one byte: commits can be made; text: why not */
	FRAME_ANSWER,   /* text: how the last SYNC or REVERT ended, empty: well */
	/* hand -> worker */
	FRAME_BIND, /* watch_args as JSON, before all else: what START cannot change */
	/* the worker that pulls an image -> brain */
	FRAME_PULL, /* pull_seen as JSON */
	/* a commit beside the head: brain -> worker, and its answer */
	FRAME_READ,  /* text: a branch, tag or commit to be read beside the head */
	FRAME_SHOWN, /* to READ: its text NUL, commit's id in hex NUL (empty: not read) why not
			NUL */
	/* a file of the branch changed by a commit: brain -> worker, and its answer */
	FRAME_WRITE,   /* write_args as JSON */
	FRAME_WRITTEN, /* written_seen as JSON; after the new head */
	FRAME_TYPES
};

enum {
	FRAME_MAX = 64 << 20,      /* bytes in a body */
	FRAME_TEXT_MAX = 64 << 10, /* of them in a text, and in all the brain says */
	OBJECT_MAX = 32 << 20,     /* one file or folder listing */
	UPDATE_MAX = 512 << 20,    /* bytes of one update */
	LOOSE_MAX = 48, /* more new objects go as a pack: a file each costs an fsync each */
};

struct frame {
	enum frame_type type;
	const char *body; /* NUL-terminated, within the reader's buffer */
	size_t len;
};

struct frame_reader {
	struct buf in;
	size_t at;  /* bytes of `in` already given out */
	char saved; /* the byte under the NUL after the frame given out last */
	size_t saved_at;
};

/* Reads once from fd what is there.  1: something came, 0: nothing now, -1: the
 * other end is gone or the bytes are no frames. */
int frame_fill(struct frame_reader *, int fd);
/* 1: *ret is the next frame, valid until the next call here; 0: not whole yet;
 * -1: not a frame. */
int frame_next(struct frame_reader *, struct frame *ret);
void frame_reader_done(struct frame_reader *);

/* The worker's way: waits until all is written. */
int frame_send(int fd, enum frame_type, const void *head, size_t head_len, const void *body,
	       size_t len, struct error **);
int frame_send_text(int fd, enum frame_type, const char *text, struct error **);
/* True while a frame is only half written: whoever is run by a signal may not write then. */
extern volatile sig_atomic_t frame_sending;
enum { FRAME_HEAD = 8 };
/* A whole frame in `to`, which has room for FRAME_HEAD + len; returns its length. */
size_t frame_make(char *to, enum frame_type, const char *body, size_t len);
/* The brain's way: never waits; what does not fit at once is an error. */
int frame_post(int fd, enum frame_type, const void *body, size_t len, struct error **);
#endif
