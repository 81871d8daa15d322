--[[
  Put a key's record, or what leads to it, in the place of what was there,
  whole, unless another changed that meanwhile.

  KEYS[1]  the record, a hash
  ARGV[1]  the JSON that must be there now, as it was read; '' for none; '*'
           for whatever
  ARGV[2]  ms since the epoch when it goes; '' for never
  ARGV[3…] fields and values; none of them takes the record away

  Returns 1, or 0 if something else was there.

  With memory full Redis refuses the first write of a script that may need
  more: a new record is refused. One that is replaced is deleted first, so that
  a key can be revoked whatever else fills Redis.
]]
local known = redis.call('HGET', KEYS[1], 'json')
if ARGV[1] ~= '*' and (known or '') ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DEL', KEYS[1]) end
if ARGV[3] then redis.call('HSET', KEYS[1], unpack(ARGV, 3)) end
if ARGV[2] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
return 1
