/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The map that decoding needs, apart from those of the flows. One object defines the maps (X0_MAPS). */
#pragma once
#include "types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifdef X0_MAPS
#define X0_MAP
#else
#define X0_MAP extern
#endif

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
