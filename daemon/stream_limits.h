/* stream_limits.h -- what clients of exec, attach, copy, port-forward and proxy may take, in
 * one place. */
#ifndef KEDGE_STREAM_LIMITS_H
#define KEDGE_STREAM_LIMITS_H

enum {
	STREAMS_MAX = 256,            /* clients of exec, attach and copy at once */
	FORWARDS_MAX = 128,           /* clients of port-forward at once */
	FORWARD_LINKS = 64,           /* connections of one of them at once */
	STREAM_IDLE_SECONDS = 14400,  /* without a byte either way; as the kubelet has it */
	STREAM_OPEN_SECONDS = 30,     /* until a client of SPDY has opened what it asked for */
	STREAM_READS_SECONDS = 5,     /* until a client of a WebSocket has answered a ping */
	STREAM_SETTLE_MS = 5,         /* after that, until it has made its streams */
	STREAM_LEFT_SECONDS = 30,     /* for a pod to take what a client said before it left */
	STREAM_PIECE = 16 * 1024,     /* read at a time */
	STREAM_QUEUE = 256 * 1024,    /* bytes on their way to a client; then its pod waits */
	STREAM_ANSWERS = 512 * 1024,  /* with answers to its pings; then it is not read */
	STREAM_MESSAGE = 1024 * 1024, /* of a client, at once */
	PROXIES_MAX = 256,            /* requests that a pod answers, at once */
	PROXY_QUEUE = 64 * 1024, /* bytes of one on their way, each way; then who sends waits */
	PROXY_EARLY = 1024 * 1024, /* of an answer that comes before the request's end */
	PROXY_EARLY_ALL = 16 * 1024 * 1024,   /* of all of them; then PROXY_QUEUE of each */
	PROXY_STALL_SECONDS = 120,            /* that one takes nothing of what waits for it */
	PROXY_HEAD = 8 * 1024,                /* of headers of an answer, as its message says */
	PROXY_CONNECT_SECONDS = 10,           /* until the pod has taken the connection */
	SPDY_STREAMS = 2 * FORWARD_LINKS + 8, /* of one client at once */
};
#endif
