/* rules_text.c -- what a single string must look like; the words are Kubernetes'. */
#include "base/arena.h"
#include "rules.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static const char label_text[] = "a lowercase RFC 1123 label must consist of lower case "
				 "alphanumeric characters or '-', and must "
				 "start and end with an alphanumeric character (e.g. "
				 "'my-name',  or '123-abc', regex used for "
				 "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
static const char dns1035_text[] =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
    "'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
static const char subdomain_text[] =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
#define NAME_RULE                                                                              \
	"must consist of alphanumeric characters, '-', '_' or '.', and must start and end "    \
	"with an "                                                                             \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " \
	"validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
static const char value_text[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
static const char env_text[] = "a valid environment variable name must consist only of "
			       "printable ASCII characters other than '='";
static const char config_text[] =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  "
    "or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

static const char *
too_long(struct arena *a, int most)
{
	return arena_printf(a, "must be no more than %d characters", most);
}

/* n bytes of these characters that begin and end with a letter or digit */
static bool
is_word(const char *s, size_t n, const char *set)
{
	return n && strspn(s, set) >= n && isalnum((unsigned char)s[0]) &&
	       isalnum((unsigned char)s[n - 1]);
}

const char *
is_label(const char *s, struct arena *a)
{
	size_t n = strlen(s);

	if (!is_word(s, n, LOWER DIGIT "-"))
		return label_text;
	return n > 63 ? too_long(a, 63) : NULL;
}

const char *
is_dns1035_label(const char *s, struct arena *a)
{
	size_t n = strlen(s);

	if (!is_word(s, n, LOWER DIGIT "-") || isdigit((unsigned char)*s))
		return dns1035_text;
	return n > 63 ? too_long(a, 63) : NULL;
}

const char *
is_subdomain(const char *s, struct arena *a)
{
	if (strlen(s) > 253)
		return too_long(a, 253);
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!is_word(s, n, LOWER DIGIT "-"))
			return subdomain_text;
		if (!s[n])
			return NULL;
		s += n + 1;
	}
}

/* [prefix/]name; the prefix is a DNS subdomain, in lower case if `lower`. */
static const char *
qualified(const char *s, bool fold, struct arena *a)
{
	const char *slash = strchr(s, '/'), *name = slash ? slash + 1 : s, *why;
	size_t n = strlen(name);

	if (strchr(name, '/'))
		return "a qualified name " NAME_RULE
		       " with an optional DNS subdomain prefix and '/' "
		       "(e.g. 'example.com/MyName')";
	if (slash) {
		char *prefix = arena_strndup(a, s, slash - s);

		for (char *p = prefix; fold && *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!*prefix)
			return "prefix part must be non-empty";
		if ((why = is_subdomain(prefix, a)))
			return arena_printf(a, "prefix part %s", why);
	}
	if (!n)
		return "name part must be non-empty";
	if (n > 63)
		return "name part must be no more than 63 characters";
	if (!is_word(name, n, LOWER UPPER DIGIT "-_."))
		return "name part " NAME_RULE;
	return NULL;
}

const char *
is_label_key(const char *s, struct arena *a)
{
	return qualified(s, false, a);
}

/* Kubernetes looks at annotations' keys in lower case. */
const char *
is_annotation_key(const char *s, struct arena *a)
{
	return qualified(s, true, a);
}

const char *
is_label_value(const char *s, struct arena *a)
{
	size_t n = strlen(s);

	if (n > 63)
		return too_long(a, 63);
	return !n || is_word(s, n, LOWER UPPER DIGIT "-_.") ? NULL : value_text;
}

/* What such a name may not be, since it may become a file's. */
static const char *
no_dots(const char *s)
{
	if (!strcmp(s, "."))
		return "must not be '.'";
	if (!strcmp(s, ".."))
		return "must not be '..'";
	return strncmp(s, "..", 2) ? NULL : "must not start with '..'";
}

const char *
is_env_name(const char *s, struct arena *a)
{
	(void)a;
	for (const char *at = s; *at; at++)
		if (*at < ' ' || *at > '~' || *at == '=')
			return env_text;
	return *s ? NULL : env_text;
}

const char *
is_config_key(const char *s, struct arena *a)
{
	if (strlen(s) > 253)
		return too_long(a, 253);
	if (!*s || s[strspn(s, LOWER UPPER DIGIT "-._")])
		return config_text;
	return no_dots(s);
}

const char *
is_port_name(const char *s, struct arena *a)
{
	size_t n = strlen(s);

	if (n > 15)
		return too_long(a, 15);
	if (!n || s[strspn(s, LOWER DIGIT "-")])
		return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
	if (!strpbrk(s, LOWER))
		return "must contain at least one letter (a-z)";
	if (strstr(s, "--"))
		return "must not contain consecutive hyphens";
	return s[0] == '-' || s[n - 1] == '-' ? "must not begin or end with a hyphen" : NULL;
}

const char *
is_header_name(const char *s, struct arena *a)
{
	(void)a;
	return *s && !s[strspn(s, LOWER UPPER DIGIT "-")]
		   ? NULL
		   : "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
		     "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
}

/* A subdomain that may have underscores, or end with a dot, or be nothing but one. */
const char *
is_dns_search(const char *s, struct arena *a)
{
	char *plain = arena_strdup(a, s);
	size_t n = strlen(plain);

	if (n && plain[n - 1] == '.')
		plain[n - 1] = 0;
	for (char *p = plain; *p; p++)
		if (*p == '_')
			*p = 'x';
	return n == 1 && *s == '.' ? NULL : is_subdomain(plain, a);
}

const char *
is_ip(const char *s, struct arena *a)
{
	struct in6_addr ip;

	(void)a;
	if (inet_pton(AF_INET, s, &ip) == 1 || inet_pton(AF_INET6, s, &ip) == 1)
		return NULL;
	return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

/* 16 bytes, an IPv4 address as Go reads one, within IPv6; false: it is none. */
static bool
ip_read(const char *text, uint8_t to[16], bool *ret_v4)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	memcpy(to, mapped, sizeof mapped);
	if (inet_pton(AF_INET, text, to + 12) != 1 && inet_pton(AF_INET6, text, to) != 1)
		return false;
	*ret_v4 = !memcmp(to, mapped, sizeof mapped);
	return true;
}

static const uint8_t ip_none[16];

bool
ip_is_loopback(const char *text)
{
	uint8_t x[16];
	bool v4;

	if (!ip_read(text, x, &v4))
		return false;
	return v4 ? x[12] == 127 : !memcmp(x, ip_none, 15) && x[15] == 1;
}

/* ValidateNonSpecialIP. */
const char *
ip_special(const char *text, struct arena *a)
{
	uint8_t x[16];
	bool v4;

	if (!ip_read(text, x, &v4))
		return NULL;
	if (!memcmp(x + (v4 ? 12 : 0), ip_none, v4 ? 4 : 16))
		return arena_printf(a, "may not be unspecified (%s)", text);
	if (ip_is_loopback(text))
		return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
	if (v4 ? x[12] == 169 && x[13] == 254 : x[0] == 0xfe && (x[1] & 0xc0) == 0x80)
		return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
	if (v4 ? x[12] == 224 && !x[13] && !x[14] : x[0] == 0xff && (x[1] & 0xf) == 2)
		return "may not be in the link-local multicast range (224.0.0.0/24, "
		       "ff02::/10)";
	return NULL;
}

const char *
is_cluster_ip(const char *s, struct arena *a)
{
	return !strcmp(s, "None") ? NULL : is_ip(s, a);
}

const char *
is_abs_path(const char *s, struct arena *a)
{
	(void)a;
	return *s == '/' ? NULL : "must be an absolute path";
}

static bool
climbs(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "/");

		if (n == 2 && !strncmp(s, "..", 2))
			return true;
		if (!s[n])
			return false;
		s += n + 1;
	}
}

const char *
is_mount_path(const char *s, struct arena *a)
{
	(void)a;
	if (strchr(s, ':'))
		return "must not contain ':'";
	/* The runtime resolves it below the image's root and follows no "..". */
	return climbs(s) ? "must not contain '..'" : NULL;
}

const char *
is_relative_path(const char *s, struct arena *a)
{
	(void)a;
	if (*s == '/')
		return "must be a relative path";
	return climbs(s) ? "must not contain '..'" : NULL;
}

const char *
is_image(const char *s, struct arena *a)
{
	size_t n = strlen(s);

	(void)a;
	return isspace((unsigned char)s[0]) || isspace((unsigned char)s[n - 1])
		   ? "must not have leading or trailing whitespace"
		   : NULL;
}

const char *
is_percent(const char *s, struct arena *a)
{
	size_t n = strspn(s, DIGIT);

	(void)a;
	if (n && n < 10 && !strcmp(s + n, "%"))
		return NULL;
	return "a valid percent string must be a numeric string followed by an ending '%' "
	       "(e.g. '1%',  "
	       "or '93%', regex used for validation is '[0-9]+%')";
}
