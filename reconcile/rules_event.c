/* rules_event.c -- what Kubernetes demands of an Event of v1 (legacyValidateEvent), in its
 * words.
 *
 * Clients of two ages write them: the older counts on a first and a last timestamp, the newer
 * states an eventTime, and with it has to say who did what.
 */
#include "base/arena.h"
#include "base/text.h"
#include "object.h"
#include "rules.h"
#include <string.h>

enum {
	WORD_MAX = 128,      /* bytes, of an Event with an eventTime */
	MESSAGE_MAX = 1024,  /* the same */
	EVENT_MAX = 32 << 10 /* bytes of memory; kedge's own bound */
};

static void
needed(const char *value, const char *field, const struct place *at)
{
	if (str_is(value, ""))
		place_complain(at, field, "Required value");
}

static void
bounded(const char *value, size_t most, const char *field, const struct place *at)
{
	if (value && strlen(value) > most)
		place_complain(at, field,
			       "Invalid value: \"\": can have at most %zu characters", most);
}

static void
word_check(const char *value, const char *field, const struct place *at)
{
	needed(value, field, at);
	bounded(value, WORD_MAX, field, at);
}

static void
reporter_check(const struct event *ev, const struct place *at)
{
	const char *who = ev->reportingComponent,
		   *why = str_given(who) ? is_label_key(who, at->arena) : NULL;

	needed(who, "reportingComponent", at);
	if (why)
		place_complain(at, "reportingComponent", "Invalid value: \"%.300s\": %s", who,
			       why);
	word_check(ev->reportingInstance, "reportingInstance", at);
}

/* That of an object in no namespace stands in `default`; by newer clients in kube-system, too.
 */
static bool
is_beside(const struct event *ev, const char *about)
{
	const char *ns = ev->metadata->namespace;

	if (!str_is(about, ""))
		return ev->eventTime || str_is(ns, about);
	return str_is(ns, "default") || (ev->eventTime && str_is(ns, "kube-system"));
}

void
event_check(const void *obj, const struct place *at)
{
	const struct event *ev = obj;
	const char *about = ev->involvedObject ? ev->involvedObject->namespace : NULL;

	if (!place_ok(at, "metadata") || !place_ok(at, "involvedObject") ||
	    !place_ok(at, "eventTime"))
		return;
	if (ev->metadata->finalizers.n)
		place_complain(at, "metadata.finalizers",
			       "Forbidden: an Event goes by itself, after an hour");
	if (schema_room(event_kind(), ev) > EVENT_MAX)
		place_complain(at, "", "Too long: may not be more than %d bytes", EVENT_MAX);
	if (!is_beside(ev, about))
		place_complain(at, "involvedObject.namespace",
			       "Invalid value: \"%.300s\": does not match event.namespace",
			       about ? about : "");
	if (!ev->eventTime)
		return;
	reporter_check(ev, at);
	word_check(ev->action, "action", at);
	word_check(ev->reason, "reason", at);
	bounded(ev->message, MESSAGE_MAX, "message", at);
}
