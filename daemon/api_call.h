/* api_call.h -- one request to the API, and what the api_*.c files share.
 *
 * A call lives as long as its http_request.  Whatever a route's function keeps
 * with it goes to `state`, freed by `state_free` when the call ends however it
 * ends.
 */
#ifndef KEDGE_API_CALL_H
#define KEDGE_API_CALL_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/map.h"
#include "../reconcile/pod_security.h"
#include "../reconcile/rbac.h"
#include "../reconcile/user.h"
#include "api.h"

struct audit;
struct call;
struct stream;
struct forward;
struct proxied;
struct curl_loop;

enum route_when { WHEN_READY, WHEN_HEAD };

struct route {
	const char *method; /* NULL: any */
	enum route_when when;
	const char *path;
	void (*fn)(struct call *);
};

struct api {
	struct event_base *base;
	struct store *store;
	struct http *http;
	struct api_host host;
	char *log_dir;
	int64_t (*clock)(void *ctx);
	const struct settings *settings; /* or NULL */
	struct rbac *rbac;               /* of rbac_version; NULL: not made yet */
	struct arena rbac_arena;
	uint64_t rbac_version;
	struct audit *audit;   /* NULL: none */
	const struct pki *pki; /* or NULL */
	int64_t last_id;
	struct call *calls;
	struct stream *streams;   /* exec and attach, from the question to the end */
	struct forward *forwards; /* clients of port-forward */
	struct proxied *proxied;  /* requests that a pod answers */
	struct curl_loop *curls;  /* for them; NULL until the first */
	int nstreams, nforwards, nproxied;
	size_t proxy_early;  /* bytes of answers that came before their requests' ends */
	unsigned proxy_turn; /* of a Service's endpoints */
	struct {             /* at what is used, the newest first; NULL: none yet */
		char *json;
		int64_t at;
	} looks[2];
};

struct call {
	struct api *api;
	struct http_request *req;
	struct call *next, **link;
	const struct route *route;
	struct arena arena;
	const struct user
	    *user; /* who asks; NULL until auth_who, and whose credentials are wrong */
	const struct resource *res; /* of {res}; NULL when the path has none */
	const char *group, *version, *ns, *name, *sub; /* "" when the path has none */
	const struct user *impersonator;               /* who asks as that user; NULL: itself */
	struct rbac_attributes asked;
	const char *reason; /* why it may, or may not */
	struct pod_security_notes security;
	bool refused;
	int64_t received;
	int64_t id; /* what the host was asked under; 0: nothing */
	bool answered;
	void (*on_answer)(struct call *, const struct error *, const char *json);
	void (*on_change)(struct call *); /* the store changed */
	void *state;
	void (*state_free)(void *state);
};

/* api_auth.c: who asks; false: it has been answered. */
bool auth_who(struct call *);
/* Who comes with this token, for one of these audiences (NULL: the API); -1 and *e: nobody. */
int auth_token(struct call *, const char *token, const struct strs *audiences, struct user *,
	       const char **ret_audience, struct error **);
/* A name for people: who came through a socket has a number, and this is that user's. */
const char *auth_login(const struct call *);
/* {"username":..,"uid":..,"groups":[..]} */
void auth_print(struct buf *, const struct user *);

int64_t call_now(const struct call *);
const char *call_query(const struct call *, const char *name); /* "" when absent */
/* As Kubernetes reads them: "False" and "0" are not, all else is, "" too. */
bool call_flag(const struct call *, const char *name);
int64_t call_int(const struct call *, const char *name, int64_t absent);

/* Answers; each once.  The buf is emptied. */
void call_json(struct call *, int code, struct buf *);
/* api_gzip.c: is it large, and wanted compressed?  Then it is answered with, so. */
bool call_packed(struct call *, int code, struct buf *);
void call_fail(struct call *, const struct error *);
void call_refuse(struct call *, enum why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void call_success(struct call *);
/* 422 with a cause for each error: of what is no object of the store, such as the options that
 * the question came with. */
void call_invalid(struct call *, const char *group, const char *kind, const char *name,
		  const struct complaints *);
#define OPTIONS_GROUP "meta.k8s.io"
/* {"reason":..,"message":..,"field":..}, of each */
void causes_print(const struct complaints *, struct buf *);

/* Asks the host under a new id; `on_answer` NULL: its JSON is the answer. */
int64_t call_ask(struct call *);
struct call *call_of_id(struct api *, int64_t id);

/* JSON text with its quotes; what is not UTF-8 becomes U+FFFD. */
void json_quote(struct buf *, const char *text);
/* {"kind":"Status",...}: of a failure */
void status_print(struct buf *, enum why, const char *message, const struct resource *,
		  const char *name);

/* Writes one object as the client wants it: JSON, or a row of a Table. */
enum api_form { FORM_OBJECT, FORM_TABLE, FORM_META };
struct printer {
	const struct call *call;
	const struct resource *res;
	enum api_form form;
	const char *table_version; /* "v1" or "v1beta1" */
	bool whole;                /* rows carry the object, not its metadata */
	bool bare;                 /* rows carry nothing */
};
void printer_init(struct printer *, const struct call *);
void printer_table(const struct printer *, struct buf *, const char *list_meta, bool columns,
		   const struct object *const *, size_t n);
void printer_object(const struct printer *, struct buf *, const struct object *);

/* What a list or watch selects. */
struct field_term {
	const char *path, *value;
	const char *absent; /* what nothing there stands for */
	bool differs;
};
struct selection {
	const char *ns;
	const char *name;              /* only this one; "" for all */
	struct label_selector *labels; /* NULL: all */
	struct field_term *fields;
	size_t nfields;
};
int selection_read(struct selection *, struct call *, struct error **);
bool selection_has(const struct selection *, const struct resource *, const struct object *,
		   struct arena *scratch);
/* The slice of the store that could be in it. */
struct objects selection_slice(const struct selection *, const struct call *);

/* api_list.c: the query's resourceVersion, 0 when it asks for none in particular; false: there
 * is no such one, or not yet, which has been answered. */
bool list_version(struct call *, uint64_t *ret);

void watch_start(struct call *, const struct selection *);
/* Picks the container that `container=` names or the only one; answers and returns NULL
 * when it cannot. */
const struct pod *call_pod(struct call *, const char **ret_container);
bool pod_run_ended(const struct pod *, const char *container, int64_t run);

/* The log of one run of a container, line by line, in pieces. */
struct log_reader;
struct log_options {
	const struct pod *pod;
	const char *container;
	int64_t run, tail, since_ms, limit; /* tail, limit: -1 none */
	bool timestamps, follow;
	void (*wake)(void *ctx);
	void *ctx;
};
/* NULL when there is no such log. */
struct log_reader *log_reader_new(struct api *, const struct log_options *);
enum http_pull log_reader_pull(struct log_reader *, struct buf *out);
void log_reader_free(void *);

void call_audit(const struct call *); /* it is over */

void streams_stop(struct api *);
void forwards_stop(struct api *);
void proxies_stop(struct api *);
#define ROUTE(method, when, path, fn) void fn(struct call *);
#include "routes.def"
#undef ROUTE
#endif
