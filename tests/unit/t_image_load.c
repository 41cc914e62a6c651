/* t_image_load.c -- docker-archive and OCI layout: good, damaged, and made by others. */
#include "image_store.h"
#include <sys/utsname.h>

static const char *
arch(void)
{
	struct utsname u;

	uname(&u);
	return strcmp(u.machine, "x86_64") == 0 ? "amd64" : "arm64";
}

struct piece { /* bytes and their name */
	struct buf b;
	char *hex;
};

static void
piece_done(struct piece *p)
{
	buf_done(&p->b);
	free(p->hex);
}
#define cleanup_piece __attribute__((cleanup(piece_done)))

static struct piece
piece_text(char *text)
{
	struct piece p = { 0 };

	buf_adds(&p.b, text);
	p.hex = hex_of(p.b.at, p.b.len);
	free(text);
	return p;
}

static struct piece
piece_tar(int filter, const char *file, const char *text)
{
	struct tar t = tar_new(filter);
	struct piece p = { 0 };
	cleanup_close int fd = -1;

	PUT(&t, .path = file, .data = text, .mtime = 7);
	fd = tar_end(&t);
	p.b = bytes_of(fd);
	p.hex = hex_of(p.b.at, p.b.len);
	return p;
}

static struct piece
piece_config(const char *architecture, const char *cmd, const char *diff1, const char *diff2)
{
	char *text;

	xasprintf(
	    &text,
	    "{\"created\":\"2024-05-01T10:11:12.5Z\",\"architecture\":\"%s\",\"os\":\"linux\","
	    "\"config\":{\"Cmd\":[\"%s\"],\"Env\":[\"P=1\"],\"ExposedPorts\":{\"80/tcp\":{}},"
	    "\"Entrypoint\":null,\"StopSignal\":\"SIGQUIT\"},"
	    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}",
	    architecture, cmd, diff1, diff2);
	return piece_text(text);
}

#define M "application/vnd.oci.image."

static struct piece
piece_manifest(const struct piece *config, const struct piece *l1, const struct piece *l2)
{
	char *text;

	xasprintf(&text,
		  "{\"schemaVersion\":2,\"mediaType\":\"" M "manifest.v1+json\","
		  "\"config\":{\"mediaType\":\"" M
		  "config.v1+json\",\"digest\":\"sha256:%s\",\"size\":%zu},"
		  "\"layers\":[{\"mediaType\":\"" M
		  "layer.v1.tar+gzip\",\"digest\":\"sha256:%s\",\"size\":%zu},"
		  "{\"mediaType\":\"" M
		  "layer.v1.tar+%s\",\"digest\":\"sha256:%s\",\"size\":%zu}]}",
		  config->hex, config->b.len, l1->hex, l1->b.len,
		  l2->b.at[0] == 0x1f ? "gzip" : "zstd", l2->hex, l2->b.len);
	return piece_text(text);
}

static void
put_blob(struct tar *t, const struct piece *p)
{
	char path[100];

	snprintf(path, sizeof path, "blobs/sha256/%s", p->hex);
	PUT(t, .path = path, .data = p->b.at, .len = p->b.len);
}

static void
put_text(struct tar *t, const char *path, char *text)
{
	PUT(t, .path = path, .data = text);
	free(text);
}

static char *
text(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	xvasprintf(&s, fmt, ap);
	va_end(ap);
	return s;
}

/* The pieces of one image of two layers. */
struct built {
	struct piece plain1, plain2, gz, zst, config, manifest;
};

static struct built
build(const char *architecture, const char *cmd)
{
	struct built b = {
		.plain1 = piece_tar(0, "one", "first"),
		.plain2 = piece_tar(0, "two", "second"),
		.gz = piece_tar('g', "one", "first"),
		.zst = piece_tar('z', "two", "second"),
	};

	b.config = piece_config(architecture, cmd, b.plain1.hex, b.plain2.hex);
	b.manifest = piece_manifest(&b.config, &b.gz, &b.zst);
	return b;
}

static void
built_done(struct built *b)
{
	piece_done(&b->plain1);
	piece_done(&b->plain2);
	piece_done(&b->gz);
	piece_done(&b->zst);
	piece_done(&b->config);
	piece_done(&b->manifest);
}
#define cleanup_built __attribute__((cleanup(built_done)))

static void
put_built(struct tar *t, const struct built *b)
{
	put_blob(t, &b->gz);
	put_blob(t, &b->zst);
	put_blob(t, &b->config);
	put_blob(t, &b->manifest);
}

static void
expect_two_layers(const char *name, const char *cmd)
{
	const struct image *i = image_find(store, name);
	cleanup_free char *one = NULL, *two = NULL;

	assert_non_null(i);
	assert_int_equal(i->nlayers, 2);
	assert_string_equal(i->cmd[0], cmd);
	assert_string_equal(i->env[0], "P=1");
	assert_string_equal(i->ports[0], "80/tcp");
	assert_string_equal(i->stop_signal, "SIGQUIT");
	assert_int_equal(i->size, 11);
	assert_int_equal(i->created_ms, INT64_C(1714558272000));
	one = text("%s/one", i->layers[0]);
	two = text("%s/two", i->layers[1]);
	assert_int_equal(access(one, F_OK), 0);
	assert_int_equal(access(two, F_OK), 0);
}

static char *
descriptor(const struct piece *p, const char *media, const char *rest)
{
	return text("{\"mediaType\":\"" M "%s\",\"digest\":\"sha256:%s\",\"size\":%zu%s}",
		    media, p->hex, p->b.len, rest);
}

static void
load_good(struct tar *t, const char *name, const char *first)
{
	cleanup_close int fd = tar_end(t);
	struct error *e = NULL;
	char **names;

	if (load_fd(store, fd, name, &names, &e) < 0)
		fail_msg("%s", error_text(e));
	assert_string_equal(names[0], first);
	names_free(names);
}

static void
load_bad(struct tar *t, const char *name, const char *says)
{
	cleanup_close int fd = tar_end(t);
	struct error *e = NULL;
	const struct image *const *list;
	char **names;

	if (load_fd(store, fd, name, &names, &e) == 0)
		fail_msg("what should say \"%s\" was taken", says);
	if (!strstr(error_text(e), says))
		fail_msg("\"%s\" does not say \"%s\"", error_text(e), says);
	error_free(&e);
	assert_int_equal(images_list(store, &list), 0);
}

static void
an_oci_layout_is_loaded_under_its_own_name(void **state)
{
	static const char filters[] = { 0, 'g', 'z' };

	(void)state;
	for (size_t i = 0; i < sizeof filters; i++) {
		cleanup_built struct built b = build(arch(), "go");
		struct tar t = tar_new(filters[i]);
		cleanup_free char *d = descriptor(
		    &b.manifest, "manifest.v1+json",
		    ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"me/app:1\"}");
		cleanup_free char *by_digest = text("me/app@sha256:%s", b.manifest.hex);

		put_text(&t, "index.json", text("{\"schemaVersion\":2,\"manifests\":[%s]}", d));
		PUT(&t, .path = "oci-layout", .data = "{\"imageLayoutVersion\":\"1.0.0\"}");
		put_built(&t, &b);
		load_good(&t, NULL, "docker.io/me/app:1");
		expect_two_layers("me/app:1", "go");
		expect_two_layers(by_digest, "go");
		assert_null(image_find(
		    store, "me/other@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e464"
			   "9b934ca495991b7852b855"));
	}
}

static void
a_nested_index_gives_this_hosts_platform(void **state)
{
	cleanup_built struct built mine = build(arch(), "mine"),
				   other = build("sparc", "other");
	cleanup_free char *a =
	    text(",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}", arch());
	cleanup_free char *dm = descriptor(&mine.manifest, "manifest.v1+json", a);
	cleanup_free char *d_o =
	    descriptor(&other.manifest, "manifest.v1+json",
		       ",\"platform\":{\"os\":\"linux\",\"architecture\":\"sparc\"}");
	cleanup_piece struct piece inner =
	    piece_text(text("{\"schemaVersion\":2,\"manifests\":[%s,%s]}", d_o, dm));
	cleanup_free char *di = descriptor(&inner, "index.v1+json", "");
	struct tar t = tar_new(0);

	(void)state;
	put_built(&t, &other);
	put_built(&t, &mine);
	put_blob(&t, &inner);
	put_text(&t, "index.json", text("{\"schemaVersion\":2,\"manifests\":[%s]}", di));
	load_good(&t, "app", "docker.io/library/app:latest");
	expect_two_layers("app", "mine");
}

static void
an_image_for_another_machine_is_refused(void **state)
{
	cleanup_built struct built b = build("sparc", "x");
	cleanup_free char *d = descriptor(&b.manifest, "manifest.v1+json", "");
	struct tar t = tar_new(0);

	(void)state;
	put_built(&t, &b);
	put_text(&t, "index.json", text("{\"manifests\":[%s]}", d));
	load_bad(&t, "app", "the image is for sparc, this host is");
}

static void
an_image_with_a_user_longer_than_any_is_refused(void **state)
{
	(void)state;
	for (int over = 1; over >= 0; over--) {
		cleanup_built struct built b = build(arch(), "x");
		cleanup_free char *user = NULL, *d = NULL;
		struct tar t = tar_new(0);

		xasprintf(&user, "%0*d", 256 + over, 1000);
		piece_done(&b.config);
		b.config = piece_text(text(
		    "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"User\":\"%s\"},"
		    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\","
		    "\"sha256:%s\"]}}",
		    arch(), user, b.plain1.hex, b.plain2.hex));
		piece_done(&b.manifest);
		b.manifest = piece_manifest(&b.config, &b.gz, &b.zst);
		d = descriptor(&b.manifest, "manifest.v1+json", "");
		put_text(&t, "index.json", text("{\"manifests\":[%s]}", d));
		put_built(&t, &b);
		if (over)
			load_bad(&t, "app",
				 "the image's config: User is longer than 256 bytes");
		else
			load_good(&t, "app", "docker.io/library/app:latest");
	}
}

static void
a_layout_packed_with_its_folder_is_loaded_too(void **state)
{
	cleanup_built struct built b = build(arch(), "go");
	struct tar t = tar_new(0);
	const struct piece *const blobs[] = { &b.gz, &b.zst, &b.config, &b.manifest };
	cleanup_free char *d = descriptor(&b.manifest, "manifest.v1+json", "");

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		cleanup_free char *path = text("./layout/blobs/sha256/%s", blobs[i]->hex);

		PUT(&t, .path = path, .data = blobs[i]->b.at, .len = blobs[i]->b.len);
	}
	put_text(&t, "./layout/index.json", text("{\"manifests\":[%s]}", d));
	load_good(&t, "app", "docker.io/library/app:latest");
	expect_two_layers("app", "go");
}

static void
a_docker_archive_of_the_old_form_is_loaded(void **state)
{
	cleanup_built struct built b = build(arch(), "go");
	cleanup_free char *config = text("%s.json", b.config.hex);
	struct tar t = tar_new(0);

	(void)state;
	/* links between layer folders, in both of the forms that were in use */
	PUT(&t, .path = "aaa/layer.tar", .data = b.plain1.b.at, .len = b.plain1.b.len);
	PUT(&t, .path = "bbb/layer.tar", .type = AE_IFLNK, .link = "../real.tar");
	PUT(&t, .path = "real.tar", .data = b.plain2.b.at, .len = b.plain2.b.len);
	PUT(&t, .path = config, .data = b.config.b.at, .len = b.config.b.len);
	put_text(&t, "manifest.json",
		 text("[{\"Config\":\"%s\",\"RepoTags\":[\"app:1\",\"app:2\"],"
		      "\"Layers\":[\"aaa/layer.tar\",\"bbb/layer.tar\"]}]",
		      config));
	load_good(&t, NULL, "docker.io/library/app:1");
	expect_two_layers("app:1", "go");
	expect_two_layers("app:2", "go");
}

static void
a_docker_archive_with_blobs_is_loaded(void **state)
{
	cleanup_built struct built b = build(arch(), "go");
	struct tar t = tar_new('g');

	(void)state;
	put_blob(&t, &b.plain1);
	put_blob(&t, &b.zst); /* compressed or not: the diffID decides */
	put_blob(&t, &b.config);
	put_text(&t, "manifest.json",
		 text("[{\"Config\":\"blobs/sha256/%s\",\"RepoTags\":[\"app:1\"],"
		      "\"Layers\":[\"blobs/sha256/%s\",\"blobs/sha256/%s\"]}]",
		      b.config.hex, b.plain1.hex, b.zst.hex));
	load_good(&t, NULL, "docker.io/library/app:1");
	expect_two_layers("app:1", "go");
}

static void
what_is_not_as_promised_is_refused(void **state)
{
	(void)state;
	for (int k = 0; k < 6; k++) {
		static const char *const says[] = { "is damaged",
						    "is damaged",
						    "were promised",
						    "its diffID is",
						    "is not in the archive",
						    "is damaged" };
		cleanup_built struct built b = build(arch(), "go");
		cleanup_free char *d = NULL;
		struct tar t = tar_new(0);

		if (k == 0) /* bytes of a layer */
			b.gz.b.at[b.gz.b.len / 2] ^= 1;
		if (k == 1) /* bytes of the config */
			b.config.b.at[20] ^= 1;
		if (k == 2) { /* a size */
			char *p = strstr(b.manifest.b.at, "\"size\":") + 7;

			*p = *p == '9' ? '8' : *p + 1;
			free(b.manifest.hex);
			b.manifest.hex = hex_of(b.manifest.b.at, b.manifest.b.len);
		}
		if (k == 3) { /* another tree under an honest digest */
			piece_done(&b.gz);
			b.gz = piece_tar('g', "one", "evil!");
			piece_done(&b.manifest);
			b.manifest = piece_manifest(&b.config, &b.gz, &b.zst);
		}
		if (k == 5)
			b.manifest.b.at[5] ^= 1;
		d = descriptor(&b.manifest, "manifest.v1+json", "");
		put_text(&t, "index.json", text("{\"manifests\":[%s]}", d));
		if (k != 4)
			put_blob(&t, &b.gz);
		put_blob(&t, &b.zst);
		put_blob(&t, &b.config);
		put_blob(&t, &b.manifest);
		load_bad(&t, "app", says[k]);
	}
}

static void
odd_documents_are_refused_with_their_place(void **state)
{
	static const struct {
		const char *file, *text, *says;
	} cases[] = {
		{ "manifest.json", "[{\"Config\":", "manifest.json:1:" },
		{ "manifest.json", "{}", "must be a list" },
		{ "manifest.json", "[{\"Config\":\"x\"}]", "\"x\" is not in the archive" },
		{ "manifest.json", "[{},{}]", "holds 2 images" },
		{ "index.json", "{\"manifests\":[]}", "speaks of no image" },
		{ "index.json", "{\"manifests\":[],\"layers\":[]}",
		  "neither layers nor config" },
		{ "index.json", "{\"manifests\":{}}", "must be an index" },
		{ "index.json",
		  "{\"manifests\":[{\"mediaType\":\"" M
		  "manifest.v1+json\",\"digest\":\"md5:1\"}]}",
		  "digests by md5 are not known here" },
		{ "index.json",
		  "{\"manifests\":[{\"mediaType\":\"" M
		  "manifest.v1+json\",\"digest\":\"sha256:"
		  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
		  "\"platform\":{\"os\":\"windows\",\"architecture\":\"amd64\"}}]}",
		  "is for windows/amd64" },
		{ "hello.txt", "x", "neither a docker-archive" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tar t = tar_new(0);

		PUT(&t, .path = cases[i].file, .data = cases[i].text);
		load_bad(&t, "app", cases[i].says);
	}
}

static void
an_archive_without_a_name_asks_for_one(void **state)
{
	cleanup_built struct built b = build(arch(), "go");
	cleanup_free char *d =
	    descriptor(&b.manifest, "manifest.v1+json",
		       ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\"}");
	struct tar t = tar_new(0);

	(void)state;
	put_built(&t, &b);
	put_text(&t, "index.json", text("{\"manifests\":[%s]}", d));
	load_bad(&t, NULL, "gives its image no name");
}

static void
a_member_that_leads_out_leads_nowhere(void **state)
{
	struct tar t = tar_new(0);

	(void)state;
	PUT(&t, .path = "x.json", .type = AE_IFLNK, .link = "../../../etc/passwd");
	PUT(&t, .path = "y.json", .type = AE_IFLNK, .link = "/etc/passwd");
	PUT(&t, .path = "manifest.json", .data = "[{\"Config\":\"x.json\"}]");
	load_bad(&t, "app", "\"x.json\" is not in the archive");
	t = tar_new(0);
	PUT(&t, .path = "x.json", .hard = "../../etc/passwd");
	load_bad(&t, "app", "\"..\"");
	t = tar_new(0);
	PUT(&t, .path = "manifest.json", .type = AE_IFLNK, .link = "manifest.json");
	load_bad(&t, "app", "neither a docker-archive");
}

/* ---- what skopeo writes ---- */

static void
run(const char *fmt, ...)
{
	va_list ap;
	char *cmd;

	va_start(ap, fmt);
	xvasprintf(&cmd, fmt, ap);
	va_end(ap);
	if (system(cmd) != 0)
		fail_msg("%s: failed", cmd);
	free(cmd);
}

static void
load_file(const char *path, const char *name, const char *first)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct error *e = NULL;
	char **names;

	assert_true(fd >= 0);
	if (load_fd(store, fd, name, &names, &e) < 0)
		fail_msg("%s: %s", path, error_text(e));
	assert_string_equal(names[0], first);
	names_free(names);
}

static void
what_skopeo_writes_is_loaded(void **state)
{
	cleanup_built struct built b = build(arch(), "go");
	const struct piece *const blobs[] = { &b.gz, &b.zst, &b.config, &b.manifest };
	cleanup_free char *d = NULL;
	cleanup_free char *w = text("%s/work", dir), *path = NULL;
	static const struct {
		const char *make, *file, *name,
		    *first; /* make: a shell command in the work folder */
	} copies[] = {
		{ "$COPY docker-archive:d.tar:example.org/app:1", "d.tar", NULL,
		  "example.org/app:1" },
		{ "$COPY oci-archive:o.tar:example.org/app:2", "o.tar", NULL,
		  "example.org/app:2" },
		{ "$COPY --dest-compress-format zstd oci:z:zz && tar -C z -czf z.tgz .",
		  "z.tgz", "app:3", "docker.io/library/app:3" },
		{ "$COPY --format v2s2 oci:o2 && tar -cf o2.tar o2", "o2.tar", "app:4",
		  "docker.io/library/app:4" },
	};

	(void)state;
	if (system("command -v skopeo >/dev/null 2>&1") != 0)
		skip();
	piece_done(&b.zst); /* which skopeo does not convert for Docker */
	b.zst = piece_tar('g', "two", "second");
	piece_done(&b.manifest);
	b.manifest = piece_manifest(&b.config, &b.gz, &b.zst);
	d = descriptor(&b.manifest, "manifest.v1+json", "");
	run("mkdir -p %s/in/blobs/sha256 && echo '{\"imageLayoutVersion\":\"1.0.0\"}' "
	    ">%s/in/oci-layout "
	    "&& printf '%%s' '{\"schemaVersion\":2,\"manifests\":[%s]}' >%s/in/index.json",
	    w, w, d, w);
	for (size_t i = 0; i < 4; i++) {
		cleanup_free char *p = text("%s/in/blobs/sha256/%s", w, blobs[i]->hex);
		FILE *f = fopen(p, "w");

		assert_non_null(f);
		assert_int_equal(fwrite(blobs[i]->b.at, 1, blobs[i]->b.len, f),
				 blobs[i]->b.len);
		fclose(f);
	}
	for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
		run("cd %s && COPY='skopeo --insecure-policy copy -q oci:in' && %s >/dev/null",
		    w, copies[i].make);
		free(path);
		path = text("%s/%s", w, copies[i].file);
		load_file(path, copies[i].name, copies[i].first);
		expect_two_layers(copies[i].first, "go");
		/* so that the next one brings its layers itself */
		assert_int_equal(image_remove(store, copies[i].first, NULL), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
		T(an_oci_layout_is_loaded_under_its_own_name),
		T(a_nested_index_gives_this_hosts_platform),
		T(an_image_for_another_machine_is_refused),
		T(an_image_with_a_user_longer_than_any_is_refused),
		T(a_layout_packed_with_its_folder_is_loaded_too),
		T(a_docker_archive_of_the_old_form_is_loaded),
		T(a_docker_archive_with_blobs_is_loaded),
		T(what_is_not_as_promised_is_refused),
		T(odd_documents_are_refused_with_their_place),
		T(an_archive_without_a_name_asks_for_one),
		T(a_member_that_leads_out_leads_nowhere),
		T(what_skopeo_writes_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
