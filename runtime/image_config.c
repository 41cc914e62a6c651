/* image_config.c -- an image's JSON to the record that the hand reads, and back.
 *
 * Runs in the fenced child.  Docker's config and OCI's differ in nothing that
 * is read here.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define LAYERS_MAX 128 /* Docker stops at 127; overlayfs at 500 */
#define WORDS_MAX  4096
#define USER_MAX   256 /* no name of a user is longer */

const char *
image_host_architecture(void)
{
	static const struct {
		const char *machine, *go;
	} names[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },   { "armv7l", "arm" },
		{ "armv6l", "arm" },   { "i686", "386" },        { "riscv64", "riscv64" },
		{ "s390x", "s390x" },  { "ppc64le", "ppc64le" }, { "loongarch64", "loong64" },
	};
	struct utsname u;

	if (uname(&u) == 0)
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (strcmp(u.machine, names[i].machine) == 0)
				return names[i].go;
	return "unknown";
}

static int
word_add(struct buf *record, const char *key, const char *field, const json_t *v,
	 struct error **e)
{
	if (!json_is_string(v))
		return fail(e, WHY_INVALID, "the image's config: %s must be a string", field);
	if (json_string_length(v) != strlen(json_string_value(v)))
		return fail(e, WHY_INVALID, "the image's config: %s holds a NUL byte", field);
	image_items_add(record, key, "%s", json_string_value(v));
	return 0;
}

static int
words_add(struct buf *record, const char *key, const char *field, const json_t *list,
	  struct error **e)
{
	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return fail(e, WHY_INVALID, "the image's config: %s must be a list", field);
	if (json_array_size(list) > WORDS_MAX)
		return fail(e, WHY_TOO_LARGE, "the image's config: %s has more than %d members",
			    field, WORDS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (word_add(record, key, field, json_array_get(list, i), e) < 0)
			return -1;
	return 0;
}

/* Both are objects, of which the names count. */
static void
names_add(struct buf *record, const char *key, const json_t *names)
{
	for (void *at = json_object_iter((json_t *)names); at;
	     at = json_object_iter_next((json_t *)names, at))
		image_items_add(record, key, "%s", json_object_iter_key(at));
}

static int
run_facts_read(const json_t *config, struct buf *record, struct error **e)
{
	static const struct {
		const char *field, *key;
	} lists[] = { { "Entrypoint", "entrypoint" }, { "Cmd", "cmd" }, { "Env", "env" } },
	  texts[] = { { "WorkingDir", "working_dir" },
		      { "User", "user" },
		      { "StopSignal", "stop_signal" } };

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if (words_add(record, lists[i].key, lists[i].field,
			      json_object_get(config, lists[i].field), e) < 0)
			return -1;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const json_t *v = json_object_get(config, texts[i].field);

		if (v && !json_is_null(v) &&
		    word_add(record, texts[i].key, texts[i].field, v, e) < 0)
			return -1;
	}
	if (json_string_length(json_object_get(config, "User")) > USER_MAX)
		return fail(e, WHY_TOO_LARGE,
			    "the image's config: User is longer than %d bytes", USER_MAX);
	names_add(record, "port", json_object_get(config, "ExposedPorts"));
	names_add(record, "volume", json_object_get(config, "Volumes"));
	return 0;
}

/* "2024-05-01T10:11:12.123Z" to ms; 0 when there is none, for it is only shown. */
static int64_t
created_read(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	return rest ? (int64_t)timegm(&tm) * 1000 : 0;
}

static int
platform_check(const json_t *root, struct error **e)
{
	const char *os = json_string_value(json_object_get(root, "os"));
	const char *arch = json_string_value(json_object_get(root, "architecture"));

	if (os && *os && strcmp(os, "linux") != 0)
		return fail(e, WHY_INVALID, "the image is for %s; only linux images run here",
			    os);
	if (arch && *arch && strcmp(arch, image_host_architecture()) != 0)
		return fail(e, WHY_INVALID,
			    "the image is for %s, this host is %s: load one built for %s", arch,
			    image_host_architecture(), image_host_architecture());
	return 0;
}

static int
diff_ids_read(const json_t *root, struct arena *a, struct config_facts *ret, struct error **e)
{
	const json_t *ids = json_object_get(json_object_get(root, "rootfs"), "diff_ids");
	size_t n = json_array_size(ids);

	if (!json_is_array(ids) || n == 0)
		return fail(e, WHY_INVALID,
			    "the image's config: rootfs.diff_ids lists no layer");
	if (n > LAYERS_MAX)
		return fail(e, WHY_TOO_LARGE,
			    "the image has %zu layers; at most %d can be stacked", n,
			    LAYERS_MAX);
	ret->nlayers = n;
	ret->diff_ids = arena_alloc(a, n * sizeof *ret->diff_ids);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(ids, i));
		const char *hex = image_digest_hex(text);

		if (!hex) {
			image_digest_refuse(text ? text : "", e);
			return fail_in(e, "the image's config: diff_ids[%zu]", i);
		}
		memcpy(ret->diff_ids[i], hex, HEX_SIZE);
	}
	return 0;
}

int
image_config_read(const char *json, size_t len, struct arena *a, struct buf *record,
		  struct config_facts *ret, struct error **e)
{
	struct config_facts facts = { 0 };
	const json_t *config;
	json_error_t je;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &je);
	int rc = -1;

	if (!root)
		return fail(e, WHY_INVALID, "the image's config:%d:%d: %s", je.line, je.column,
			    je.text);
	config = json_object_get(root, "config");
	if (!json_is_object(root))
		fail(e, WHY_INVALID, "the image's config must be an object");
	else if (platform_check(root, e) == 0 && diff_ids_read(root, a, &facts, e) == 0 &&
		 run_facts_read(config, record, e) == 0)
		rc = 0;
	if (rc == 0) {
		image_items_add(record, "created", "%lld",
				(long long)created_read(
				    json_string_value(json_object_get(root, "created"))));
		*ret = facts;
	}
	json_decref(root);
	return rc;
}

static json_t *
words_make(const char *const *words)
{
	json_t *list = json_array();

	for (size_t i = 0; words && words[i]; i++)
		json_array_append_new(list, json_string(words[i]));
	return list;
}

static void
text_set(json_t *o, const char *field, const char *text)
{
	if (text && *text)
		json_object_set_new(o, field, json_string(text));
}

/* The same tree with the same options gives the same bytes, and so the same id:
 * the time is that of the youngest file, not of the import. */
char *
image_config_make(const struct image_config *c, const char *diff_id, int64_t created_s)
{
	json_t *root = json_object(), *config = json_object(), *ports = json_object(), *fs;
	char digest[8 + HEX_SIZE], created[32] = "1970-01-01T00:00:00Z", *out;
	time_t at = created_s;
	struct tm tm;

	if (gmtime_r(&at, &tm) && tm.tm_year < 8100)
		strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(digest, sizeof digest, "sha256:%s", diff_id);
	json_object_set_new(root, "created", json_string(created));
	json_object_set_new(root, "architecture", json_string(image_host_architecture()));
	json_object_set_new(root, "os", json_string("linux"));
	for (size_t i = 0; c->ports && c->ports[i]; i++) {
		cleanup_free char *port = NULL;

		xasprintf(&port, "%s%s", c->ports[i], strchr(c->ports[i], '/') ? "" : "/tcp");
		json_object_set_new(ports, port, json_object());
	}
	if (c->env && c->env[0])
		json_object_set_new(config, "Env", words_make(c->env));
	if (c->entrypoint && c->entrypoint[0])
		json_object_set_new(config, "Entrypoint", words_make(c->entrypoint));
	if (c->cmd && c->cmd[0])
		json_object_set_new(config, "Cmd", words_make(c->cmd));
	if (json_object_size(ports) > 0)
		json_object_set(config, "ExposedPorts", ports);
	json_decref(ports);
	text_set(config, "WorkingDir", c->working_dir);
	text_set(config, "User", c->user);
	json_object_set_new(root, "config", config);
	fs = json_pack("{s:s, s:[s]}", "type", "layers", "diff_ids", digest);
	json_object_set_new(root, "rootfs", fs);
	out = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return out;
}
