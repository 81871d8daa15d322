--[[
  Set or delete one entry of a shared list, number the change, and tell every
  replica.

  KEYS[1]  the list, a hash; its field '#' is the number of the last change
  ARGV[1]  the entry's id
  ARGV[2]  the entry as JSON; '' deletes it
  ARGV[3]  channel to tell on
  ARGV[4]  what to say there

  Returns 1 if the list changed, else 0.
]]
local changed = 1
if ARGV[2] == '' then
  changed = redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
if changed == 1 then
  redis.call('HINCRBY', KEYS[1], '#', 1)
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return changed
