--[[
  Put a hash in place of whatever was at its key, whole.

  KEYS[1]  the key
  ARGV[1]  ms since the epoch when it goes; '' for never
  ARGV[2…] fields and values

  Returns 1.
]]
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
if ARGV[1] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[1]) end
return 1
