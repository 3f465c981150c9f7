/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Probes on OpenSSL's functions that take and give plain text. Which side asks is told from what they carry: an
 * HTTP/1 answer begins with its version, so that the other direction holds the requests. Only the first bytes of a
 * request and of its answer are taken; bodies are looked at in no more than their first twelve.
 */
#include "openssl.h"
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One object for all processors: which registers there are is found out at load time. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs___x86 {
	unsigned long di, si, dx, cx, ax;
};
struct pt_regs___arm64 {
	__u64 regs[31];
};
struct sock_common {
	unsigned short skc_family;
	struct {
		long counter;
	} skc_cookie;
};
struct sock {
	struct sock_common __sk_common;
};
#pragma clang attribute pop

#define AF_INET 2
#define AF_INET6 10

enum direction { NOTHING, READ, WRITE };

/* Probes are on files, which others may have mapped too: processes of services that were named. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} named SEC(".maps");

struct connection {
	__u64 ssl;
	__u64 pid;
};

struct turn {
	__u64 began_ns;
	__u64 cookie;
	__u8 pending; /* direction of a request that waits for its answer */
	__u8 asks; /* direction of requests, once an answer told it */
	__u16 pad;
	__u32 length;
	__u8 head[REQUEST_HEAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct connection);
	__type(value, struct turn);
} turns SEC(".maps");

/* What SSL_read was called with, by thread, until it returns. */
struct call {
	__u64 ssl;
	__u64 buffer;
	__u64 count; /* address of the length that was read; 0 where the return value tells it */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Cookie of the socket that a thread received from last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u64);
} received SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} exchanges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ssl_totals);
} ssl_totals SEC(".maps");

static __always_inline __u64 argument(void *ctx, int index)
{
	struct pt_regs___x86 *x86 = ctx;
	struct pt_regs___arm64 *arm64 = ctx;
	if (bpf_core_field_exists(x86->di))
		return index == 0   ? BPF_CORE_READ(x86, di)
		       : index == 1 ? BPF_CORE_READ(x86, si)
		       : index == 2 ? BPF_CORE_READ(x86, dx)
				    : BPF_CORE_READ(x86, cx);
	if (bpf_core_field_exists(arm64->regs))
		return index == 0   ? BPF_CORE_READ(arm64, regs[0])
		       : index == 1 ? BPF_CORE_READ(arm64, regs[1])
		       : index == 2 ? BPF_CORE_READ(arm64, regs[2])
				    : BPF_CORE_READ(arm64, regs[3]);
	return 0;
}

static __always_inline int returned(void *ctx)
{
	struct pt_regs___x86 *x86 = ctx;
	return bpf_core_field_exists(x86->di) ? (int)BPF_CORE_READ(x86, ax) : (int)argument(ctx, 0);
}

static __always_inline struct ssl_totals *ssl_totals_here(void)
{
	__u32 first = 0;
	return bpf_map_lookup_elem(&ssl_totals, &first);
}

/* A function of its own so that BTF, and with it the generated layout, knows the structs. */
static __noinline int fill_exchange(struct ssl_exchange *event, const struct turn *turn, struct ssl_totals *totals)
{
	if (!event || !turn || !totals)
		return 0;
	event->began_ns = turn->began_ns;
	event->cookie = turn->cookie;
	event->is_server = turn->pending == READ;
	event->request_length = turn->length;
	__builtin_memcpy(event->request, turn->head, sizeof(event->request));
	totals->exchanges++;
	return 0;
}

static __always_inline void tell(__u32 pid, struct turn *turn, const void *data, __u32 length)
{
	struct ssl_totals *totals = ssl_totals_here();
	if (!totals)
		return;
	struct ssl_exchange *event = bpf_ringbuf_reserve(&exchanges, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return;
	}
	fill_exchange(event, turn, totals);
	event->latency_ns = bpf_ktime_get_ns() - turn->began_ns;
	event->pid = pid;
	if (length > ANSWER_HEAD)
		length = ANSWER_HEAD;
	event->answer_length = bpf_probe_read_user(event->answer, length, data) == 0 ? length : 0;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/*
 * What has just been decrypted came from the socket that this thread received from last, whether OpenSSL did that
 * itself or was given the bytes. Only the first time is sure: later the plain text may have lain in OpenSSL.
 */
static __always_inline void learn_socket(struct turn *turn)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *cookie = bpf_map_lookup_elem(&received, &thread);
	if (cookie)
		turn->cookie = *cookie;
}

static __always_inline void ask(const struct connection *connection, struct turn *turn, __u8 direction,
				const void *data, __u32 length)
{
	if (!turn) {
		struct turn fresh = {};
		bpf_map_update_elem(&turns, connection, &fresh, BPF_ANY);
		turn = bpf_map_lookup_elem(&turns, connection);
		if (!turn)
			return;
	}
	if (length > REQUEST_HEAD)
		length = REQUEST_HEAD;
	if (direction == READ && !turn->cookie)
		learn_socket(turn);
	turn->began_ns = bpf_ktime_get_ns();
	turn->length = bpf_probe_read_user(turn->head, length, data) == 0 ? length : 0;
	turn->pending = direction;
}

/* Plain text in one direction. */
static __always_inline void see(__u64 ssl, const void *data, __u32 length, __u8 direction)
{
	char start[12];
	struct connection connection = { .ssl = ssl, .pid = bpf_get_current_pid_tgid() >> 32 };
	struct turn *turn = bpf_map_lookup_elem(&turns, &connection);
	/* The rest of a request that waits already. */
	if (turn && turn->pending == direction)
		return;
	if (length < sizeof(start) || length > 1U << 30 || bpf_probe_read_user(start, sizeof(start), data))
		return;
	__u8 other = direction == READ ? WRITE : READ;
	if (start[0] == 'H' && start[1] == 'T' && start[2] == 'T' && start[3] == 'P' && start[4] == '/') {
		bool is_interim = start[9] == '1' && !(start[10] == '0' && start[11] == '1');
		if (!turn || is_interim)
			return;
		if (direction == READ && !turn->cookie)
			learn_socket(turn);
		if (turn->pending == other)
			tell(connection.pid, turn, data, length);
		/* Also where an address of an SSL is used again with the sides the other way round. */
		turn->asks = other;
		turn->pending = NOTHING;
		return;
	}
	bool may_ask = !turn || turn->asks == NOTHING || turn->asks == direction;
	if (may_ask && start[0] >= 'A' && start[0] <= 'Z')
		ask(&connection, turn, direction, data, length);
}

/* Whether the calling process is to be looked at. */
static __always_inline bool is_named(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	if (!bpf_map_lookup_elem(&named, &pid))
		return false;
	struct ssl_totals *totals = ssl_totals_here();
	if (totals)
		totals->calls++;
	return true;
}

SEC("raw_tp/sock_recv_length")
int x0_ssl_received(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sock *sk = (const struct sock *)ctx->args[0];
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 pid = thread >> 32;
	if ((int)ctx->args[1] <= 0 || !bpf_map_lookup_elem(&named, &pid))
		return 0;
	unsigned short family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	__u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	bpf_map_update_elem(&received, &thread, &cookie, BPF_ANY);
	return 0;
}

/* SSL_write and SSL_write_ex, whose first three arguments are the same. */
SEC("uprobe")
int x0_ssl_write(void *ctx)
{
	if (is_named())
		see(argument(ctx, 0), (const void *)argument(ctx, 1), argument(ctx, 2), WRITE);
	return 0;
}

static __always_inline int read_called(void *ctx, __u64 count)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call call = { .ssl = argument(ctx, 0), .buffer = argument(ctx, 1), .count = count };
	bpf_map_update_elem(&calls, &thread, &call, BPF_ANY);
	return 0;
}

SEC("uprobe")
int x0_ssl_read(void *ctx)
{
	return is_named() ? read_called(ctx, 0) : 0;
}

SEC("uprobe")
int x0_ssl_read_ex(void *ctx)
{
	return is_named() ? read_called(ctx, argument(ctx, 3)) : 0;
}

SEC("uretprobe")
int x0_ssl_read_done(void *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	if (!call)
		return 0;
	struct call made = *call;
	bpf_map_delete_elem(&calls, &thread);
	int result = returned(ctx);
	if (result <= 0)
		return 0;
	__u64 length = result;
	if (made.count && bpf_probe_read_user(&length, sizeof(length), (const void *)made.count))
		return 0;
	see(made.ssl, (const void *)made.buffer, length, READ);
	return 0;
}

/* Its address will be another connection's. */
SEC("uprobe")
int x0_ssl_free(void *ctx)
{
	struct connection connection = { .ssl = argument(ctx, 0), .pid = bpf_get_current_pid_tgid() >> 32 };
	if (is_named())
		bpf_map_delete_elem(&turns, &connection);
	return 0;
}
