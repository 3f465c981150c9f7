/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What packet capture shares with user space; src/packets/generated/layout.ts holds its offsets. */
#pragma once
#include "types.h"

#define SNAP_MAX 16384

enum record_flag {
	RECORD_EGRESS = 1 << 0,
	RECORD_ETHERNET = 1 << 1, /* begins with an Ethernet header, else with the IP header */
	RECORD_DROPPED = 1 << 2, /* the kernel gave it up, for `reason` */
	RECORD_TAGGED = 1 << 3, /* with the VLAN tag that the device took out */
	RECORD_SIDE = 1 << 4, /* which side of the key sent it: set = side 1 */
};

/* A captured packet; `captured` bytes of it follow. */
struct packet_record {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct flow_key key; /* protocol and addresses are 0 where it is no IP */
	__u32 ifindex;
	__u32 length; /* as the device has it, without the tag that it took out */
	__u32 captured;
	__u32 flags; /* enum record_flag */
	__u32 reason;
	__u16 vlan_tci;
	__u16 vlan_protocol; /* host order */
};

enum packet_filter_flag {
	PACKET_FILTER_ADDRESS = 1 << 0,
	PACKET_FILTER_SIX = 1 << 1, /* the prefix is one of IPv6 addresses only */
	PACKET_FILTER_PORT = 1 << 2,
	PACKET_FILTER_PROTOCOL = 1 << 3,
};

struct packet_filter {
	__u64 address[2]; /* in network order */
	__u64 mask[2];
	__u32 flags; /* enum packet_filter_flag */
	__u32 snap;
	__u16 port;
	__u8 protocol;
	__u8 pad[5];
};

/* Of each device, for each CPU. */
struct packet_counts {
	__u64 matched;
	__u64 lost; /* of those, without room in the ring */
};
