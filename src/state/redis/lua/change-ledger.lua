#!lua flags=allow-oom
--[[
  Set or delete one entry of a shared list, number the change, and tell every
  replica.

  KEYS[1]  the list, a hash; its field '#' is the number of the last change
  ARGV[1]  the entry's id
  ARGV[2]  the entry as JSON; '' deletes it
  ARGV[3]  channel to tell on
  ARGV[4]  the list's name there

  Told: JSON with list, number, id and entry ('' for a deletion).
  Returns the number of the change, or 0 if there was nothing to delete.

  Allowed with memory full: what revokes and blocks must not wait for whoever
  filled it.
]]
if ARGV[2] == '' then
  if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local number = redis.call('HINCRBY', KEYS[1], '#', 1)
redis.call('PUBLISH', ARGV[3], cjson.encode({ list = ARGV[4], number = number, id = ARGV[1], entry = ARGV[2] }))
return number
