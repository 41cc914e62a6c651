/* hand_etc.c -- see hand_etc.h.
 *
 * The files are read at each start of a pod, as the kubelet does, for a host's
 * servers may change.  Only root writes them.
 */
#include "hand_etc.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/text.h"
#include "files.h"
#include <string.h>

/* What a resolver reads, and so what Kubernetes writes. */
enum { SERVERS_MAX = 3, SEARCHES_MAX = 32, FILE_MAX = 64 << 10 };

struct words {
	const char *at[64];
	size_t n, most;
};

/* Once each; what is beyond the most is left out. */
static void
add(struct words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->at[i], word))
			return;
	if (w->n < w->most)
		w->at[w->n++] = word;
}

/* A later value of an option takes the place of the one before. */
static void
add_option(struct words *w, const char *option)
{
	size_t name = strcspn(option, ":");

	for (size_t i = 0; i < w->n; i++)
		if (strcspn(w->at[i], ":") == name && !strncmp(w->at[i], option, name)) {
			w->at[i] = option;
			return;
		}
	if (w->n < w->most)
		w->at[w->n++] = option;
}

struct resolver {
	struct words servers, searches, options;
};

/* One line: "nameserver A", "search A B", "options A B"; the last search counts. */
static void
line_read(struct resolver *r, char *line)
{
	char *rest = line, *key = strsep(&rest, " \t"), *word;
	struct words *to = !strcmp(key, "nameserver") ? &r->servers
			   : !strcmp(key, "search")   ? &r->searches
			   : !strcmp(key, "options")  ? &r->options
						      : NULL;

	if (!to)
		return;
	if (to == &r->searches)
		to->n = 0;
	while ((word = strsep(&rest, " \t")))
		if (*word && to == &r->options)
			add_option(to, word);
		else if (*word)
			add(to, word);
}

static void
resolver_read(struct resolver *r, const char *text, struct arena *a)
{
	char *copy = arena_strdup(a, text), *line;

	while ((line = strsep(&copy, "\n"))) {
		line += strspn(line, " \t");
		line[strcspn(line, "#;")] = '\0';
		line_read(r, line);
	}
}

static struct resolver
resolver_new(void)
{
	return (struct resolver){ .servers.most = SERVERS_MAX,
				  .searches.most = SEARCHES_MAX,
				  .options.most = 64 };
}

static const char *
line_of(const char *key, const struct words *w, struct arena *a)
{
	const char *line = key;

	for (size_t i = 0; i < w->n; i++)
		line = arena_printf(a, "%s %s", line, w->at[i]);
	return line;
}

const char *const *
etc_resolv(const struct dns_args *d, const char *host, struct arena *a)
{
	struct resolver theirs = resolver_new(), all = resolver_new();
	const char **lines = arena_zalloc(a, (SERVERS_MAX + 3) * sizeof *lines);
	bool whole = str_is(d->host, "all");
	size_t n = 0;

	if (whole || str_is(d->host, "searches"))
		resolver_read(&theirs, host, a);
	for (size_t i = 0; whole && i < theirs.servers.n; i++)
		add(&all.servers, theirs.servers.at[i]);
	for (size_t i = 0; i < d->nameservers.n; i++)
		add(&all.servers, d->nameservers.at[i]);
	for (size_t i = 0; i < d->clusterSearches.n; i++)
		add(&all.searches, d->clusterSearches.at[i]);
	for (size_t i = 0; i < theirs.searches.n; i++)
		add(&all.searches, theirs.searches.at[i]);
	for (size_t i = 0; i < d->searches.n; i++)
		add(&all.searches, d->searches.at[i]);
	for (size_t i = 0; whole && i < theirs.options.n; i++)
		add_option(&all.options, theirs.options.at[i]);
	for (size_t i = 0; i < d->options.n; i++)
		add_option(&all.options, d->options.at[i]);
	if (all.searches.n)
		lines[n++] = line_of("search", &all.searches, a);
	for (size_t i = 0; i < all.servers.n; i++)
		lines[n++] = arena_printf(a, "nameserver %s", all.servers.at[i]);
	if (all.options.n)
		lines[n] = line_of("options", &all.options, a);
	return lines;
}

static const char *
file_text(const char *path, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };

	return file_read(path, FILE_MAX, &text, NULL) < 0 ? ""
							  : arena_strdup(a, buf_text(&text));
}

static bool
only_loopback(const char *text, struct arena *a)
{
	struct resolver r = resolver_new();

	resolver_read(&r, text, a);
	for (size_t i = 0; i < r.servers.n; i++)
		if (strncmp(r.servers.at[i], "127.", 4) && strcmp(r.servers.at[i], "::1"))
			return false;
	return r.servers.n > 0;
}

const char *
etc_host_resolv(struct arena *a)
{
	const char *text = file_text("/etc/resolv.conf", a), *behind = "";

	if (only_loopback(text, a))
		behind = file_text("/run/systemd/resolve/resolv.conf", a);
	return *behind ? behind : text;
}

const char *const *
etc_hosts_with_host(const struct strs *lines, struct arena *a)
{
	const char *text = file_text("/etc/hosts", a);
	const char **at = arena_zalloc(a, (lines->n + 2) * sizeof *at);
	size_t n = 0, len = strlen(text);

	if (lines->n)
		at[n++] = lines->at[0];
	if (len && text[len - 1] == '\n') /* each line gets its own */
		len--;
	at[n++] = arena_strndup(a, text, len);
	for (size_t i = 1; i < lines->n; i++)
		at[n++] = lines->at[i];
	return at;
}
