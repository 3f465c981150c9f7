/** Heads of Redis' protocol, RESP 2 and 3: "Redis serialization protocol specification". */
import type { AnswerHead, HeadParser, RequestHead } from "./requests.ts";
import { isDigit, isLetter } from "./text.ts";
import { knownWords, OTHER } from "./words.ts";

/** Commands of Redis 8 and Valkey 8; one that is not here is told as OTHER, since it may be anything. */
const commands = knownWords(
  `
  ACL APPEND ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP
  BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DEBUG DECR DECRBY DEL DISCARD DUMP
  ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME FAILOVER FCALL FCALL_RO FLUSHALL
  FLUSHDB FUNCTION GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE GET GETBIT
  GETDEL GETEX GETRANGE GETSET HDEL HELLO HEXISTS HEXPIRE HEXPIREAT HGET HGETALL HGETDEL HGETEX HINCRBY
  HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL
  HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LASTSAVE LATENCY LCS LINDEX LINSERT LLEN LMOVE LMPOP LOLWUT LPOP LPOS
  LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MIGRATE MODULE MONITOR MOVE MSET MSETNX MULTI OBJECT PERSIST
  PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE PING PSETEX PSUBSCRIBE PSYNC PTTL PUBLISH PUBSUB
  PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RENAME RENAMENX REPLCONF REPLICAOF RESET RESTORE ROLE RPOP
  RPOPLPUSH RPUSH RPUSHX SADD SAVE SCAN SCARD SCRIPT SDIFF SDIFFSTORE SELECT SET SETBIT SETEX SETNX SETRANGE
  SHUTDOWN SINTER SINTERCARD SINTERSTORE SISMEMBER SLAVEOF SLOWLOG SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP
  SPUBLISH SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION SUNIONSTORE SUNSUBSCRIBE SWAPDB SYNC
  TIME TOUCH TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XINFO
  XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER
  ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE
  ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX
  ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
  FT.ADD FT.AGGREGATE FT.CREATE FT.INFO FT.SEARCH JSON.DEL JSON.GET JSON.MGET JSON.SET BF.ADD BF.EXISTS CF.ADD
  TS.ADD TS.GET TS.MADD TS.MRANGE TS.RANGE VADD VSIM
`,
  "._",
);

/** Words of at most so many letters; Redis' own have 13 (NOREPLICAS, MASTERDOWN, UNKILLABLE, EXECABORT). */
const MAX_ERROR_WORD = 16;
/** Digits of a count: Redis takes a million arguments, and 512 MiB each. */
const MAX_DIGITS = 9;
const CR = 0x0d;
const LF = 0x0a;

export const redisHeads: HeadParser = {
  request(bytes): RequestHead | undefined {
    const at = bytes[0] === code("*") ? behindSizes(bytes) : isInline(bytes) ? 0 : undefined;
    if (at === undefined) return undefined;
    const end = bytes.indexOf(CR, at);
    return { method: commands.at(bytes, at, end < 0 ? bytes.length : end), target: null, isAnswered: true };
  },

  answer(bytes): AnswerHead | undefined {
    const kind = String.fromCharCode(bytes[0] ?? 0);
    if (kind === "-") return failed(bytes, 1);
    // A long error: its length comes first.
    if (kind === "!") return failed(bytes, bytes.indexOf(LF) + 1);
    if (!"+:$*_#,(=%~>|".includes(kind)) return undefined;
    return kind === ">" ? pushed : fine;
  },
};

const fine: AnswerHead = { status: null, isError: false, isInterim: false };
/** Of RESP 3: messages of subscriptions and the like, in between. */
const pushed: AnswerHead = { status: null, isError: false, isInterim: true };

function code(letter: string): number {
  return letter.charCodeAt(0);
}

/** Where the first argument of `*N\r\n$LENGTH\r\nCOMMAND\r\n…` begins. */
function behindSizes(bytes: Uint8Array): number | undefined {
  const second = behindNumber(bytes, 1);
  return second === undefined || bytes[second] !== code("$") ? undefined : behindNumber(bytes, second + 1);
}

function behindNumber(bytes: Uint8Array, start: number): number | undefined {
  let at = start;
  while (isDigit(bytes[at] ?? 0)) at++;
  const isNumber = at > start && at - start <= MAX_DIGITS;
  return isNumber && bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : undefined;
}

/** A command as a line, as people type them: only a known one, since any text could be a line. */
function isInline(bytes: Uint8Array): boolean {
  return isLetter(bytes[0] ?? 0) && bytes.includes(LF) && commands.at(bytes, 0, bytes.length) !== OTHER;
}

/** The first word of an error says its kind, in capitals; what follows may quote what the client sent. */
function failed(bytes: Uint8Array, start: number): AnswerHead {
  let word = "";
  for (let at = start; at < start + MAX_ERROR_WORD; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x41 || byte > 0x5a) break;
    word += String.fromCharCode(byte);
  }
  return { status: word === "" ? "ERR" : word, isError: true, isInterim: false };
}
