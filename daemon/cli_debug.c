/* cli_debug.c -- `kedge debug`: one more container in a pod that runs, to look into it. */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include "cli.h"
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { LOOK_US = 100000, LOOKS_MAX = 6000 }; /* its image may have to come first */

/* "debugger-x7k2p" */
static const char *
name_new(struct cli_call *c)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	unsigned char bytes[5] = { 0 };
	char name[sizeof bytes + 1] = "";

	(void)!getrandom(bytes, sizeof bytes, 0);
	for (size_t i = 0; i < sizeof bytes; i++)
		name[i] = letters[bytes[i] % (sizeof letters - 1)];
	return arena_printf(c->arena, "debugger-%s", name);
}

/* What is piped in ends, and its program reads that end; a terminal has none. */
static char *
patch_of(struct cli_call *c, const char *name, bool talks)
{
	json_t *container =
	    json_pack("{s:s, s:s, s:s}", "name", name, "image", cli_opt(c, OPT_image),
		      "terminationMessagePolicy", "File");
	json_t *patch, *words = json_array();
	char *text;

	for (size_t i = 0; i < c->nrest; i++)
		json_array_append_new(words, json_string(c->rest[i]));
	if (json_array_size(words))
		json_object_set(container, "command", words);
	if (cli_opt(c, OPT_target))
		json_object_set_new(container, "targetContainerName",
				    json_string(cli_opt(c, OPT_target)));
	if (cli_opt(c, OPT_stdin))
		json_object_set_new(container, "stdin", json_true());
	if (cli_opt(c, OPT_tty))
		json_object_set_new(container, "tty", json_true());
	else if (talks)
		json_object_set_new(container, "stdinOnce", json_true());
	patch = json_pack("{s:{s:[o]}}", "spec", "ephemeralContainers", container);
	text = json_dumps(patch, JSON_COMPACT);
	json_decref(patch);
	json_decref(words);
	return text;
}

static json_t *
status_of(json_t *pod, const char *name)
{
	json_t *st;
	size_t i;

	json_array_foreach(cli_path(pod, "status.ephemeralContainerStatuses"), i, st) {
		const char *is = json_string_value(json_object_get(st, "name"));

		if (is && !strcmp(is, name))
			return json_object_get(st, "state");
	}
	return NULL;
}

/* Until it runs or has ended: *ret_code is -1, or its exit code.  What it waits for for good
 * is an error. */
static int
wait_until_begun(struct cli_call *c, const char *url, const char *name, int *ret_code,
		 struct error **e)
{
	const char *why = "";

	for (int i = 0; i < LOOKS_MAX; i++) {
		json_t *pod = cli_json(c, "GET", url, NULL, NULL, e), *st, *end;
		bool begun;

		if (!pod)
			return -1;
		st = status_of(pod, name);
		begun = st && !json_object_get(st, "waiting");
		end = cli_path(st, "terminated.exitCode");
		*ret_code = end ? (int)json_integer_value(end) : -1;
		why = cli_at(c, st, "terminated.reason");
		if (!strcmp(why, "ContainerCannotRun") || !strcmp(why, "StartError")) {
			fail(e, WHY_UNAVAILABLE, "container %s: %s", name,
			     cli_at(c, st, "terminated.message"));
			json_decref(pod);
			return -1;
		}
		why = st ? cli_at(c, st, "waiting.reason") : "";
		if (*why && strcmp(why, "ContainerCreating") &&
		    strcmp(why, "PodInitializing")) {
			fail(e, WHY_UNAVAILABLE, "container %s: %s: %s", name, why,
			     cli_at(c, st, "waiting.message"));
			json_decref(pod);
			return -1;
		}
		json_decref(pod);
		if (begun)
			return 0;
		usleep(LOOK_US);
	}
	return fail(e, WHY_UNAVAILABLE, "container %s did not start within ten minutes", name);
}

/* As if `-c NAME` had been typed, and nothing after it. */
static struct cli_call
call_within(struct cli_call *c, const char *name)
{
	struct cli_call inner = *c;

	inner.given = arena_alloc(c->arena, (c->ngiven + 1) * sizeof *inner.given);
	if (c->ngiven)
		memcpy(inner.given, c->given, c->ngiven * sizeof *inner.given);
	inner.given[inner.ngiven++] = (struct cli_given){ OPT_container, name };
	inner.nrest = 0;
	return inner;
}

/* What runs in the new container is talked to; what has ended already has left its words in
 * the log. */
static int
talk(struct cli_call *c, const char *url, const char *name, int code, struct error **e)
{
	struct cli_call inner = call_within(c, name);
	cleanup_error struct error *why = NULL;
	int rc;

	if (code < 0) {
		if (cli_opt(c, OPT_tty))
			fputs("If you don't see a command prompt, try pressing enter.\n",
			      stderr);
		rc = cli_attach(&inner, &why);
		if (rc < 0 && wait_until_begun(c, url, name, &code, NULL) < 0)
			code = -1;
		if (rc < 0 && code < 0)
			return fail_with(e, &why);
		if (rc >= 0)
			return rc;
	}
	return cli_logs(&inner, e) < 0 ? -1 : code;
}

int
cli_debug(struct cli_call *c, struct error **e)
{
	bool talks = cli_opt(c, OPT_stdin) || cli_opt(c, OPT_tty);
	const char *name = cli_opt(c, OPT_container), *pod, *url;
	cleanup_free char *patch = NULL;
	json_t *answer;
	int code;

	if (!cli_opt(c, OPT_image))
		return fail(e, WHY_BAD_REQUEST,
			    "kedge debug needs --image NAME: one with the tools to look with, "
			    "such as busybox; `kedge image ls` lists those that are here");
	pod = cli_pod(c, c->args[0], e);
	if (!pod)
		return -1;
	if (!name) {
		name = name_new(c);
		if (talks)
			fprintf(stderr, "Defaulting debug container name to %s.\n", name);
	}
	url = cli_url(c, &resources[RES_pod], pod);
	patch = patch_of(c, name, talks);
	answer = cli_json(c, "PATCH", arena_printf(c->arena, "%s/ephemeralcontainers", url),
			  NULL, patch, e);
	if (!answer)
		return -1;
	json_decref(answer);
	if (wait_until_begun(c, url, name, &code, e) < 0)
		return -1;
	if (talks)
		return talk(c, url, name, code, e);
	fprintf(c->out,
		"container %s was added to pod %s; what it prints: kedge logs %s -c %s%s%s\n",
		name, pod, pod, name, cli_opt(c, OPT_namespace) ? " -n " : "",
		cli_opt(c, OPT_namespace) ? cli_opt(c, OPT_namespace) : "");
	return 0;
}
