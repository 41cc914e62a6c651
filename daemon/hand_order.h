/* hand_order.h -- one demand of the brain, for the files that carry out hand_verbs.c's verbs.
 *
 * What is here was decoded by its row of verbs.def.  A verb returns 0, or -1 with the reason:
 * then nothing was changed.
 */
#ifndef KEDGE_HAND_ORDER_H
#define KEDGE_HAND_ORDER_H
struct action;
struct arena;
struct error;
struct hand;
struct message;

struct order {
	struct hand *hand;
	const struct action *action;
	const void *body; /* decoded; NULL when the verb has none */
	struct message *message;
	struct arena *arena;
};

/* hand_streams.c: commands, files and ports of a pod */
int do_exec(struct order *, struct error **);
int do_copy(struct order *, struct error **);
int do_attach(struct order *, struct error **);
int do_connect(struct order *, struct error **);

/* hand_images.c: images come, go, and are written out */
int do_cancel(struct order *, struct error **);
int do_pull(struct order *, struct error **);
int do_save(struct order *, struct error **);
int do_import(struct order *, struct error **);
int do_remove(struct order *, struct error **);
#endif
