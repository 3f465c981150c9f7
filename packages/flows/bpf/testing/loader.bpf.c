/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* For tests of the loader only: what an object may have, each in a program that tells by its verdict. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define noinline static __attribute__((noinline)) int

struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} by_number SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} by_place SEC(".maps");

/* One call further each, from different sections. */
noinline twice(int value)
{
	return value * 2 + (value > 1000);
}

noinline with_one(int value)
{
	return twice(value + 1) ^ 1;
}

#define FUNCTION(number)                                                                                               \
	noinline function_##number(int value)                                                                          \
	{                                                                                                              \
		return with_one(value ^ number) + number;                                                              \
	}
#define CALL(number) sum += function_##number(value);
#define TEN(each, tens)                                                                                                \
	each(tens##0) each(tens##1) each(tens##2) each(tens##3) each(tens##4) each(tens##5) each(tens##6)              \
		each(tens##7) each(tens##8) each(tens##9)

TEN(FUNCTION, 1)
TEN(FUNCTION, 2)
TEN(FUNCTION, 3)
TEN(FUNCTION, 4)

/* More functions than a light skeleton can have. */
SEC("tc")
int x0_many(struct __sk_buff *skb)
{
	int value = skb->len, sum = 0;
	TEN(CALL, 1)
	TEN(CALL, 2)
	TEN(CALL, 3)
	TEN(CALL, 4)
	return sum;
}

SEC("tc")
int x0_few(struct __sk_buff *skb)
{
	return with_one(skb->len);
}

/* Where the running kernel has the field; here it would be 0. */
SEC("tc")
int x0_field(struct __sk_buff *skb)
{
	return bpf_core_field_offset(struct task_struct, tgid);
}

SEC("tc")
int x0_count(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&runs, &key);
	return count ? __sync_fetch_and_add(count, 1) + 1 : -1;
}

static __always_inline int first_of(void *map)
{
	__u32 key = 0;
	__u32 *value = map ? bpf_map_lookup_elem(map, &key) : 0;
	return value ? *value : -1;
}

SEC("tc")
int x0_inner(struct __sk_buff *skb)
{
	__u32 number = 7, place = 3;
	return first_of(bpf_map_lookup_elem(&by_number, &number)) + first_of(bpf_map_lookup_elem(&by_place, &place));
}

SEC("tp_btf/x0_no_such_tracepoint")
int BPF_PROG(x0_missing, void *any)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
