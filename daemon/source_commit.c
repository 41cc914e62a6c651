/* source_commit.c -- a commit object's text, to what kedge wants of it.
 *
 * Foreign bytes: what is shown later is made valid UTF-8 without control
 * characters here, once.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/utf8.h"
#include "source_priv.h"
#include <ctype.h>
#include <string.h>

enum { MESSAGE_MAX = 16 << 10 };

char *
text_clean(const char *text, size_t len)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(text + i, len - i);
		unsigned char c = text[i];

		if (n == 0 || (n == 1 && (c < 0x20 || c == 0x7f) && c != '\n' && c != '\t'))
			buf_addc(&b, '?');
		else
			buf_add(&b, text + i, n);
		i += n ? n : 1;
	}
	return buf_steal(&b);
}

/* "Name <mail> 1700000000 +0100" */
static int
parse_person(const char *line, size_t len, struct source_head *h)
{
	const char *gt = memrchr(line, '>', len);
	char *end;
	long long t;

	if (!gt)
		return -1;
	t = strtoll(gt + 1, &end, 10); /* stops at the line's end at the latest */
	if (end == gt + 1 || t < 0 || t > INT64_MAX / 2000)
		return -1;
	h->author = text_clean(line, gt + 1 - line);
	h->time_ms = t * 1000;
	return 0;
}

static bool
has_prune_trailer(const char *message)
{
	git_message_trailer_array all = { 0 };
	bool yes = false;

	if (git_message_trailers(&all, message))
		return false;
	for (size_t i = 0; i < all.count; i++)
		if (!strcasecmp(all.trailers[i].key, "Kedge-Prune") &&
		    !strcasecmp(all.trailers[i].value, "yes"))
			yes = true;
	git_message_trailer_array_free(&all);
	return yes;
}

static int
commit_parse(const char *id, const char *text, size_t len, struct source_head *ret,
	     struct error **e)
{
	struct source_head h = { 0 };
	const char *at = text, *end = text + len;
	git_oid tree;

	if (len < 46 || memcmp(at, "tree ", 5) || at[45] != '\n' ||
	    git_oid_fromstrn(&tree, at + 5, GIT_OID_HEXSZ))
		goto bad;
	git_oid_tostr(h.tree, sizeof h.tree, &tree);
	snprintf(h.commit, sizeof h.commit, "%s", id);
	for (at += 46; at < end && *at != '\n';) {
		const char *nl = memchr(at, '\n', end - at);

		if (!nl)
			goto bad;
		if (!h.author && nl - at > 7 && !memcmp(at, "author ", 7) &&
		    parse_person(at + 7, nl - at - 7, &h))
			goto bad;
		at = nl + 1;
	}
	if (!h.author)
		goto bad;
	if (at < end)
		at++;
	while (at < end && *at == '\n')
		at++;
	h.message = text_clean(at, end - at < MESSAGE_MAX ? end - at : MESSAGE_MAX);
	h.prune_ok = has_prune_trailer(h.message);
	*ret = h;
	return 0;
bad:
	source_head_done(&h);
	return fail(e, WHY_INVALID,
		    "commit %s is malformed: check the repository with git fsck", id);
}

void
source_head_done(struct source_head *h)
{
	free(h->author);
	free(h->message);
	*h = (struct source_head){ 0 };
}

int
source_commit_info(struct sources *s, const char *commit, struct source_head *ret,
		   struct error **e)
{
	struct mirror_object o = { 0 };
	git_oid id;
	int rc;

	if (strlen(commit) != GIT_OID_HEXSZ || git_oid_fromstr(&id, commit))
		return fail(e, WHY_INVALID, "\"%s\" is not a commit", commit);
	if (mirror_get(s->mirror, &id, GIT_OBJECT_COMMIT, &o, e))
		return -1;
	rc = commit_parse(commit, o.data, o.len, ret, e);
	mirror_object_done(&o);
	return rc;
}
