/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Room for a new flow in the table: a word of a bucket and an element, another flow's if need be. */
#pragma once
#include "flow-table.h"

#define LOCK_ATTEMPTS 128
#define TAKE_ATTEMPTS 4
#define ROOM_ATTEMPTS 4

/* A function of its own so that BTF, and with it src/generated/layout.ts, knows the event. */
static __noinline int fill_event(struct flow_event *event, __u32 type, const struct flow *flow)
{
	if (!event || !flow)
		return 0;
	event->type = type;
	event->pad = 0;
	__builtin_memcpy(&event->flow, flow, sizeof(*flow));
	struct flow_detail *detail = detail_of(flow);
	event->cookie[0] = detail ? detail->cookie[0] : 0;
	event->cookie[1] = detail ? detail->cookie[1] : 0;
	return 0;
}

static __always_inline void emit(__u32 type, const struct flow *flow, struct totals *totals)
{
	struct flow_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		totals->lost++;
		return;
	}
	fill_event(event, type, flow);
	/* User space polls: a wake-up would cost more than the event. */
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* A flow's counters as one number, another for the element's next flow. */
static __always_inline __u32 figures_of(__u64 id, __u64 packets, __u64 bytes)
{
	return id + packets + bytes;
}

/*
 * Leaves a flow's element without flow and counters. Its last figures are told if user space does not know them: in a
 * flood of short flows it mostly does, and the ring has no room for what it knows.
 */
static __always_inline void expel(struct flow *flow, const struct flow_detail *detail, struct totals *totals)
{
	__u64 id = flow->id;
	bool known =
		detail->seen == figures_of(id, flow->packets[0] + flow->packets[1], flow->bytes[0] + flow->bytes[1]);
	struct flow_event *event = known ? 0 : bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (event)
		fill_event(event, EVENT_FLOW_REPLACED, flow);
	__sync_lock_test_and_set(&flow->id, 0);
	/* What another CPU adds now is in these or in the next flow's. */
	__u64 packets0 = __sync_lock_test_and_set(&flow->packets[0], 0);
	__u64 packets1 = __sync_lock_test_and_set(&flow->packets[1], 0);
	__u64 bytes0 = __sync_lock_test_and_set(&flow->bytes[0], 0);
	__u64 bytes1 = __sync_lock_test_and_set(&flow->bytes[1], 0);
	if (!event) {
		totals->lost += !known;
		return;
	}
	event->flow.packets[0] = packets0;
	event->flow.packets[1] = packets1;
	event->flow.bytes[0] = bytes0;
	event->flow.bytes[1] = bytes1;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* @return false if the bucket stayed locked: whoever holds it was stopped there. */
static __always_inline bool lock(struct bucket *bucket)
{
	for (int i = 0; i < LOCK_ATTEMPTS; i++)
		if (!(__sync_fetch_and_or(&bucket->passed, BUCKET_LOCKED) & BUCKET_LOCKED))
			return true;
	return false;
}

static __always_inline void unlock(struct bucket *bucket)
{
	__sync_fetch_and_and(&bucket->passed, ~BUCKET_LOCKED);
}

/* Undoes that a flow passed the buckets before its place. */
static __always_inline void unpass(__u32 place)
{
	__u32 at = place >> 6, distance = place & 3;
	for (__u32 i = 1; i < BUCKETS_PROBED; i++) {
		__u32 before = at - i;
		struct bucket *bucket = i <= distance ? bpf_map_lookup_elem(&buckets, &before) : 0;
		if (bucket)
			__sync_fetch_and_add(&bucket->passed, -1);
	}
}

/* Takes a free word in a home bucket or behind it. @return its place, NOWHERE if all are in use. */
__weak __u32 claim(__u32 home, const struct flow_table *table)
{
	if (!table)
		return NOWHERE;
	for (__u32 probe = 0; probe < BUCKETS_PROBED; probe++) {
		__u32 at = home + probe;
		struct bucket *bucket = bpf_map_lookup_elem(&buckets, &at);
		if (!bucket)
			return NOWHERE;
		for (__u32 i = 0; i < BUCKET_WORDS; i++)
			if (!bucket->words[i] && !__sync_val_compare_and_swap(&bucket->words[i], 0, ~table->tag_mask))
				return at << 6 | i << 2 | probe;
		if (probe < BUCKETS_PROBED - 1)
			__sync_fetch_and_add(&bucket->passed, 1);
	}
	unpass((home + BUCKETS_PROBED - 1) << 6 | (BUCKETS_PROBED - 1));
	return NOWHERE;
}

static __always_inline void set_word(__u32 place, __u32 word)
{
	__u32 at = place >> 6, i = place >> 2 & 15;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &at);
	if (bucket && i < BUCKET_WORDS)
		__sync_lock_test_and_set(&bucket->words[i], word);
}

/* Lets a claimed word point to its flow, which is complete. */
static __always_inline void point(__u32 place, __u32 hash, __u32 index, const struct flow_table *table)
{
	set_word(place, tag_of(hash, table) | (index + 1));
}

static __always_inline void give_up(__u32 place)
{
	set_word(place, 0);
	unpass(place);
}

/* @return the index of a free element, NOWHERE if there is none. */
static __always_inline __u32 take_element(struct flow_table *table)
{
	for (int i = 0; i < TAKE_ATTEMPTS; i++) {
		__u32 taken = *(volatile __u32 *)&table->taken;
		if (taken == *(volatile __u32 *)&table->given)
			break;
		__u32 at = taken & table->spare_mask, chunk = at / SPARES;
		struct spares *few = bpf_map_lookup_elem(&spares, &chunk);
		if (!few)
			break;
		__u32 index = *(volatile __u32 *)&few->index[at % SPARES];
		if (__sync_val_compare_and_swap(&table->taken, taken, taken + 1) == taken)
			return index;
	}
	if (table->next >= table->capacity)
		return NOWHERE;
	__u32 index = __sync_fetch_and_add(&table->next, 1);
	return index < table->capacity ? index : NOWHERE;
}

/*
 * How long the flow of an element is silent, and in the low bits the number of its word: one number, for few ways
 * through a loop that differ. Closed flows wait as others do: taken first they would be gone before they are read,
 * where idle ones fill the table.
 *
 * @return BUCKET_WORDS without a flow, which is less than any other
 */
__weak __u64 silence_of(__u32 index, __u32 now, __u32 i)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &index);
	if (!flow)
		return BUCKET_WORDS;
	__s32 idle = now - flow->last;
	/* The exact clock is ahead of this one. */
	idle &= ~(idle >> 31);
	return ((__u64)(__u32)idle + 1) << 4 | i;
}

/* @return the number of the word in a bucket whose flow is idle longest; BUCKET_WORDS without flows */
__weak __u32 oldest_in(__u32 home, __u32 mask)
{
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &home);
	if (!bucket)
		return BUCKET_WORDS;
	__u32 now = bpf_ktime_get_coarse_ns() >> LAST_SHIFT;
	__u64 longest = BUCKET_WORDS;
	for (__u32 i = 0; i < BUCKET_WORDS; i++) {
		__u64 candidate = silence_of((bucket->words[i] & ~mask) - 1, now, i);
		if (candidate > longest)
			longest = candidate;
	}
	return longest & 15;
}

/*
 * Takes its element from the flow that needs it least: of the home bucket, or of the next where that has none.
 *
 * @param place of a word that the new flow has; where it has none it gets the other's, the home bucket being full.
 * @return the element, NOWHERE if there was none.
 */
__weak __u32 make_room(__u32 home, __u32 *place, const struct flow_table *table)
{
	if (!place || !table)
		return NOWHERE;
	__u32 mask = table->tag_mask, at = home, chosen = oldest_in(home, mask);
	for (int i = 1; i < BUCKETS_PROBED && chosen >= BUCKET_WORDS; i++)
		chosen = oldest_in(++at, mask);
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &at);
	if (!bucket || chosen >= BUCKET_WORDS)
		return NOWHERE;
	__u32 word = bucket->words[chosen], index = (word & ~mask) - 1;
	struct flow_detail *detail = bpf_map_lookup_elem(&details, &index);
	if (!detail)
		return NOWHERE;
	__u32 then = *place == NOWHERE ? ~mask : 0;
	if (__sync_val_compare_and_swap(&bucket->words[chosen], word, then) != word)
		return NOWHERE;
	unpass(detail->place);
	if (*place == NOWHERE)
		*place = home << 6 | chosen << 2;
	return index;
}
