--[[
  Begin a session, unless its owner has too many.

  KEYS[1]  the owner's sessions: a sorted set of ids by the moment, ms since
           the epoch, when each is gone
  KEYS[2]  the session, a hash: record, last, level, and a field `uri:<uri>`
           for each watched resource. Both keys in one slot
  ARGV[1]  the id
  ARGV[2]  the record, JSON
  ARGV[3]  idle life, ms
  ARGV[4]  longest life, ms
  ARGV[5]  most sessions of the owner

  Returns 0, or ms until the first of too many is gone.
]]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf') >= tonumber(ARGV[5]) then
  local first = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return math.max(1, tonumber(first[2]) - now)
end

local last = now + tonumber(ARGV[4])
local gone = math.min(now + tonumber(ARGV[3]), last)
-- First what needs memory: before a script's first write Redis looks whether there is any, and never again.
redis.call('HSET', KEYS[2], 'record', ARGV[2], 'last', last)
redis.call('PEXPIREAT', KEYS[2], gone)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], gone, ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.min(tonumber(ARGV[3]), tonumber(ARGV[4])))
return 0
