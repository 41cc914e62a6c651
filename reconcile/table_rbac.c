/* table_rbac.c -- the cells of roles and bindings. */
#include "base/text.h"
#include "table_cells.h"

const char *
cell_created_at(const void *obj, const struct cells *c)
{
	char at[40];

	time_print(((const struct object *)obj)->metadata->creationTimestamp, false, at);
	return arena_strdup(c->arena, at);
}

static const char *
role_text(const struct role_ref *r, const struct cells *c)
{
	return r ? arena_printf(c->arena, "%s/%s", text(r->kind), text(r->name)) : "";
}

static const char *
subjects_text(const struct subject *at, size_t n, const char *kind, const struct cells *c)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (!str_is(at[i].kind, kind))
			continue;
		buf_adds(&b, b.len ? ", " : "");
		if (str_is(kind, "ServiceAccount"))
			buf_addf(&b, "%s/", text(at[i].namespace));
		buf_adds(&b, text(at[i].name));
	}
	return cell_taken(&b, "", c);
}

#define SUBJECTS(k, name, kind) \
	CELL(k, b, name, subjects_text(b->subjects.at, b->subjects.n, kind, c))

CELL(role_binding, b, cell_role_binding_role, role_text(b->roleRef, c))
SUBJECTS(role_binding, cell_role_binding_users, "User")
SUBJECTS(role_binding, cell_role_binding_groups, "Group")
SUBJECTS(role_binding, cell_role_binding_accounts, "ServiceAccount")
CELL(cluster_role_binding, b, cell_cluster_role_binding_role, role_text(b->roleRef, c))
SUBJECTS(cluster_role_binding, cell_cluster_role_binding_users, "User")
SUBJECTS(cluster_role_binding, cell_cluster_role_binding_groups, "Group")
SUBJECTS(cluster_role_binding, cell_cluster_role_binding_accounts, "ServiceAccount")
