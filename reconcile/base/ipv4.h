/* ipv4.h -- an address in host order as people write it. */
#ifndef KEDGE_IPV4_H
#define KEDGE_IPV4_H
#include <stdbool.h>
#include <stdint.h>

struct arena;

enum { IPV4_TEXT = 16 };

const char *ipv4_print(uint32_t ip, char to[static IPV4_TEXT]); /* returns `to` */
const char *ipv4_text(uint32_t ip, struct arena *);
/* Four numbers and nothing else; false for NULL and for all that is none. */
bool ipv4_read(const char *text, uint32_t *ret);
bool ipv4_within(uint32_t ip, uint32_t net, unsigned bits); /* bits: 0 to 32 */
#endif
