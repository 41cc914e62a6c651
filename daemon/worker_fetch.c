/* worker_fetch.c -- see worker_remote.h. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/map.h"
#include "worker_git.h"
#include "worker_remote.h"
#include <string.h>
#include <unistd.h>

enum {
	STALL_S = 30, /* without a byte */
	BYTES_MAX = 1 << 30,
	OBJECTS_MAX = 2000000,
};

struct fetch {
	const struct watch_args *args;
	bool offered, too_large; /* the credentials were tried; the pack had to be refused */
};

/* ---- addresses ---- */

/* "host" of "scheme://user@host:port/path" or "user@host:path", in buf. */
static void
host_of(const char *url, char buf[256])
{
	const char *p = strstr(url, "://");
	const char *end, *at;
	size_t n;

	p = p ? p + 3 : url;
	end = p + strcspn(p, "/");
	at = memrchr(p, '@', end - p);
	if (at)
		p = at + 1;
	n = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/");
	snprintf(buf, 256, "%.*s", n < 255 ? (int)n : 255, p);
}

bool
remote_is_ssh(const char *url)
{
	return !strncmp(url, "ssh://", 6) || !strstr(url, "://");
}

int
remote_check_url(const char *url, struct error **e)
{
	const char *p = strstr(url, "://");
	char host[256];

	host_of(url, host);
	if (!*host)
		return fail(e, WHY_INVALID, "%s: names no host", url);
	if (!p)
		return strchr(url, ':')
			   ? 0
			   : fail(e, WHY_INVALID,
				  "%s: is no address: https://, ssh:// or a path that "
				  "begins with /",
				  url);
	p += 3;
	if (memchr(p, '@', strcspn(p, "/")) &&
	    memchr(p, ':', (const char *)memchr(p, '@', strcspn(p, "/")) - p))
		return fail(
		    e, WHY_INVALID,
		    "the address for %s has a password in it, which logs would show: put "
		    "it into a file and name that as tokenFile",
		    host);
	if (!strncmp(url, "https://", 8) || !strncmp(url, "ssh://", 6))
		return 0;
	if (!strncmp(url, "http://", 7))
		return !strcmp(host, "localhost") || !strncmp(host, "127.", 4) ||
			       !strcmp(host, "[::1]")
			   ? 0
			   : fail(
				 e, WHY_INVALID,
				 "%s: http is not protected and allowed to this host only: use "
				 "https",
				 url);
	return fail(e, WHY_INVALID, "%s: only https://, ssh:// and local paths can be watched",
		    url);
}

/* ---- credentials ---- */

static int
read_line(const char *path, char line[4096])
{
	cleanup_fclose FILE *f = fopen(path, "re");

	if (!f || !fgets(line, 4096, f))
		return -1;
	line[strcspn(line, "\r\n")] = 0;
	return *line ? 0 : -1;
}

static int
use_token(git_credential **ret, const char *file)
{
	char line[4096], *colon;
	int rc;

	if (read_line(file, line)) {
		git_error_set_str(GIT_ERROR_CALLBACK, "tokenFile cannot be read");
		return GIT_EAUTH;
	}
	colon = strchr(line, ':');
	if (colon)
		*colon++ = 0;
	/* GitHub, GitLab and Gitea take any name with a token. */
	rc = git_credential_userpass_plaintext_new(ret, colon ? line : "kedge",
						   colon ? colon : line);
	explicit_bzero(line, sizeof line);
	return rc;
}

static int
on_credentials(git_credential **ret, const char *url, const char *user, unsigned allowed,
	       void *ctx)
{
	struct fetch *f = ctx;
	const char *key =
	    f->args->sshKey && *f->args->sshKey ? f->args->sshKey : "/etc/kedge/id_ed25519";
	const char *token = f->args->tokenFile;
	char asked[256], meant[256];

	if (allowed & GIT_CREDENTIAL_USERNAME)
		return git_credential_username_new(ret, user ? user : "git");
	if (f->offered) {
		git_error_set_str(GIT_ERROR_CALLBACK, allowed & GIT_CREDENTIAL_SSH_KEY
							  ? "the server refuses the key"
							  : "the server refuses the token");
		return GIT_EAUTH;
	}
	f->offered = true;
	/* A redirect must not carry the token to somebody else. */
	host_of(url, asked);
	host_of(f->args->url, meant);
	if (strcmp(asked, meant)) {
		git_error_set_str(GIT_ERROR_CALLBACK, "another host asks for the token");
		return GIT_EAUTH;
	}
	if (allowed & GIT_CREDENTIAL_SSH_KEY) {
		if (access(key, R_OK)) {
			git_error_set_str(
			    GIT_ERROR_CALLBACK,
			    "the server asks for a key: name one as sshKey, or put "
			    "it at /etc/kedge/id_ed25519");
			return GIT_EAUTH;
		}
		return git_credential_ssh_key_new(ret, user ? user : "git", NULL, key, "");
	}
	if ((allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) && token && *token)
		return use_token(ret, token);
	git_error_set_str(
	    GIT_ERROR_CALLBACK,
	    "the server asks who we are: put a token into a file and name that as "
	    "tokenFile");
	return GIT_EAUTH;
}

/* ---- the fetch ---- */

static int
on_progress(const git_indexer_progress *p, void *ctx)
{
	struct fetch *f = ctx;

	alarm(STALL_S); /* bytes came: start anew */
	if (p->received_bytes <= BYTES_MAX && p->total_objects <= OBJECTS_MAX)
		return 0;
	f->too_large = true;
	return -1;
}

static int
on_text(const char *text, int len, void *ctx)
{
	(void)text;
	(void)len;
	(void)ctx;
	alarm(STALL_S);
	return 0;
}

/* The libraries decide about certificates and host keys, and refuse by default. */
static int
on_certificate(git_cert *cert, int valid, const char *host, void *ctx)
{
	(void)cert;
	(void)host;
	(void)ctx;
	return valid ? GIT_PASSTHROUGH : GIT_ECERTIFICATE;
}

static bool
ref_matches(const char *remote, const char *ref)
{
	return (!strncmp(remote, "refs/heads/", 11) && !strcmp(remote + 11, ref)) ||
	       (!strncmp(remote, "refs/tags/", 10) && !strcmp(remote + 10, ref)) ||
	       (!strncmp(ref, "refs/", 5) && !strcmp(remote, ref));
}

/* What is no longer on the server is not here either: a branch that went must not be taken for
 * the tag that has its name now. */
static int
drop_stale(git_repository *repo, const git_remote_head **heads, size_t n)
{
	git_strarray here = { 0 };
	struct map there = { 0 };
	int rc = git_reference_list(&here, repo);

	for (size_t i = 0; i < n; i++)
		map_put(&there, heads[i]->name, repo);
	for (size_t i = 0; i < here.count && !rc; i++)
		if (!map_get(&there, here.strings[i]))
			rc = git_reference_remove(repo, here.strings[i]);
	map_done(&there);
	git_strarray_dispose(&here);
	return rc;
}

/* Which ref of the server is meant, and is it here already?  "" when a commit is
 * meant: then everything is fetched. */
static int
choose(struct fetch *f, git_remote *remote, git_repository *repo, char ret[1024],
       bool *ret_known, struct error **e)
{
	const char *ref = f->args->ref ? f->args->ref : "";
	const git_remote_head **heads;
	git_buf head = { 0 };
	git_oid here;
	size_t n;
	int rc = git_remote_ls(&heads, &n, remote);

	if (rc || (rc = drop_stale(repo, heads, n)))
		return fail_git(e, rc, "%s", f->args->url);
	*ret = 0;
	*ret_known = false;
	if (!*ref && !git_remote_default_branch(&head, remote))
		snprintf(ret, 1024, "%s", head.ptr);
	git_buf_dispose(&head);
	if (!*ref && !*ret)
		return fail(
		    e, WHY_NOT_FOUND,
		    "%s: has no branch yet, or does not say which is its main one: name "
		    "one, or push a commit",
		    f->args->url);
	for (size_t i = 0; i < n; i++) {
		if (*ref ? !ref_matches(heads[i]->name, ref) : strcmp(heads[i]->name, ret))
			continue;
		snprintf(ret, 1024, "%s", heads[i]->name);
		*ret_known = !git_reference_name_to_id(&here, repo, ret) &&
			     git_oid_equal(&here, &heads[i]->oid);
		return 0;
	}
	if (strlen(ref) >= 7 && strlen(ref) <= GIT_OID_HEXSZ &&
	    !ref[strspn(ref, "0123456789abcdef")])
		return 0;
	return git_no_such_ref(f->args, f->args->url, *ref ? ref : ret, e);
}

static int
why_fetch_failed(struct fetch *f, int rc, struct error **e)
{
	if (f->too_large)
		return fail(e, WHY_TOO_LARGE,
			    "%s: is larger than the %d MiB or %d objects that kedge fetches",
			    f->args->url, BYTES_MAX >> 20, OBJECTS_MAX);
	if (rc == GIT_ECERTIFICATE && remote_is_ssh(f->args->url))
		return fail(
		    e, WHY_FORBIDDEN,
		    "%s: the server's host key is not the one in known_hosts: if the server "
		    "was changed on purpose, put its new key there",
		    f->args->url);
	return fail_git(e, rc, "%s", f->args->url);
}

int
remote_fetch(const struct watch_args *args, git_repository *repo, struct error **e)
{
	cleanup_git(git_remote) git_remote *remote = NULL;
	cleanup_git(git_reference) git_reference *head = NULL;
	git_fetch_options o = GIT_FETCH_OPTIONS_INIT;
	struct fetch f = { .args = args };
	char ref[1024], spec[2100];
	char *specs[] = { spec, "+refs/tags/*:refs/tags/*" };
	git_strarray want = { specs, 1 };
	bool known = false;
	int rc;

	o.callbacks.credentials = on_credentials;
	o.callbacks.certificate_check = on_certificate;
	o.callbacks.transfer_progress = on_progress;
	o.callbacks.sideband_progress = on_text;
	o.callbacks.payload = &f;
	o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	o.update_fetchhead = 0;
	o.proxy_opts.type = GIT_PROXY_AUTO;
	alarm(STALL_S);
	rc = git_remote_create_anonymous(&remote, repo, args->url);
	if (!rc)
		rc = git_remote_connect(remote, GIT_DIRECTION_FETCH, &o.callbacks,
					&o.proxy_opts, NULL);
	if (rc)
		return why_fetch_failed(&f, rc, e);
	if (choose(&f, remote, repo, ref, &known, e))
		return -1;
	git_remote_disconnect(remote);
	if (!known) {
		snprintf(spec, sizeof spec, "+%s:%s", *ref ? ref : "refs/heads/*",
			 *ref ? ref : "refs/heads/*");
		want.count = *ref ? 1 : 2;
		f.offered = false;
		alarm(STALL_S);
		rc = git_remote_fetch(remote, &want, &o, NULL);
		if (rc)
			return why_fetch_failed(&f, rc, e);
	}
	alarm(0);
	if (!strncmp(ref, "refs/heads/", 11) && !(args->ref && *args->ref) &&
	    (rc = git_reference_symbolic_create(&head, repo, "HEAD", ref, 1, NULL)))
		return fail_git(e, rc, "%s: HEAD", args->url);
	return 0;
}
