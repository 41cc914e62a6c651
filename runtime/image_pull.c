/* image_pull.c -- in the children: an image that a downloader hands over, piece by piece.
 *
 * Whoever talks to the registry has a network and believes it; here there is none,
 * and nothing is believed.  The first child asks for the manifest, follows indexes to
 * this host's platform, and says which layers are wanted; the others unpack them side
 * by side.  What must be true of each layer stands in a table that they share: the
 * downloader can only say which row a pipe is meant for.  So a name with a digest is
 * what that digest says, or an error, even when the downloader is in other hands.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define DOC_MAX     (4 << 20) /* as the distribution specification proposes */
#define WORD_MAX    512
#define NESTING_MAX 4
#define ROWS_MAX    128

struct pull_row { /* a layer that is to be fetched */
	char stored[HEX_SIZE], plain[HEX_SIZE];
	int64_t size;
	int64_t bytes, newest_s; /* when it is there */
	int done;
};

struct pull_table {
	struct budget budget;
	size_t n;
	struct pull_row row[ROWS_MAX];
};

struct pull_table *
image_pull_table(struct budget **ret)
{
	struct pull_table *t =
	    mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED)
		abort();
	*ret = &t->budget;
	return t;
}

void
image_pull_table_free(struct pull_table *t)
{
	munmap(t, sizeof *t);
}

/* ---- words, and pipes with them ---- */

static int
gone(struct error **e)
{
	return fail(e, WHY_UNAVAILABLE, "the download ended before the image was whole");
}

static int say(struct child *c, struct error **e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int
say(struct child *c, struct error **e, const char *fmt, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&text, fmt, ap);
	va_end(ap);
	return send(c->fd, text, strlen(text), MSG_NOSIGNAL) < 0 ? gone(e) : 0;
}

/* 1: a word, and a descriptor or -1; 0: the end. */
static int
hear(struct child *c, char ret_word[WORD_MAX], int *ret_fd, struct error **e)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room;
	struct iovec v = { ret_word, WORD_MAX - 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof room };
	struct cmsghdr *h;
	ssize_t n;

	do
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 && errno != ECONNRESET ? fail_sys(e, "hear the downloader") : 0;
	ret_word[n] = '\0';
	*ret_fd = -1;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(h), sizeof(int));
	return 1;
}

static int
pipe_read(int fd, const char *what, size_t max, struct buf *ret, struct error **e)
{
	for (;;) {
		ssize_t n;

		buf_reserve(ret, 1 << 16);
		n = read(fd, ret->at + ret->len, 1 << 16);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(e, "read %s", what);
		if (n == 0)
			return 0;
		ret->len += n;
		if (ret->len > max)
			return fail(e, WHY_TOO_LARGE,
				    "%s: has more than %zu bytes, which is the most that is "
				    "read of such a document",
				    what, max);
	}
}

/* ---- documents ---- */

struct doc {
	struct buf text;
	char type[WORD_MAX]; /* as the registry calls it */
	char hex[HEX_SIZE];
	json_t *json;
};

static void
doc_done(struct doc *d)
{
	buf_done(&d->text);
	json_decref(d->json);
}
#define cleanup_doc __attribute__((cleanup(doc_done)))

/* `want`: the hex it must have; NULL: any, it is a tag's. */
static int
doc_hear(struct child *c, const char *what, const char *want, struct doc *ret, struct error **e)
{
	cleanup_close int fd = -1;
	char word[WORD_MAX];
	struct sha256_ctx hash;
	int rc = hear(c, word, &fd, e);

	if (rc <= 0)
		return rc < 0 ? -1 : gone(e);
	if (strncmp(word, "doc", 3) != 0 || fd < 0)
		return fail(e, WHY_INTERNAL, "the downloader says \"%s\"", word);
	snprintf(ret->type, sizeof ret->type, "%s", word[3] == ' ' ? word + 4 : "");
	ret->type[strcspn(ret->type, "; ")] = '\0';
	if (pipe_read(fd, what, DOC_MAX, &ret->text, e) < 0)
		return -1;
	if (ret->text.len == 0)
		return gone(e);
	sha256_init(&hash);
	sha256_update(&hash, ret->text.len, (const uint8_t *)ret->text.at);
	image_hex_print(&hash, ret->hex);
	if (want && strcmp(want, ret->hex) != 0)
		return fail(e, WHY_INVALID,
			    "%s: the registry sent something else, of digest sha256:%s", what,
			    ret->hex);
	return 0;
}

static int
doc_parse(struct doc *d, const char *what, struct error **e)
{
	json_error_t je;

	d->json = json_loadb(buf_text(&d->text), d->text.len, JSON_REJECT_DUPLICATES, &je);
	if (!d->json)
		return fail(e, WHY_INVALID, "%s: line %d column %d: %s", what, je.line,
			    je.column, je.text);
	return json_is_object(d->json) ? 0
				       : fail(e, WHY_INVALID, "%s: is no JSON object", what);
}

/* What a document is must be told alike by the registry, by its own word and by its
 * shape: else two readers take it for two things (CVE-2021-41190). */
static int
doc_media(const struct doc *d, const char *what, enum media *ret, struct error **e)
{
	const char *own = image_text_of(d->json, "mediaType");
	bool index = json_object_get(d->json, "manifests") != NULL;
	bool image = json_object_get(d->json, "layers") || json_object_get(d->json, "config");
	const char *type = *d->type ? d->type : own;
	enum media media = image_media_of(type);

	if (json_object_get(d->json, "schemaVersion") &&
	    json_integer_value(json_object_get(d->json, "schemaVersion")) == 1)
		return fail(e, WHY_UNSUPPORTED,
			    "%s: is a manifest of schema 1, which registries gave up in 2019; "
			    "push the image again",
			    what);
	if (*own && *d->type && strcmp(own, d->type) != 0)
		return fail(e, WHY_INVALID,
			    "%s: the registry calls it %s, and it calls itself %s", what,
			    d->type, own);
	if (media != MEDIA_INDEX && media != MEDIA_MANIFEST)
		return fail(e, WHY_UNSUPPORTED,
			    "%s: media type \"%s\" is neither a container image's nor an "
			    "index of images",
			    what, type);
	if (index == image || index != (media == MEDIA_INDEX))
		return fail(e, WHY_INVALID,
			    "%s: is called %s, but does not look like it: an index has "
			    "manifests, an image config and layers, and neither has both",
			    what, type);
	*ret = media;
	return 0;
}

static int64_t
size_of(const json_t *descriptor)
{
	const json_t *size = json_object_get(descriptor, "size");

	return json_is_integer(size) && json_integer_value(size) > 0 ? json_integer_value(size)
								     : -1;
}

/* ---- the first child: what the image is made of ---- */

struct pull {
	struct child *c;
	struct arena arena;
	const char *ref;      /* tag or digest that is asked for */
	char top[HEX_SIZE];   /* what the name stands for: an index or a manifest */
	char image[HEX_SIZE]; /* the manifest */
};

static bool
is_attestation(const json_t *d)
{
	return *image_text_of(json_object_get(d, "annotations"), "vnd.docker.reference.type");
}

/* Of the ARM variants the newest that this host is sure to run. */
static int
variant_fit(const json_t *platform)
{
	const char *v = image_text_of(platform, "variant");
	const char *arch = image_host_architecture();

	if (strcmp(arch, "arm64") == 0)
		return !*v || strcmp(v, "v8") == 0 ? 2 : 1;
	if (strcmp(arch, "arm") == 0)
		return strcmp(v, "v7") == 0 ? 3 : strcmp(v, "v6") == 0 ? 2 : 1;
	return *v ? 1 : 2; /* amd64/v3 needs a newer one than every amd64 is */
}

static int
index_choose(const json_t *index, const char **ret_digest, struct error **e)
{
	const json_t *list = json_object_get(index, "manifests"), *d;
	cleanup_buf struct buf seen = { 0 };
	int best = 0;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > 1000)
		return fail(e, WHY_INVALID,
			    "the index's manifests are no list, or a very long one");
	json_array_foreach((json_t *)list, i, d) {
		const json_t *p = json_object_get(d, "platform");
		const char *os = image_text_of(p, "os"),
			   *arch = image_text_of(p, "architecture");
		enum media media = image_media_of(image_text_of(d, "mediaType"));
		int fit = 0;

		if (is_attestation(d) || (media != MEDIA_MANIFEST && media != MEDIA_INDEX))
			continue;
		if (!p)
			fit = 1;
		else if (strcmp(os, "linux") == 0 &&
			 strcmp(arch, image_host_architecture()) == 0)
			fit = 1 + variant_fit(p);
		if (p && seen.len < 400)
			buf_addf(&seen, "%s%s/%s", seen.len ? ", " : "", os, arch);
		if (fit <= best)
			continue;
		best = fit;
		*ret_digest = image_text_of(d, "digest");
	}
	if (!best)
		return fail(e, WHY_NOT_FOUND,
			    "no matching manifest for linux/%s in the manifest list entries; "
			    "there is one for %s",
			    image_host_architecture(), seen.len ? buf_text(&seen) : "nothing");
	return 0;
}

static int
manifest_get(struct pull *p, struct doc *ret, struct error **e)
{
	const char *ref = p->ref;

	for (int depth = 0; depth < NESTING_MAX; depth++) {
		cleanup_doc struct doc d = { 0 };
		enum media media = MEDIA_OTHER;
		const char *next = NULL;

		if (say(p->c, e, "manifest %s", ref) < 0 ||
		    doc_hear(p->c, ref, image_digest_hex(ref), &d, e) < 0)
			return -1;
		if (depth == 0)
			memcpy(p->top, d.hex, HEX_SIZE);
		if (doc_parse(&d, ref, e) < 0 || doc_media(&d, ref, &media, e) < 0)
			return -1;
		if (media == MEDIA_MANIFEST) {
			memcpy(p->image, d.hex, HEX_SIZE);
			*ret = d;
			d = (struct doc){ 0 };
			return 0;
		}
		if (index_choose(d.json, &next, e) < 0)
			return fail_in(e, "%s", ref);
		if (!image_digest_hex(next)) {
			image_digest_refuse(next, e);
			return fail_in(e, "%s", ref);
		}
		ref = arena_strdup(&p->arena, next);
	}
	return fail(e, WHY_INVALID, "%s: indexes are nested deeper than %d", p->ref,
		    NESTING_MAX);
}

static int
config_get(struct pull *p, const json_t *manifest, struct doc *ret, struct error **e)
{
	const json_t *d = json_object_get(manifest, "config");
	const char *digest = image_text_of(d, "digest"), *hex = image_digest_hex(digest);
	const char *type = image_text_of(d, "mediaType");
	int64_t size = size_of(d);

	if (image_media_of(type) != MEDIA_CONFIG)
		return fail(e, WHY_UNSUPPORTED,
			    "\"%s\" is not the media type of a container image's config: this "
			    "is something else in the registry, such as a chart",
			    type);
	if (!hex) {
		image_digest_refuse(digest, e);
		return fail_in(e, "config");
	}
	if (size < 0 || size > DOC_MAX)
		return fail(e, WHY_INVALID, "the config's size is not one that can be used");
	if (say(p->c, e, "blob %s %lld", digest, (long long)size) < 0 ||
	    doc_hear(p->c, digest, hex, ret, e) < 0)
		return -1;
	if ((int64_t)ret->text.len != size)
		return fail(e, WHY_INVALID, "%s: has %zu bytes, but %lld were promised", digest,
			    ret->text.len, (long long)size);
	return 0;
}

static bool
row_there(const struct pull_table *t, const char *plain)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->row[i].plain, plain) == 0)
			return true;
	return false;
}

/* A layer into the table, unless it is here or there already. */
static int
layer_want(struct pull *p, const json_t *d, const char *plain, struct error **e)
{
	const char *digest = image_text_of(d, "digest"), *hex = image_digest_hex(digest);
	const char *type = image_text_of(d, "mediaType");
	struct pull_table *t = p->c->pull;
	int64_t size = size_of(d), unused;
	struct pull_row *row;

	if (image_media_of(type) != MEDIA_LAYER)
		return fail(e, WHY_UNSUPPORTED,
			    "media type \"%s\" is not that of a layer that can be unpacked",
			    type);
	if (!hex)
		return image_digest_refuse(digest, e);
	if (size < 0)
		return fail(e, WHY_INVALID, "its size is not one that can be used");
	if (size > p->c->budget->max_bytes)
		return fail(e, WHY_TOO_LARGE, "it has %lld bytes, the limit is %lld",
			    (long long)size, (long long)p->c->budget->max_bytes);
	if (image_layer_known(p->c, plain, &unused, &unused) || row_there(t, plain))
		return say(p->c, e, "have %s %lld", digest, (long long)size);
	row = &t->row[t->n];
	memcpy(row->stored, hex, HEX_SIZE);
	memcpy(row->plain, plain, HEX_SIZE);
	row->size = size;
	return say(p->c, e, "layer %zu %s %lld", t->n++, digest, (long long)size);
}

static int
layers_get(struct pull *p, const json_t *list, const struct config_facts *facts,
	   struct error **e)
{
	struct pull_table *t = p->c->pull;
	char word[WORD_MAX];
	int fd = -1, rc;

	if (!json_is_array(list) || json_array_size(list) != facts->nlayers ||
	    facts->nlayers > ROWS_MAX)
		return fail(e, WHY_INVALID, "lists %zu layers, the image's config %zu",
			    json_array_size(list), facts->nlayers);
	for (size_t i = 0; i < facts->nlayers; i++)
		if (layer_want(p, json_array_get(list, i), facts->diff_ids[i], e) < 0)
			return fail_in(e, "layer %zu", i);
	if (t->n == 0)
		return 0;
	if (say(p->c, e, "unpack") < 0)
		return -1;
	rc = hear(p->c, word, &fd, e);
	if (fd >= 0)
		close(fd);
	if (rc <= 0)
		return rc < 0 ? -1 : gone(e);
	for (size_t i = 0; i < t->n; i++) {
		if (!__atomic_load_n(&t->row[i].done, __ATOMIC_ACQUIRE))
			return gone(e);
		image_layer_made(p->c, t->row[i].plain, t->row[i].bytes, t->row[i].newest_s);
	}
	return 0;
}

static int
image_get(struct pull *p, struct error **e)
{
	cleanup_doc struct doc manifest = { 0 }, config = { 0 };
	cleanup_buf struct buf unused = { 0 };
	struct config_facts facts;
	char id[HEX_SIZE], digest[8 + HEX_SIZE];

	if (manifest_get(p, &manifest, e) < 0)
		return -1;
	if (config_get(p, manifest.json, &config, e) < 0 ||
	    image_config_read(buf_text(&config.text), config.text.len, &p->arena, &unused,
			      &facts, e) < 0 ||
	    layers_get(p, json_object_get(manifest.json, "layers"), &facts, e) < 0)
		return -1;
	snprintf(digest, sizeof digest, "sha256:%s", p->image);
	if (image_child_image(p->c, buf_text(&config.text), config.text.len, digest, id, e) < 0)
		return -1;
	image_items_add(&p->c->answer, "name", "%s %s sha256:%s", id, p->c->name, p->top);
	return say(p->c, e, "done");
}

/* ---- the others ---- */

static int
row_unpack(struct child *c, size_t i, int fd, struct error **e)
{
	struct pull_row *row = &c->pull->row[i];
	struct layer_want want = { row->stored, row->plain, row->size };
	char what[8 + HEX_SIZE], diff_id[HEX_SIZE];
	int64_t unused;

	snprintf(what, sizeof what, "sha256:%s", row->stored);
	if (image_child_layer(c, fd, what, &want, diff_id, &row->newest_s, e) < 0)
		return -1;
	(void)image_layer_known(c, diff_id, &row->bytes, &unused);
	__atomic_store_n(&row->done, 1, __ATOMIC_RELEASE);
	return say(c, e, "ok %zu", i);
}

static int
layers_unpack(struct child *c, struct error **e)
{
	char word[WORD_MAX];

	for (;;) {
		cleanup_close int fd = -1;
		unsigned i;
		int rc = hear(c, word, &fd, e);

		if (rc <= 0)
			return rc;
		if (sscanf(word, "layer %u", &i) != 1 || i >= c->pull->n || fd < 0)
			return fail(e, WHY_INTERNAL, "the downloader says \"%s\"", word);
		if (row_unpack(c, i, fd, e) < 0)
			return -1;
	}
}

int
image_child_pull(struct child *c, struct error **e)
{
	const char *at = strchr(c->name, '@');
	struct pull p = { .c = c };
	int rc;

	if (c->number)
		return layers_unpack(c, e);
	p.ref = at ? at + 1 : strrchr(c->name, ':') + 1;
	rc = image_get(&p, e);
	arena_free(&p.arena);
	return rc;
}
