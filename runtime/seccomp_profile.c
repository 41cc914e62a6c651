/* seccomp_profile.c -- a profile in the JSON of Docker and OCI, compiled by libseccomp.
 *
 * Docker's file has conditions (capabilities, architectures, kernels) that OCI's has
 * not; a file of either kind is understood.  The operator wrote it, so it may allow
 * what kedge's own filter does not; what cannot be understood is refused as a whole.
 */
#include <cap-ng.h>
#include <errno.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/seccomp.h"

static const struct {
	const char *name;
	uint32_t value;
} actions[] = {
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(EPERM) },
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(EPERM) },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
};

static const struct {
	const char *name;
	enum scmp_compare op;
} compares[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

#if defined(__x86_64__)
static const char native_arch[] = "amd64";
#else
static const char native_arch[] = "arm64";
#endif

static const char *
text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static int
action_of(const json_t *object, const char *key, const char *errno_key, uint32_t *ret,
	  struct error **e)
{
	const char *name = text_of(object, key);
	const json_t *err = json_object_get(object, errno_key);

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(actions[i].name, name) == 0) {
			*ret = actions[i].value;
			if (json_is_integer(err) && strcmp(name, "SCMP_ACT_ERRNO") == 0)
				*ret =
				    SCMP_ACT_ERRNO((uint32_t)json_integer_value(err) & 0xffff);
			return 0;
		}
	return fail(e, WHY_INVALID, "%s \"%s\" is not an action", key, name);
}

/* Of conditions: is one of these capabilities held (each, for includes)? */
static bool
has_caps(const json_t *list, uint64_t caps, bool all)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(json_array_get(list, i));
		int cap = -1;

		if (name && strncmp(name, "CAP_", 4) == 0)
			cap = capng_name_to_capability(name + 4);
		if ((cap >= 0 && cap < 64 && caps >> cap & 1) != all)
			return !all;
	}
	return all;
}

static bool
has_arch(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (name && strcmp(name, native_arch) == 0)
			return true;
	}
	return false;
}

static bool
kernel_is_from(const char *wanted)
{
	struct utsname u;
	int major = 0, minor = 0, want_major = 0, want_minor = 0;

	if (uname(&u) < 0 || sscanf(u.release, "%d.%d", &major, &minor) != 2 ||
	    sscanf(wanted, "%d.%d", &want_major, &want_minor) != 2)
		return false;
	return major != want_major ? major > want_major : minor >= want_minor;
}

static bool
applies(const json_t *rule, uint64_t caps)
{
	const json_t *in = json_object_get(rule, "includes"),
		     *out = json_object_get(rule, "excludes"), *list;

	if ((list = json_object_get(in, "caps")) && json_array_size(list) &&
	    !has_caps(list, caps, true))
		return false;
	if ((list = json_object_get(in, "arches")) && json_array_size(list) && !has_arch(list))
		return false;
	if (*text_of(in, "minKernel") && !kernel_is_from(text_of(in, "minKernel")))
		return false;
	if ((list = json_object_get(out, "caps")) && json_array_size(list) &&
	    has_caps(list, caps, false))
		return false;
	if (has_arch(json_object_get(out, "arches")))
		return false;
	return !*text_of(out, "minKernel") || !kernel_is_from(text_of(out, "minKernel"));
}

static int
args_of(const json_t *list, struct scmp_arg_cmp ret[6], unsigned *ret_n, struct error **e)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *a = json_array_get(list, i);
		const char *op = text_of(a, "op");
		json_int_t index = json_integer_value(json_object_get(a, "index"));
		size_t j = 0;

		while (j < sizeof(compares) / sizeof(*compares) && strcmp(compares[j].name, op))
			j++;
		if (j == sizeof(compares) / sizeof(*compares) || index < 0 || index > 5 ||
		    n == 6)
			return fail(e, WHY_INVALID, "an argument's index or op \"%s\" is wrong",
				    op);
		ret[n++] = (struct scmp_arg_cmp){
			.arg = (unsigned)index,
			.op = compares[j].op,
			.datum_a =
			    (scmp_datum_t)json_integer_value(json_object_get(a, "value")),
			.datum_b =
			    (scmp_datum_t)json_integer_value(json_object_get(a, "valueTwo")),
		};
	}
	*ret_n = n;
	return 0;
}

/* Several conditions on one argument are alternatives, as runc reads them: libseccomp
 * takes each argument once a rule. */
static bool
is_repeated(const struct scmp_arg_cmp *at, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			if (at[i].arg == at[j].arg)
				return true;
	return false;
}

static int
call_add(scmp_filter_ctx ctx, const char *name, uint32_t action, const struct scmp_arg_cmp *at,
	 unsigned n)
{
	int nr = seccomp_syscall_resolve_name(name), r = 0;

	if (nr == __NR_SCMP_ERROR)
		return 0; /* newer than this libseccomp */
	if (!is_repeated(at, n))
		r = seccomp_rule_add_array(ctx, action, nr, n, at);
	for (unsigned i = 0; is_repeated(at, n) && i < n && r == 0; i++)
		r = seccomp_rule_add_array(ctx, action, nr, 1, &at[i]);
	/* not a call of this architecture; or the default says the same */
	return r == -EDOM || r == -EACCES ? 0 : r;
}

static int
rule_add(scmp_filter_ctx ctx, const json_t *rule, struct error **e)
{
	const json_t *names = json_object_get(rule, "names");
	struct scmp_arg_cmp args[6];
	unsigned n = 0;
	uint32_t action;
	int r = 0;

	if (action_of(rule, "action", "errnoRet", &action, e) < 0 ||
	    args_of(json_object_get(rule, "args"), args, &n, e) < 0)
		return -1;
	if (*text_of(rule, "name"))
		r = call_add(ctx, text_of(rule, "name"), action, args, n);
	for (size_t i = 0; i < json_array_size(names) && r == 0; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		r = name ? call_add(ctx, name, action, args, n) : -EINVAL;
	}
	errno = -r;
	return r < 0 ? fail_sys(e, "add a rule") : 0;
}

static int
rules_add(scmp_filter_ctx ctx, const json_t *doc, uint64_t caps, struct error **e)
{
	const json_t *rules = json_object_get(doc, "syscalls");

#if defined(__x86_64__)
	seccomp_arch_add(ctx, SCMP_ARCH_X86);
#elif defined(__aarch64__)
	seccomp_arch_add(ctx, SCMP_ARCH_ARM);
#endif
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *rule = json_array_get(rules, i);

		if (applies(rule, caps) && rule_add(ctx, rule, e) < 0)
			return fail_in(e, "syscalls[%zu]", i);
	}
	return 0;
}

int
seccomp_profile_compile(const char *text, size_t n, uint64_t caps, struct seccomp_filter *ret,
			struct error **e)
{
	json_error_t bad;
	json_t *doc = json_loadb(text, n, JSON_REJECT_DUPLICATES, &bad);
	scmp_filter_ctx ctx = NULL;
	uint32_t other;
	int rc = -1;

	if (!json_is_object(doc)) {
		fail(e, WHY_INVALID, "line %d: %s", doc ? 1 : bad.line,
		     doc ? "not an object" : bad.text);
	} else if (action_of(doc, "defaultAction", "defaultErrnoRet", &other, e) == 0) {
		ctx = seccomp_init(other);
		rc = ctx ? rules_add(ctx, doc, caps, e) : fail(e, WHY_INTERNAL, "no memory");
	}
	if (rc == 0 && (rc = seccomp_bpf(ctx, ret)) < 0) {
		errno = -rc;
		rc = fail_sys(e, "compile it");
	}
	if (rc == 0)
		seccomp_compact(ret);
	if (ctx)
		seccomp_release(ctx);
	json_decref(doc);
	return rc;
}
