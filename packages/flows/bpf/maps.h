/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The maps. One object defines them (X0_MAPS), the others refer to them; the linker joins them. */
#pragma once
#include "types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifdef X0_MAPS
#define X0_MAP
#else
#define X0_MAP extern
#endif

/* Evicts the least recently used without a word; `totals` tells how much went missing that way. */
X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

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

/* Who a socket belongs to; lies in the socket's own storage, copied to accepted children. */
struct owner {
	__u64 process;
	__u64 cookie;
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

/* What only the first fragment of a datagram tells. */
struct fragment_key {
	__u8 source[16];
	__u8 destination[16];
	__u32 id;
	__u32 netns;
	__u32 protocol;
};

struct fragment_parties {
	__u16 port[2];
	__u8 protocol;
	__u8 echo;
};

X0_MAP struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fragment_key);
	__type(value, struct fragment_parties);
} fragments SEC(".maps");

static __always_inline struct totals *totals_of(__u32 program)
{
	return bpf_map_lookup_elem(&totals, &program);
}
