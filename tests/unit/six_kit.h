/* six_kit.h -- the world of IPv6 that the tests of the proxy's rules share: that of IPv4, each
 * address behind fd42::. */
#ifndef KEDGE_SIX_KIT_H
#define KEDGE_SIX_KIT_H
#include "netproxy/rules.h"

#define SIX ((addr)UINT64_C(0xfd42000000000000) << 64)

/* Initializers of a struct rules_net. */
#define SIX_NET                                                                       \
	.bridge = "kedge0", .v6 = true, .pods.v6 = true, .svcs.v6 = true,             \
	.pods.net = SIX | 0x0a2a0000, .pods.bits = 112, .svcs.net = SIX | 0x0a2b0000, \
	.svcs.bits = 112
#endif
