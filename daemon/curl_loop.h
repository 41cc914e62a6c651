/* curl_loop.h -- libcurl's transfers within libevent's loop.
 *
 * Whoever makes a transfer sets it up, adds it, and hears once how it ended; then it is still
 * there until curl_loop_remove, which also ends one that is under way.
 */
#ifndef KEDGE_CURL_LOOP_H
#define KEDGE_CURL_LOOP_H
#include <curl/curl.h>

struct event_base;
struct curl_loop;

/* `mine` is the transfer's CURLOPT_PRIVATE.  Never called from within curl_loop_add. */
typedef void curl_loop_fn(void *mine, CURLcode);

struct curl_loop *curl_loop_new(struct event_base *, curl_loop_fn *done);
void curl_loop_free(struct curl_loop *); /* after all its transfers; takes NULL */
void curl_loop_add(struct curl_loop *, CURL *);
void curl_loop_remove(struct curl_loop *, CURL *); /* and frees it */
#endif
