/* account_pod.c -- what a pod gets of its ServiceAccount: the name, a token, the authority's
 * certificate and the namespace, where client libraries look for them.
 *
 * Pure, and Kubernetes' ServiceAccount admission (plugin/pkg/admission/serviceaccount): a
 * volume kube-api-access-xxxxx, mounted in each container that has nothing at that place.  It
 * is added in the write that places the pod: before it nothing of the pod is on the host.
 */
#include "account.h"
#include "workload.h"

#define MOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"

enum { TOKEN_SECONDS = 3607, MODE_FILES = 0644, DAY_MS = 24 * 3600 * 1000 };

const char *
account_name_of(const struct pod_spec *spec)
{
	return str_is(spec->serviceAccountName, "") ? ACCOUNT_DEFAULT
						    : spec->serviceAccountName;
}

const struct service_account *
account_of_pod(const struct snapshot *s, const struct pod *pod)
{
	return snapshot_find(s, RES_service_account, object_namespace(pod),
			     account_name_of(pod->spec));
}

const char *
account_refuses(const struct snapshot *s, const struct pod *pod, struct arena *a)
{
	const char *name = account_name_of(pod->spec);

	if (!s->settings || !s->settings->accounts || str_is(name, ACCOUNT_DEFAULT) ||
	    account_of_pod(s, pod))
		return NULL;
	return arena_printf(a,
			    "pods \"%s\" is forbidden: error looking up service account %s/%s: "
			    "serviceaccount \"%s\" not found",
			    object_name(pod), object_namespace(pod), name, name);
}

/* ---- the volume ---- */

/* The pod's word counts before its account's. */
static bool
wants_token(const struct pod_spec *spec, const struct service_account *sa)
{
	static const char field[] = "automountServiceAccountToken";

	if (schema_has(pod_spec_kind(), spec, field))
		return spec->automountServiceAccountToken;
	return !sa || !schema_has(service_account_kind(), sa, field) ||
	       sa->automountServiceAccountToken;
}

static void
fill_volume(struct volume *v, const char *name, struct arena *a)
{
	struct {
		struct projected_volume_source projected;
		struct volume_projection sources[3];
		struct service_account_token_projection token;
		struct config_map_projection root;
		struct key_to_path key;
		struct downward_api_projection downward;
		struct downward_api_volume_file file;
		struct object_field_selector field;
	} *x = arena_zalloc(a, sizeof *x);

	x->token.expirationSeconds = TOKEN_SECONDS;
	x->token.path = "token";
	x->key.key = x->key.path = ROOT_CA_KEY;
	x->root.name = ROOT_CA;
	x->root.items.at = &x->key;
	x->root.items.n = 1;
	x->field.apiVersion = "v1";
	x->field.fieldPath = "metadata.namespace";
	x->file.path = "namespace";
	x->file.fieldRef = &x->field;
	x->downward.items.at = &x->file;
	x->downward.items.n = 1;
	x->sources[0].serviceAccountToken = &x->token;
	x->sources[1].configMap = &x->root;
	x->sources[2].downwardAPI = &x->downward;
	x->projected.sources.at = x->sources;
	x->projected.sources.n = 3;
	x->projected.defaultMode = MODE_FILES;
	v->name = name;
	v->projected = &x->projected;
}

/* A container as it shall be: something at the place, its own or the account's. */
static bool
mount(struct container *c, const char *volume, struct arena *a)
{
	size_t n = c->volumeMounts.n;
	struct volume_mount *at = arena_zalloc(a, (n + 1) * sizeof *at);

	for (size_t i = 0; i < n; i++)
		if (str_is(c->volumeMounts.at[i].mountPath, MOUNT_PATH))
			return false;
	if (n)
		memcpy(at, c->volumeMounts.at, n * sizeof *at);
	at[n] =
	    (struct volume_mount){ .name = volume, .readOnly = true, .mountPath = MOUNT_PATH };
	c->volumeMounts.at = at;
	c->volumeMounts.n = n + 1;
	return true;
}

static bool
mount_all(struct container **list, size_t n, const char *volume, struct arena *a)
{
	struct container *at = arena_alloc(a, (n + 1) * sizeof *at);
	bool any = false;

	if (n)
		memcpy(at, *list, n * sizeof *at);
	for (size_t i = 0; i < n; i++)
		any |= mount(&at[i], volume, a);
	*list = at;
	return any;
}

static bool
has_volume(const struct pod_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->volumes.n; i++)
		if (str_is(spec->volumes.at[i].name, name))
			return true;
	return false;
}

static void
add_token(struct snapshot *s, const struct pod *pod, struct pod_spec *spec, struct arena *a)
{
	struct volume *at = arena_alloc(a, (spec->volumes.n + 1) * sizeof *at);
	const char *name;
	uint64_t nonce = 0;
	bool mounted;

	do
		name = arena_printf(a, "kube-api-access-%s",
				    snapshot_suffix(s, object_uid(pod), nonce++, 5));
	while (has_volume(spec, name));
	mounted = mount_all(&spec->initContainers.at, spec->initContainers.n, name, a);
	if (!mount_all(&spec->containers.at, spec->containers.n, name, a) && !mounted)
		return;
	if (spec->volumes.n)
		memcpy(at, spec->volumes.at, spec->volumes.n * sizeof *at);
	at[spec->volumes.n] = (struct volume){ 0 };
	fill_volume(&at[spec->volumes.n], name, a);
	spec->volumes.at = at;
	spec->volumes.n++;
}

void
account_admit(struct snapshot *s, const struct pod *pod, struct pod_spec *spec, struct arena *a)
{
	const struct service_account *sa;

	if (!s->settings->accounts)
		return;
	spec->serviceAccountName = spec->serviceAccount = account_name_of(pod->spec);
	sa = account_of_pod(s, pod);
	if (sa && !spec->imagePullSecrets.n) {
		spec->imagePullSecrets.at = sa->imagePullSecrets.at;
		spec->imagePullSecrets.n = sa->imagePullSecrets.n;
	}
	if (s->settings->api_ip && wants_token(spec, sa))
		add_token(s, pod, spec, a);
}

/* ---- its time ---- */

static int64_t
period(int64_t seconds)
{
	return least(seconds * 800, DAY_MS);
}

static int64_t
began(const struct pod *pod)
{
	return pod->status && pod->status->startTime ? pod->status->startTime
						     : pod->metadata->creationTimestamp;
}

int64_t
account_token_number(const struct pod *pod, int64_t seconds, int64_t now)
{
	int64_t since = now - began(pod), each = period(seconds);

	return since >= 0 ? since / each : -1 - (-1 - since) / each;
}

int64_t
account_token_due(const struct pod *pod, int64_t seconds, int64_t now)
{
	return began(pod) + (account_token_number(pod, seconds, now) + 1) * period(seconds);
}
