/* cli_text.c -- how things look: ages, colours, tables, JSON and YAML. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/schema.h"
#include "../reconcile/table.h"
#include "cli.h"
#include <ctype.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LABEL_MAX = 14 }; /* columns, of a word that a line begins with */

const char *
cli_age(struct cli_call *c, int64_t ms)
{
	return duration_print(ms, c->arena);
}

int64_t
cli_ms(const char *rfc3339)
{
	int64_t ms = 0;

	if (rfc3339 && *rfc3339 && time_parse(rfc3339, &ms))
		return ms;
	return 0;
}

const char *
cli_ago(struct cli_call *c, const char *rfc3339)
{
	int64_t ms = cli_ms(rfc3339);

	return ms ? arena_printf(c->arena, "%s ago", cli_age(c, c->now - ms)) : "";
}

const char *
cli_paint(struct cli_call *c, const char *colour, const char *text)
{
	return c->colour && *text ? arena_printf(c->arena, "\033[%sm%s\033[0m", colour, text)
				  : text;
}

/* ---- lines that are too wide ---- */

/* One character, or what colours the ones after it. */
static size_t
step_over(const char *p, size_t *column)
{
	size_t n = 1;

	if (*p == '\033') {
		n = strcspn(p, "m\n");
		return p[n] == 'm' ? n + 1 : n;
	}
	while ((p[n] & 0xc0) == 0x80)
		n++;
	(*column)++;
	return n;
}

/* Where what belongs together begins: behind a label ("  health    "), else where the line
 * does. */
static size_t
indent_of(const char *line, size_t len)
{
	size_t lead = strspn(line, " "), column = lead, spaces = 0;

	for (size_t i = lead; i < len && column <= LABEL_MAX;) {
		if (line[i] != ' ' && spaces > 1)
			return column;
		spaces = line[i] == ' ' ? spaces + 1 : 0;
		i += step_over(line + i, &column);
	}
	return lead ? lead : 4;
}

/* Up to where the line goes: the last gap between columns if all behind it fits below, else the
 * last blank; past a word that is wider than all there is. */
static size_t
break_of(const char *p, size_t len, size_t from, size_t width, size_t indent)
{
	size_t column = from, blank = 0, gap = 0, gap_column = 0, i = 0, word;

	while (i < len && column <= width) {
		if (p[i] == ' ' && column > indent) {
			blank = i;
			if (p[i + 1] == ' ' && p[i - 1] != ' ' && column > width / 2) {
				gap = i;
				gap_column = column;
			}
		}
		i += step_over(p + i, &column);
	}
	if (i == len && column <= width)
		return len;
	word = i;
	while (i < len)
		i += step_over(p + i, &column);
	if (gap && column - gap_column < width - indent)
		return gap;
	while (!blank && word < len && p[word] != ' ')
		word++;
	return blank ? blank : word;
}

void
cli_fold(const char *text, size_t width, struct buf *out)
{
	while (*text) {
		size_t len = strcspn(text, "\n"), indent = indent_of(text, len), from = 0;
		const char *end = text + len;

		if (indent > width / 2)
			indent = 4;
		while (text < end) {
			size_t n = break_of(text, (size_t)(end - text), from, width, indent);

			buf_add(out, text, n);
			text += n;
			text += text < end ? strspn(text, " ") : 0;
			if (text < end)
				buf_addf(out, "\n%*s", (int)indent, "");
			from = indent;
		}
		buf_adds(out, *end ? "\n" : "");
		text = *end ? end + 1 : end;
	}
}

void
cli_put(struct cli_call *c, const char *text)
{
	cleanup_buf struct buf folded = { 0 };
	struct winsize size;

	if (c->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) {
		cli_fold(text, size.ws_col, &folded);
		text = buf_text(&folded);
	}
	fputs(text, c->out);
}

json_t *
cli_path(json_t *j, const char *path)
{
	while (j && *path) {
		size_t n = strcspn(path, ".");
		char name[64];

		if (n >= sizeof name)
			return NULL;
		memcpy(name, path, n);
		name[n] = 0;
		j = json_is_array(j) ? json_array_get(j, strtoul(name, NULL, 10))
				     : json_object_get(j, name);
		path += n;
		path += *path == '.';
	}
	return j;
}

const char *
cli_at(struct cli_call *c, json_t *j, const char *path)
{
	json_t *v = cli_path(j, path);

	if (json_is_string(v))
		return arena_strdup(c->arena, json_string_value(v));
	if (json_is_integer(v))
		return arena_printf(c->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	if (json_is_real(v))
		return arena_printf(c->arena, "%g", json_real_value(v));
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	return "";
}

const char *
cli_pairs(struct cli_call *c, json_t *map)
{
	cleanup_buf struct buf text = { 0 };
	const char *key;
	json_t *v;

	json_object_foreach(map, key, v)
		buf_addf(&text, "%s%s=%s", text.len ? "," : "", key, json_string_value(v));
	return arena_strdup(c->arena, buf_text(&text));
}

/* ---- YAML ---- */

/* Would a reader take it for a number, a time or a truth?  YAML 1.1 and 1.2. */
static bool
means_something_else(const char *s)
{
	static const char *const words[] = { "",     "~",    "=",     "<<",    "true", "false",
					     "yes",  "no",   "on",    "off",   "y",    "n",
					     "null", ".inf", "+.inf", "-.inf", ".nan" };
	const char *digits = s + (*s == '-' || *s == '+');
	char *end;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcasecmp(s, words[i]))
			return true;
	if (!strchr("0123456789.", *digits))
		return false;
	(void)strtod(digits, &end);
	if (!*end || !digits[strspn(digits, "0123456789_:")]) /* 12:30:45 is base sixty */
		return true;
	if (*digits == '0' && strchr("xobXOB", digits[1]))
		return true;
	return strspn(s, "0123456789") == 4 && s[4] == '-' && strspn(s + 5, "0123456789") > 0;
}

static bool
needs_quotes(const char *s)
{
	size_t n = strlen(s);

	if (means_something_else(s) || strchr("?:,[]{}#&*!|>'\"%@` ", *s) ||
	    strchr(" :", s[n - 1]) || strstr(s, ": ") || strstr(s, " #"))
		return true;
	if (*s == '-' && (n == 1 || s[1] == ' ' || !strcmp(s, "---")))
		return true;
	for (const unsigned char *p = (const void *)s; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return true;
	return false;
}

static void
yaml_quoted(const char *s, struct buf *out)
{
	buf_addc(out, '"');
	for (const unsigned char *p = (const void *)s; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_addf(out, "\\%c", *p);
		else if (*p == '\n')
			buf_adds(out, "\\n");
		else if (*p == '\t')
			buf_adds(out, "\\t");
		else if (*p < 0x20 || *p == 0x7f)
			buf_addf(out, "\\x%02x", *p);
		else
			buf_addc(out, *p);
	}
	buf_addc(out, '"');
}

/* Text of several lines as a block, where a block can hold it. */
static bool
yaml_block(const char *s, int indent, struct buf *out)
{
	size_t n = strlen(s), end = n;

	if (!strchr(s, '\n') || *s == ' ' || *s == '\n' || strstr(s, " \n"))
		return false;
	for (const unsigned char *p = (const void *)s; *p; p++)
		if ((*p < 0x20 && *p != '\n') || *p == 0x7f)
			return false;
	while (end && s[end - 1] == '\n')
		end--;
	buf_adds(out, n == end ? "|-" : n == end + 1 ? "|" : "|+");
	for (const char *p = s; p < s + n;) {
		size_t len = strcspn(p, "\n");

		buf_addf(out, "\n%*s%.*s", len ? indent : 0, "", (int)len, p);
		p += len + 1;
	}
	return true;
}

static void yaml_value(json_t *, int indent, bool in_list, struct buf *);

static void
yaml_word(const char *s, struct buf *out)
{
	if (needs_quotes(s))
		yaml_quoted(s, out);
	else
		buf_adds(out, s);
}

static void
yaml_string(const char *s, int indent, struct buf *out)
{
	if (!yaml_block(s, indent, out))
		yaml_word(s, out);
}

static void
yaml_map(json_t *map, int indent, bool in_list, struct buf *out)
{
	bool first = true;

	/* Sorted, as kubectl's are. */
	cleanup_free const char **keys = xcalloc(json_object_size(map), sizeof *keys);
	size_t n = 0;
	const char *key;
	json_t *v;

	json_object_foreach(map, key, v) {
		size_t at = n++;

		for (; at && strcmp(keys[at - 1], key) > 0; at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
	for (size_t i = 0; i < n; i++) {
		v = json_object_get(map, keys[i]);
		if (!first || !in_list)
			buf_addf(out, "%s%*s", out->len ? "\n" : "", indent, "");
		first = false;
		yaml_word(keys[i], out);
		buf_addc(out, ':');
		yaml_value(v, indent, false, out);
	}
}

static void
yaml_value(json_t *j, int indent, bool in_list, struct buf *out)
{
	size_t i;
	json_t *v;

	if (json_is_object(j) && json_object_size(j)) {
		if (!in_list)
			yaml_map(j, indent + 2, false, out);
		else
			yaml_map(j, indent, true, out);
		return;
	}
	if (json_is_array(j) && json_array_size(j)) {
		json_array_foreach(j, i, v) {
			if (i || !in_list)
				buf_addf(out, "\n%*s", indent, "");
			buf_adds(out, "- ");
			yaml_value(v, indent + 2, true, out);
		}
		return;
	}
	if (!in_list)
		buf_addc(out, ' ');
	if (json_is_string(j)) {
		yaml_string(json_string_value(j), indent + (in_list ? 0 : 2), out);
	} else {
		cleanup_free char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);

		buf_adds(out, text ? text : "null");
	}
}

void
cli_yaml(json_t *j, struct buf *out)
{
	if (json_is_object(j) && json_object_size(j))
		yaml_map(j, 0, false, out);
	else
		yaml_value(j, 0, true, out);
	buf_addc(out, '\n');
}

bool
cli_print_json(struct cli_call *c, json_t *j)
{
	const char *format = cli_opt(c, OPT_output);

	if (!format)
		return false;
	if (!strcmp(format, "yaml")) {
		cleanup_buf struct buf text = { 0 };

		cli_yaml(j, &text);
		fwrite(text.at, 1, text.len, c->out);
		return true;
	}
	if (!strcmp(format, "json")) {
		json_dumpf(j, c->out, JSON_INDENT(4) | JSON_ENCODE_ANY);
		fputc('\n', c->out);
		return true;
	}
	return false;
}

/* ---- tables ---- */

/* Bytes of a colour at s, as cli_paint() sets it; 0: there is none. */
static size_t
colour_at(const char *s)
{
	size_t n = !strncmp(s, "\033[", 2) ? 2 + strspn(s + 2, "0123456789;") : 0;

	return n && s[n] == 'm' ? n + 1 : 0;
}

/* What comes from others may hold what moves a terminal's cursor, breaks a line, or colours all
 * that follows. */
static const char *
harmless(const char *cell, struct arena *a)
{
	static const char plain[] = "\033[0m";
	char *copy = NULL;
	bool coloured = false;

	for (const char *s = cell; *s; s++) {
		size_t colour = colour_at(s);
		bool eighth = (uint8_t)s[0] == 0xc2 && (uint8_t)s[1] >= 0x80 &&
			      (uint8_t)s[1] < 0xa0; /* a control character of C1, in UTF-8 */

		if (colour) {
			coloured = strncmp(s, plain, sizeof plain - 1) != 0;
			s += colour - 1;
		} else if (eighth || iscntrl((unsigned char)*s)) {
			copy = copy ? copy : arena_strdup(a, cell);
			copy[s - cell] = isspace((unsigned char)*s) ? ' ' : '?';
			if (eighth)
				copy[++s - cell] = '?';
		}
	}
	cell = copy ? copy : cell;
	return coloured ? arena_printf(a, "%s%s", cell, plain) : cell;
}

void
cli_table_row(struct cli_table *t, const char *const *cells)
{
	if (t->rows == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 16;
		const char **at = arena_alloc(t->arena, cap * t->cols * sizeof *at);

		if (t->rows)
			memcpy(at, t->cells, t->rows * t->cols * sizeof *at);
		t->cells = at;
		t->cap = cap;
	}
	for (size_t i = 0; i < t->cols; i++)
		t->cells[t->rows * t->cols + i] = harmless(cells[i], t->arena);
	t->rows++;
}

/* Letters, not bytes: a commit message may hold any of Unicode. */
static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++) {
		if (*s == '\033') { /* a colour takes no room */
			s += strcspn(s, "m");
			if (!*s)
				break;
			continue;
		}
		n += (*s & 0xc0) != 0x80;
	}
	return n;
}

void
cli_table_widths(const struct cli_table *t, size_t *widths)
{
	for (size_t i = 0; i < t->rows * t->cols; i++) {
		size_t w = width_of(t->cells[i]);

		if (w > widths[i % t->cols])
			widths[i % t->cols] = w;
	}
}

void
cli_table_print_row(const struct cli_table *t, size_t row, const size_t *widths, FILE *out)
{
	const char **cells = t->cells + row * t->cols;

	for (size_t i = 0; i < t->cols; i++) {
		fputs(cells[i], out);
		if (i + 1 < t->cols)
			fprintf(out, "%*s", (int)(widths[i] - width_of(cells[i]) + 3), "");
	}
	fputc('\n', out);
}

void
cli_table_print(const struct cli_table *t, bool headers, FILE *out)
{
	size_t *widths = arena_zalloc(t->arena, t->cols * sizeof *widths + 1);

	cli_table_widths(t, widths);
	for (size_t r = headers ? 0 : 1; r < t->rows; r++)
		cli_table_print_row(t, r, widths, out);
}
