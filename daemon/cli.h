/* cli.h -- kedge, the command: a client of the daemon's HTTP API.
 *
 * cli.def and cli_options.def say what may be typed.  Each command is one
 * function that gets a checked call and returns the exit status; when it
 * fails it leaves an error, and cli.c prints it.
 */
#ifndef KEDGE_CLI_H
#define KEDGE_CLI_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cli_option_id {
#define OPTION(id, word, letter, value, help) OPT_##id,
#define MEANING(words, id, help)
#include "cli_options.def"
#undef MEANING
#undef OPTION
	OPT_COUNT
};

struct cli_option {
	const char *id, *word; /* "all_namespaces", "all-namespaces" */
	char letter;           /* 0: none */
	const char *value;     /* "" : takes none */
	const char *help;
};
extern const struct cli_option cli_options[OPT_COUNT];

struct cli_call;
struct cli_command {
	const char *group; /* its title */
	const char *words; /* "image import" */
	const char *args;
	int (*run)(struct cli_call *, struct error **);
	const char *options; /* space separated ids */
	const char *brief;   /* NULL: not shown */
	const char *full;
};
extern const struct cli_command cli_commands[]; /* ends with NULL words */

struct cli_given {
	enum cli_option_id id;
	const char *value;
};

struct cli_call {
	const struct cli_command *command;
	struct arena *arena;
	const char **args; /* NULL-terminated; for exec what follows "--" is in `rest` */
	size_t n;
	const char **rest;
	size_t nrest;
	struct cli_given *given;
	size_t ngiven;
	const char *socket;
	bool tty;    /* stdout is a terminal */
	bool colour; /* and may be coloured */
	FILE *out;
	int64_t now; /* ms since 1970 */
};

/* cli_parse.c.  Usage errors carry WHY_BAD_REQUEST and say what was meant; ret->command is
 * set all the same where it is known. */
int cli_parse(int argc, char **argv, struct arena *, struct cli_call *ret, struct error **);
/* Options and arguments of c->command, unchecked in number. */
int cli_take_words(struct cli_call *c, int argc, char **argv, struct error **);
/* "--namespace", "-n", "-itn" (the last letter of them); NULL: no option, or with its value. */
const struct cli_option *cli_option_of(const struct cli_command *, const char *word);
const char *cli_opt(const struct cli_call *, enum cli_option_id); /* the last given; NULL */
const char *cli_opt_next(const struct cli_call *, enum cli_option_id, size_t *at);
bool cli_command_takes(const struct cli_command *, enum cli_option_id);
const char *cli_option_help(const struct cli_command *, enum cli_option_id);
const char *cli_nearest(const char *word, const char *const *of, size_t n); /* or NULL */
/* "90", "30s", "5m", "1h30m" -> ms; -1 when it is none of these */
int64_t cli_duration(const char *);

/* cli_image.c.  What was meant by "web:1" is shown as that, not as docker.io/library/web:1. */
const char *cli_image_name(const char *);

/* cli_help.c */
void cli_usage(const struct cli_command *, FILE *);
void cli_overview(FILE *);

/* One function a command, named in cli.def. */
#define GROUP(id, title)
#define COMMAND(words, args, fn, ...) int fn(struct cli_call *, struct error **);
#include "cli.def"
#undef GROUP
#undef COMMAND

/* cli_http.c: requests over the unix socket. */
/* JSON of a 2xx answer (caller decrefs); else the Status' message as an error:
 * WHY_NOT_FOUND for 404, and so on. */
json_t *cli_json(struct cli_call *, const char *method, const char *path, const char *accept,
		 const char *body, struct error **);
/* Bytes as they come; fn returns false to stop.  -1 with the Status' message. */
typedef bool cli_bytes_fn(void *ctx, const char *bytes, size_t n);
int cli_stream(struct cli_call *, const char *path, const char *accept, cli_bytes_fn *,
	       void *ctx, struct error **);
/* Lines of JSON, as a watch sends them; the function does not keep `event`. */
typedef bool cli_event_fn(void *ctx, const char *type, json_t *object);
int cli_watch(struct cli_call *, const char *path, const char *accept, cli_event_fn *,
	      void *ctx, struct error **);
/* Takes the control bytes but tab and newline out of every string: on a terminal they
 * are commands, and annotations, messages and last words are anybody's. */
void cli_tame(json_t *);
/* The same for text, in place; what is not UTF-8 goes, too. */
void cli_tame_text(char *);
/* Sends what fd gives until its end; the answer as cli_json. */
json_t *cli_upload(struct cli_call *, const char *path, int fd, pid_t *writer, struct error **);
void cli_query(struct buf *path, const char *name,
	       const char *value);                   /* ?name=value, escaped */
int cli_connect(struct cli_call *, struct error **); /* a plain socket to the daemon */
/* Makes such a socket a WebSocket of v5.channel.k8s.io; early: what came with the answer. */
int cli_websocket(struct cli_call *, int fd, const char *path, struct buf *ret_early,
		  struct error **);

/* Talks over channels as exec does until the other side ends it: its exit status, or -1. */
struct cli_talk {
	const char *path; /* in the API, with its query */
	int in, out;      /* in: -1 none */
	bool tty;
	bool tame; /* what it prints as errors is shown as ours, and cannot steer a terminal */
};
int cli_talk(struct cli_call *, const struct cli_talk *, struct error **);

#define CLI_TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

/* cli_text.c: how things look. */
const char *cli_age(struct cli_call *, int64_t ms);          /* "3m12s", as kubectl writes it */
const char *cli_ago(struct cli_call *, const char *rfc3339); /* "3m ago"; "" for NULL */
int64_t cli_ms(const char *rfc3339);                         /* 0 for NULL */
const char *cli_paint(struct cli_call *, const char *colour, const char *text);
#define RED    "31"
#define GREEN  "32"
#define YELLOW "33"
#define DIM    "2"
#define BOLD   "1"
/* The string at a dotted path, "" when there is none; numbers and booleans as text. */
const char *cli_at(struct cli_call *, json_t *, const char *path);
json_t *cli_path(json_t *, const char *path); /* borrowed; or NULL */
/* "a=1,b=2" of a map of strings, as labels and selectors are written; "" for none */
const char *cli_pairs(struct cli_call *, json_t *);
void cli_yaml(json_t *, struct buf *);
/* -o json|yaml of one value; false when another format was asked for */
bool cli_print_json(struct cli_call *, json_t *);

/* Text whose lines are wider than `width` goes on below, at a blank, beneath what the line
 * begins with; colours have no width. */
void cli_fold(const char *text, size_t width, struct buf *out);
/* To c->out; folded where that is a terminal. */
void cli_put(struct cli_call *, const char *text);

struct cli_table {
	struct arena *arena;
	size_t cols, rows, cap;
	const char **cells; /* row by row; the first is the header */
};
void cli_table_row(struct cli_table *, const char *const *cells);
/* Three spaces between columns, as kubectl does. */
void cli_table_print(const struct cli_table *, bool headers, FILE *);
void cli_table_widths(const struct cli_table *, size_t *widths); /* grows them */
void cli_table_print_row(const struct cli_table *, size_t row, const size_t *widths, FILE *);

/* cli_kind.c: from what is typed to a place in the API. */
struct resource;
struct cli_target {
	const struct resource *res;
	const char *name; /* NULL: all */
};
/* Of a list of events, the oldest first; in the call's arena, borrowed from the list. */
json_t **cli_events_sorted(struct cli_call *, json_t *list, size_t *ret_n);
const char *cli_event_age(struct cli_call *, json_t *event);     /* "5s (x3 over 2m)" */
const char *cli_name(const struct resource *, const char *word); /* pod/web as web */
int cli_targets(struct cli_call *, struct cli_target **ret, size_t *ret_n, struct error **);
const char *cli_url(struct cli_call *, const struct resource *, const char *name);
/* Of that namespace; NULL: of all. */
const char *cli_url_in(struct cli_call *, const struct resource *, const char *ns,
		       const char *name);
const char *cli_step(struct cli_call *, const char *word); /* of a path, whatever it is */
const char *cli_namespace(struct cli_call *);              /* -n, or "default" */
/* "web-1", "pod/web-1", "deploy/web" -> the pod's name */
const char *cli_pod(struct cli_call *, const char *word, struct error **);
/* Of the pod: that of -c, else, with a word on stderr where there are several, what the pod
 * says or the first.  `ns`: NULL is the call's. */
const char *cli_container(struct cli_call *, const char *ns, const char *pod, struct error **);
/* The only source's name when none is given; else an error that lists them. */
const char *cli_one_source(struct cli_call *, const char *given, struct error **);
/* Of a list of sources the one of that name, borrowed; else an error that lists them. */
json_t *cli_source(struct cli_call *, json_t *list, const char *name, struct error **);
#endif
