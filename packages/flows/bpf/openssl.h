/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the probes on OpenSSL share with user space; offsets as told in types.h. */
#pragma once
#include <linux/types.h>

#define REQUEST_HEAD 128
#define ANSWER_HEAD 64

/* One HTTP request and the first bytes of its answer, as they were before encryption. */
struct ssl_exchange {
	__u64 began_ns; /* CLOCK_MONOTONIC, of the request's first byte */
	__u64 latency_ns; /* from there to the answer's first byte */
	__u64 cookie; /* of the socket that the thread read from before this connection's first plain text; 0 if unknown */
	__u32 pid;
	__u32 is_server; /* the process read the request */
	__u32 request_length;
	__u32 answer_length;
	__u8 request[REQUEST_HEAD];
	__u8 answer[ANSWER_HEAD];
};

/* For each CPU. */
struct ssl_totals {
	__u64 calls; /* of probed functions */
	__u64 exchanges;
	__u64 lost; /* exchanges that found no room */
};
