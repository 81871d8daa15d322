--[[
  Note how far a chain of records went, unless it is known to have gone
  farther.

  KEYS[1]  heads, a hash: chain → JSON with its number n
  ARGV[1]  chain
  ARGV[2]  its number
  ARGV[3]  JSON

  Returns 1, or 0 if it went farther.
]]
local known = redis.call('HGET', KEYS[1], ARGV[1])
local n = known and tonumber(string.match(known, '^{"n":(%d+)'))
if n and n > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
