/* transport.c -- see transport.h. */
#include "transport.h"
#include "text.h"
#include <netinet/in.h>

const struct transport transports[TRANSPORTS] = {
	[TRANSPORT_TCP] = { "TCP", "tcp", IPPROTO_TCP },
	[TRANSPORT_UDP] = { "UDP", "udp", IPPROTO_UDP },
	[TRANSPORT_SCTP] = { "SCTP", "sctp", IPPROTO_SCTP },
};

size_t
transport_named(const char *name)
{
	size_t i = TRANSPORTS - 1;

	while (i > TRANSPORT_TCP && !str_is(transports[i].name, name))
		i--;
	return i;
}

const struct transport *
transport_numbered(uint8_t number)
{
	size_t i = TRANSPORTS - 1;

	while (i > TRANSPORT_TCP && transports[i].number != number)
		i--;
	return &transports[i];
}
