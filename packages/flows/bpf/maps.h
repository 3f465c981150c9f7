/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps. One object defines them (X0_MAPS), the others refer to them; the linker joins them. */
#pragma once
#include "fragments.h"
#include <stdbool.h>

/* The flows and the hash table over them, all read by user space without a system call: flow-table.h. Sizes are
 * those of 131,072 flows; src/kernel/flow-table.ts has the others. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, struct flow_detail);
} details SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 11655);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct spares);
} spares SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_table);
} table SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROGRAM_COUNT);
	__type(key, __u32);
	__type(value, struct totals);
} totals SEC(".maps");

/* Who a socket belongs to and how its connection fares; lies in its own storage, copied to accepted children. */
struct owner {
	__u64 process;
	__u64 cookie;
	__u64 flow; /* id of the flow that it last sent in */
	__u64 syn_ns;
	__u32 connect_us;
	__u8 side; /* its side of that flow */
	__u8 settled; /* `process` is who uses it, not only who made it or listens */
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} owners SEC(".maps");

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct process);
} processes SEC(".maps");

/* Which port speaks what: protocol << 16 | port → enum application. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} services SEC(".maps");

/* Lowest devices without programs of ours: namespace << 32 | device. What came in there and leaves by an observed
 * device was not counted when it came. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} unobserved SEC(".maps");

/* Observed namespaces: the kernel's cookie → our number. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} namespaces SEC(".maps");

/* A request that waits for its answer, by flow id. One entry where no port of requests is configured. */
struct turn {
	__u64 began_ns;
	__u32 length;
	__u32 waiting;
	__u8 head[REQUEST_BYTES];
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct turn);
} turns SEC(".maps");

/* Dropped packets by reason, exact where single events are skipped. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

/* Reasons of drops that are no loss, by the running kernel's numbers. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} harmless SEC(".maps");

#define WINDOW_SHIFT 27 /* 134 ms */
#define WINDOW_PAYLOADS 400
#define WINDOW_DROPS 50
#define WINDOW_VERDICTS 2000

/* Whether another event of a kind that a stranger can cause at will may enter the ring: so many a window and CPU. */
static __always_inline bool may_tell(struct totals *totals, __u64 now, __u32 most)
{
	__u64 window = now >> WINDOW_SHIFT << 32;
	if ((totals->told & ~0xffffffffULL) != window)
		totals->told = window;
	if ((totals->told & 0xffffffff) >= most) {
		totals->skipped++;
		return false;
	}
	totals->told++;
	return true;
}

static __always_inline struct totals *totals_of(__u32 program)
{
	return bpf_map_lookup_elem(&totals, &program);
}
