/* t_proto.c -- Kubernetes' protobuf, as kubectl sends it. */
#include "reads.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/patch_tree.h"
#include "reconcile/proto.h"

/* "n:" a field with what is within the braces as its bytes, "n=" a number, "text" bytes. */
static size_t
write_message(const char *p, struct buf *out)
{
	const char *from = p;

	while (*p && *p != '}') {
		unsigned n = (unsigned)strtoul(p, (char **)&p, 10);
		cleanup_buf struct buf in = { 0 };

		if (*p == '=') {
			unsigned v = (unsigned)strtoul(p + 1, (char **)&p, 10);

			buf_addc(out, (char)(n << 3));
			for (; v > 127; v >>= 7)
				buf_addc(out, (char)(v | 0x80));
			buf_addc(out, (char)v);
		} else if (p[1] == '{') {
			p += 2;
			p += write_message(p, &in) + 1;
		} else {
			size_t len = strcspn(p + 2, "'");

			buf_add(&in, p + 2, len);
			p += len + 3;
		}
		if (in.len || p[-1] == '\'' || p[-1] == '}') {
			if (p[-1] == '\'' || p[-1] == '}') {
				buf_addc(out, (char)(n << 3 | 2));
				if (n > 15) {
					out->at[out->len - 1] = (char)((n << 3 | 2) | 0x80);
					buf_addc(out, (char)(n >> 4));
				}
				buf_addc(out, (char)in.len);
				buf_add(out, in.at, in.len);
			}
		}
		p += *p == ' ';
	}
	return (size_t)(p - from);
}

static const struct row {
	const struct kind *(*kind)(void);
	const char *message, *want;
} rows[] = {
	{ config_map_kind,
	  "1:{1:'cm' 3:'ns' 2:'' 11:{1:'a' 2:'b'}} 2:{1:'k' 2:'v'} 2:{1:'k' 2:'w'} 3:{1:'bin' "
	  "2:'xy'}",
	  "{\"metadata\":{\"name\":\"cm\",\"namespace\":\"ns\",\"labels\":{\"a\":\"b\"}},"
	  "\"data\":{"
	  "\"k\":\"w\"},\"binaryData\":{\"bin\":\"eHk=\"}}" },
	/* a pointer's 0 is meant, another's is not */
	{ deployment_kind,
	  "2:{1=0 5=0 7=0 3:{2:{2:{1:'c' 2:'i' 6:{1:'' 2=0 3=80 4:'' 5:''}} 4=30 11=0}}}",
	  "{\"spec\":{\"replicas\":0,\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\","
	  "\"image\":\"i\",\"ports\":[{\"containerPort\":80}]}],"
	  "\"terminationGracePeriodSeconds\":30}}}}" },
	{ service_kind,
	  "2:{1:{3=80 4:{1=0 2=8080 3:''}} 1:{3=81 4:{1=1 2=0 3:'http'}} 2:{1:'app' 2:'x'} "
	  "4:'NodePort' 99:'new'}",
	  "{\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":8080},{\"port\":81,\"targetPort\":"
	  "\"http\"}],\"selector\":{\"app\":\"x\"},\"type\":\"NodePort\"}}" },
	/* embedded, and quantities */
	{ pod_spec_kind,
	  "1:{1:'v' 2:{2:{1:'Memory' 2:{1:'1Gi'}}}} 2:{1:'c' 8:{1:{1:'cpu' 2:{1:'500m'}}}}",
	  "{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":"
	  "\"1Gi\"}}],"
	  "\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"500m\"}}}]}" },
	/* what it has in common with a container is a message within */
	{ pod_spec_kind,
	  "2:{1:'c'} 34:{1:{1:'dbg' 2:'i' 14:'Always'} 2:'c'} 34:{1:{1:'two'} 2:''}",
	  "{\"containers\":[{\"name\":\"c\"}],\"ephemeralContainers\":[{\"name\":\"dbg\","
	  "\"image\":"
	  "\"i\",\"imagePullPolicy\":\"Always\",\"targetContainerName\":\"c\"},{\"name\":"
	  "\"two\"}]}" },
	{ endpoint_slice_kind, "2:{1:'10.0.0.1'} 3:{1:'p' 2:'TCP' 3=80} 4:'IPv4'",
	  "{\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]}],\"ports\":[{\"name\":\"p\","
	  "\"protocol\":"
	  "\"TCP\",\"port\":80}],\"addressType\":\"IPv4\"}" },
	{ network_policy_kind,
	  "2:{1:{1:{1:'app' 2:'x'}} 2:{1:{1:'UDP' 2:{1=0 2=53 3:''} 3=54} 1:{2:{1=1 2=0 "
	  "3:'web'}} "
	  "2:{1:{} 2:{1:{1:'a' 2:'b'}}}} 3:{2:{3:{1:'10.0.0.0/8' 2:'10.1.0.0/16'}}} "
	  "4:'Ingress'}",
	  "{\"spec\":{\"podSelector\":{\"matchLabels\":{\"app\":\"x\"}},\"ingress\":[{"
	  "\"ports\":["
	  "{\"protocol\":\"UDP\",\"port\":53,\"endPort\":54},{\"port\":\"web\"}],\"from\":[{"
	  "\"podSelector\":{},\"namespaceSelector\":{\"matchLabels\":{\"a\":\"b\"}}}]}],"
	  "\"egress\":"
	  "[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"10.1.0.0/16\"]}}]}],"
	  "\"policyTypes\":[\"Ingress\"]}}" },
	/* each field, by the numbers of the generated.proto of core/v1 and policy/v1 */
	{ eviction_kind, "1:{1:'web-1' 3:'shop'} 2:{1=30 2:{1:'uid' 2:'7'} 4:'Background'}",
	  "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"shop\"},\"deleteOptions\":{"
	  "\"gracePeriodSeconds\":30,\"preconditions\":{\"uid\":\"uid\",\"resourceVersion\":"
	  "\"7\"},"
	  "\"propagationPolicy\":\"Background\"}}" },
	{ binding_kind,
	  "1:{1:'web-1' 3:'shop'} 2:{1:'Node' 2:'ns' 3:'host-1' 4:'u' 5:'v1' 6:'9' 7:'spec'}",
	  "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"shop\"},\"target\":{\"kind\":"
	  "\"Node\","
	  "\"namespace\":\"ns\",\"name\":\"host-1\",\"uid\":\"u\",\"apiVersion\":\"v1\","
	  "\"resourceVersion\":\"9\",\"fieldPath\":\"spec\"}}" },
	{ limit_range_kind,
	  "1:{1:'lr'} 2:{1:{1:'Container' 2:{1:'cpu' 2:{1:'2'}} 3:{1:'cpu' 2:{1:'10m'}} "
	  "4:{1:'cpu' 2:{1:'1'}} 5:{1:'cpu' 2:{1:'100m'}} 6:{1:'cpu' 2:{1:'4'}}} 1:{1:'Pod'}}",
	  "{\"metadata\":{\"name\":\"lr\"},\"spec\":{\"limits\":[{\"type\":\"Container\","
	  "\"max\":{"
	  "\"cpu\":\"2\"},\"min\":{\"cpu\":\"10m\"},\"default\":{\"cpu\":\"1\"},"
	  "\"defaultRequest\":{\"cpu\":\"100m\"},\"maxLimitRequestRatio\":{\"cpu\":\"4\"}},{"
	  "\"type\":\"Pod\"}]}}" },
	{ resource_quota_kind,
	  "1:{1:'rq'} 2:{1:{1:'pods' 2:{1:'3'}} 2:'BestEffort' 3:{1:{1:'PriorityClass' 2:'In' "
	  "3:'high' 3:'low'}}}",
	  "{\"metadata\":{\"name\":\"rq\"},\"spec\":{\"hard\":{\"pods\":\"3\"},\"scopes\":["
	  "\"BestEffort\"],\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":"
	  "\"PriorityClass\",\"operator\":\"In\",\"values\":[\"high\",\"low\"]}]}}}" },
	{ delete_options_kind, "1=0 2:{1:'uid'} 4:'Orphan' 5:'All'",
	  "{\"gracePeriodSeconds\":0,\"preconditions\":{\"uid\":\"uid\"},\"propagationPolicy\":"
	  "\"Orphan\",\"dryRun\":[\"All\"]}" },
};

static void
messages_become_what_their_json_would(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		cleanup_buf struct buf b = { 0 };
		struct tree *t;

		write_message(rows[i].message, &b);
		t = proto_read(rows[i].kind(), b.at, b.len, &r.arena, &e);
		if (!t)
			fail_msg("row %zu: %s", i, error_text(e));
		if (!tree_same(t,
			       json_read(rows[i].want, strlen(rows[i].want), &r.arena, &r.cs)))
			fail_msg("row %zu: %s", i, json_of(&r, t));
	}
}

static void
the_envelope_says_what_it_is(void **s)
{
	READING(r);
	struct proto_envelope env;
	cleanup_buf struct buf b = { 0 };

	(void)s;
	buf_add(&b, "k8s", 4);
	write_message("1:{1:'apps/v1' 2:'Deployment'} 2:'raw' 3:'' 4:''", &b);
	assert_int_equal(proto_unwrap(b.at, b.len, &env, &r.arena, NULL), 0);
	assert_string_equal(env.api_version, "apps/v1");
	assert_string_equal(env.kind, "Deployment");
	assert_int_equal(env.len, 3);
	assert_memory_equal(env.raw, "raw", 3);
	assert_int_equal(proto_unwrap("{}", 2, &env, &r.arena, NULL), -1);
}

/* Every message cut anywhere is read or refused, never read beyond. */
static void
what_is_cut_off_is_refused(void **s)
{
	(void)s;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_buf struct buf b = { 0 };

		write_message(rows[i].message, &b);
		for (size_t n = 0; n < b.len; n++) {
			READING(r);
			char *copy = malloc(n + !n); /* a sanitizer sees its end */

			memcpy(copy, b.at, n);
			proto_read(rows[i].kind(), copy, n, &r.arena, NULL);
			free(copy);
		}
	}
}

static void
bytes_that_are_no_text_are_refused(void **s)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{ "\x1a\x02\xff\xff", 4 }, /* not UTF-8 */
		{ "\x1a\x03"
		  "a\0b",
		  5 },                             /* a NUL */
		{ "\x1b", 1 },                     /* a group */
		{ "\x02\x00", 2 },                 /* field 0 */
		{ "\x1a\xff\xff\xff\xff\x7f", 6 }, /* longer than it is */
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11 },
	};

	(void)s;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;

		assert_null(proto_read(secret_kind(), bad[i].bytes, bad[i].n, &r.arena, &e));
		assert_int_equal(e->why, WHY_BAD_REQUEST);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_become_what_their_json_would),
		T(the_envelope_says_what_it_is),
		T(what_is_cut_off_is_refused),
		T(bytes_that_are_no_text_are_refused),
	};

	return RUN(tests);
}
