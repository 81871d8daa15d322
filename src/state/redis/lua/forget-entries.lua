#!lua flags=allow-oom
--[[
  Take entries out of a shared list that ended long ago. No replica holds them
  any more, so that is no change and has no number.

  KEYS[1]  the list, as in change-ledger.lua
  ARGV     ids and entries, as they were read; one that was written again stays

  Returns how many were taken out.
]]
local gone = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then gone = gone + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return gone
