--[[
  Count a change that was acknowledged, by a script that writes twice.

  Redis up to 8.2 plays what a script wrote in more than one step back from its
  append-only file as the user `default`; where that one may do nothing, all of
  it is gone after a restart, while what plain commands wrote is there. So the
  caller writes the number down again by a plain command, and whoever finds the
  two apart knows that changes are missing.

  KEYS[1]  the marks beside the epoch, a hash

  Returns the number.
]]
redis.call('HSET', KEYS[1], 'at', redis.call('TIME')[1])
return redis.call('HINCRBY', KEYS[1], 'scripted', 1)
